/**
 * Who is there of the metadata's group, and who is lost, when it is recovered on this node.
 *
 * @module
 */

import type { Founder, FoundingState, RpcAddress } from "../cluster/founding.ts";
import type { CountedVoter } from "../cluster/lost_majority.ts";
import { memberIncarnation } from "../cluster/members.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import type { Partition } from "../kafka/partition.ts";
import type { Member } from "../raft/configuration.ts";
import type { Replica } from "../replication/replica.ts";
import type { Shard } from "./shard.ts";
import { rpcAddressOf } from "./shard_peers.ts";

const ANY_INCARNATION = 0;

type Seen = Pick<Shard, "image" | "live" | "peers" | "replication" | "options">;

/**
 * Whether a member of the metadata's group can be reached, in the life in which it is one. A node that lost its disk is
 * there as another one.
 */
export function isMemberThere(
  { image, live, peers }: Pick<Seen, "image" | "live" | "peers">,
  { node, incarnation }: Member,
): boolean {
  if (!live.isAlive(node)) return false;
  const { links } = peers.nodeLinks;
  const said = links.isUp(node) ? links.identityOf(node)?.incarnation : undefined;
  if (said === undefined) return true;
  if (incarnation !== ANY_INCARNATION) return memberIncarnation(said) === incarnation;
  return (image.nodes.get(node)?.incarnation ?? said) === said;
}

/** The voters of the metadata's group, as this node's replica has them. */
export function countedVoters(shard: Seen, replica: Replica): CountedVoter[] {
  return replica.status().members.map((member) => ({
    isVoter: member.part === "voter",
    wasVoter: member.wasVoter,
    isThere: member.node === shard.options.nodeId || isMemberThere(shard, member),
  }));
}

/**
 * Why a start cannot have the metadata go on with this node alone; null: it can, or did so before. What the metadata
 * says is not known before somebody leads it: a voter that came after the founding could not be named to the others.
 */
export function startProblem(
  { options: { nodeId } }: Seen,
  { replica }: Partition,
  { founders }: FoundingState,
): string | null {
  const { members } = replica.status();
  const own = members.find(({ node }) => node === nodeId)?.part ?? "none";
  if (own !== "voter" && own !== "leaving") {
    return "this node does not vote on the cluster's metadata: start one that does with --recover-metadata";
  }
  const isKnown = ({ node, incarnation }: Member): boolean =>
    founders.some((founder) =>
      founder.nodeId === node &&
      (incarnation === ANY_INCARNATION || memberIncarnation(founder.incarnation) === incarnation)
    );
  const stranger = members.find(({ part, wasVoter, node, incarnation }) =>
    node !== nodeId && (part === "voter" || wasVoter) && !isKnown({ node, incarnation })
  );
  return stranger === undefined
    ? null
    : `node ${stranger.node} votes on the cluster's metadata, and did not found ` +
      "the cluster: --recover-metadata cannot name it to other nodes, start it again";
}

/** Who votes on the metadata besides this node and cannot be reached, in the lives that voted. */
export function lostVoters(shard: Seen, founders: readonly Founder[]): Founder[] {
  const { image, peers, replication, options: { nodeId } } = shard;
  const now = replication.replicaOf(CONTROLLER_GROUP_ID)?.raft.configuration;
  const voters = new Map<number, Member>();
  for (const member of [...now?.voters ?? [], ...now?.outgoing ?? []]) {
    if (member.node !== nodeId) voters.set(member.node, member);
  }
  const { links } = peers.nodeLinks;
  return [...voters.values()].flatMap((voter) => {
    const isThere = links.isUp(voter.node) && isMemberThere(shard, voter);
    const known = isThere ? null : placeOf(image, voter.node, founders);
    return known === null ? [] : [known];
  });
}

/** Nodes that are registered and can be reached. */
export function reachableNodes({ image, peers, options }: Seen): RpcAddress[] {
  const { links } = peers.nodeLinks;
  return [...image.nodes.values()].flatMap((node) => {
    const address = rpcAddressOf(node);
    const isThere = node.nodeId !== options.nodeId && links.isUp(node.nodeId);
    return address === null || !isThere ? [] : [{ host: address.host, port: address.port }];
  });
}

/** As registered; a founder that has not come to that, as it was at the founding. */
function placeOf(
  image: Shard["image"],
  nodeId: number,
  founders: readonly Founder[],
): Founder | null {
  const known = image.nodes.get(nodeId);
  const address = known === undefined ? null : rpcAddressOf(known);
  if (known === undefined || address === null) {
    return founders.find((founder) => founder.nodeId === nodeId) ?? null;
  }
  return { nodeId, incarnation: known.incarnation, host: address.host, port: address.port };
}
