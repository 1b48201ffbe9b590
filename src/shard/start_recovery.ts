/**
 * `start --recover-metadata`: whether a start that finds no leader of the metadata goes on without the lost voters.
 *
 * The flag names the lives that are given up. So it cannot do more than a person decided when it was written down: left
 * there, it names lives that are given up already, and whoever is only late is in another one. A flag that does not name all of
 * the lost ones, or only nodes, is a question: the start ends with what would be lost, and the flag that does it. Whatever the flag
 * does not do is said, with the reason.
 *
 * A log that damage has cut goes on in the same way, if its loss is accepted besides. It may not know who else has the
 * metadata: then the nodes count that are noted to have a copy.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import type { Founder } from "../cluster/founding.ts";
import { hasLife } from "../cluster/given_up.ts";
import {
  isNamed,
  isSameLife,
  lifeText,
  type NamedLife,
  nameOfLife,
  partialLife,
} from "../cluster/lives.ts";
import { hasMajority } from "../cluster/lost_majority.ts";
import type { Partition } from "../kafka/partition.ts";
import type { Configuration, Member } from "../raft/configuration.ts";
import type { NodeMembership } from "./node_membership.ts";
import { countedVoters, isMemberConnected, lifeOf, otherVoters } from "./metadata_recovery.ts";
import type { Shard } from "./shard.ts";
import type { JoinRefusal } from "./start_sequence.ts";

export interface StartRecoveryOptions {
  readonly shard: Pick<Shard, "image" | "live" | "peers" | "replication" | "options">;
  readonly membership: NodeMembership;
  readonly partition: Partition;
  /** What the metadata log says of its group. */
  readonly configuration: () => Configuration;
  /** The lives that the flag names; empty: it was not given. */
  readonly named: readonly NamedLife[];
  /** Also a part of the log may be lost. */
  readonly acceptsLoss: boolean;
}

/** What a start does now. */
export type RecoveryStep =
  | { readonly kind: "wait" }
  | { readonly kind: "refuse"; readonly refusal: JoinRefusal }
  /** Those are given up. */
  | { readonly kind: "go"; readonly lost: readonly Founder[] };

/** Of a node of which nothing but the id is known. */
const UNKNOWN_LIFE = 1;

const WAIT: RecoveryStep = { kind: "wait" };

export class StartRecovery {
  readonly #options: StartRecoveryOptions;
  readonly #logger: Logger;
  #hasGone = false;
  /** What was said last of why nothing is done. */
  #told = "";

  constructor(options: StartRecoveryOptions) {
    this.#options = options;
    this.#logger = options.shard.options.logger;
  }

  get isAsked(): boolean {
    return this.#options.named.length > 0;
  }

  /** The start has waited for the others long enough, and nobody leads the metadata. */
  look(): RecoveryStep {
    const { membership, partition, named, shard: { options: { nodeId } } } = this.#options;
    if (!this.isAsked || this.#hasGone || membership.isRecovering) return WAIT;
    const { replica, log } = partition;
    const isThere = (member: Member): boolean => this.#isConnected(member);
    if (!log.suspect && hasMajority(countedVoters(nodeId, replica, isThere))) {
      return this.#doNothing(
        "a majority of the nodes that vote on the cluster's metadata can be reached, and is about to elect a leader",
      );
    }
    const problem = this.#ownProblem();
    if (problem !== null) return refuse(problem);
    const lost = this.lost();
    const unnamed = lost.filter((life) => !isNamed(named, life));
    if (unnamed.length === 0) {
      const kept = named.filter((one) => lost.every(({ nodeId }) => nodeId !== one.nodeId));
      const nodes = kept.map(({ nodeId }) => nodeId).join(", ");
      this.#logger.log(
        LogLevel.WARN,
        "The metadata goes on with this node alone, as --recover-metadata asks",
        {
          givenUp: lost.map(describe).join(", "),
          ...kept.length === 0 ? {} : { notGivenUp: nodes },
        },
      );
      this.#hasGone = true;
      return { kind: "go", lost };
    }
    // Left there since the last time, or copied too early.
    const { givenUp = [] } = membership.state;
    const isDone = !log.suspect &&
      named.every((one) =>
        givenUp.some((node) => node.nodeId === one.nodeId && isNamed([one], node))
      );
    if (isDone) {
      return this.#doNothing(
        "the lives that it names were given up before, and the nodes that are missing now are other ones: " +
          `${unnamed.map(describe).join(", ")}`,
      );
    }
    return refuse(this.question(lost));
  }

  /** Who would be given up: voters, or with a log that may have lost its end whoever may have a copy, without a connection. */
  lost(): Founder[] {
    const { shard: { options: { nodeId } }, partition, configuration } = this.#options;
    if (partition.log.suspect) {
      return this.holders().filter((life) => !this.#isHeard(life));
    }
    const lost = otherVoters(configuration(), nodeId)
      .filter((voter) => !this.#isConnected(voter))
      .map((voter) => lifeOf(this.#options.shard, this.#remembered, voter));
    return this.#sorted(lost);
  }

  /** Who else may have a copy of a log that may have lost its end, which counts less than what is noted. */
  holders(): Founder[] {
    const { shard, membership, configuration } = this.#options;
    const { voters, outgoing, learners } = configuration();
    const members = [...voters, ...outgoing, ...learners]
      .filter(({ node }) => node !== shard.options.nodeId)
      .map((member) => lifeOf(shard, this.#remembered, member));
    const { notedKeepers, keepers, state: { founders } } = membership;
    if (notedKeepers === null) return this.#sorted([...keepers, ...members]);
    // An older program noted ids only.
    return this.#sorted(notedKeepers.map((keeper) => {
      if (keeper.incarnation !== "") return keeper;
      const isNode = ({ nodeId }: Founder): boolean => nodeId === keeper.nodeId;
      return members.find(isNode) ?? founders.find(isNode) ??
        { ...keeper, incarnation: partialLife(UNKNOWN_LIFE) };
    }));
  }

  /** Each life once, without those that are given up already. */
  #sorted(lives: readonly Founder[]): Founder[] {
    const { givenUp = [] } = this.#options.membership.state;
    return lives
      .filter((life, at) =>
        life.incarnation !== "" && !hasLife(givenUp, life) && !hasLife(lives.slice(0, at), life)
      )
      .sort((a, b) => a.nodeId - b.nodeId);
  }

  /** What the flag would do, and how it is written; nothing is changed. */
  question(lost: readonly Founder[]): string {
    const { partition: { log }, acceptsLoss, configuration } = this.#options;
    const count = configuration().voters.length;
    const flags = flagsFor(lost, log.suspect && !acceptsLoss);
    const what = log.suspect
      ? "what damage has left of its metadata log"
      : `commands ${log.startOffset} to ${log.durableEndOffset} of the cluster's metadata`;
    return "nothing was changed. Start the nodes again that cannot be reached, if there is any way: " +
      `${
        lost.map(describe).join(", ")
      }. If they are gone for good, with their disks, so that too few are left of the ` +
      `${count} that vote on the cluster's metadata: this node can go on alone, with ${what}; what only they have is ` +
      "lost, and they must never be started again with the data directories that they had. To do that, start this node once " +
      `with \`${flags}\``;
  }

  /** The metadata has a leader, or this start needs none: why the flag did nothing. */
  end(): void {
    const { membership, partition: { replica, leading } } = this.#options;
    if (!this.isAsked || this.#hasGone || membership.isRecovering || this.#told !== "") return;
    const who = leading ? "this node" : `node ${replica.leaderId}`;
    this.#doNothing(
      replica.leaderId < 0 && !leading
        ? "nobody else has the metadata"
        : `the cluster's metadata has a leader, ${who}`,
    );
  }

  /** Whether a node is connected in that life. */
  #isHeard({ nodeId, incarnation }: Founder): boolean {
    const { links } = this.#options.shard.peers.nodeLinks;
    const said = links.isUp(nodeId) ? links.identityOf(nodeId)?.incarnation : undefined;
    return said !== undefined &&
      (isSameLife(said, incarnation) || isSameLife(incarnation, partialLife(UNKNOWN_LIFE)));
  }

  #isConnected(member: Member): boolean {
    return isMemberConnected(this.#options.shard, this.#remembered, member);
  }

  get #remembered() {
    const { membership } = this.#options;
    return { founders: membership.state.founders, keepers: membership.keepers };
  }

  /** Why this node cannot be the one to go on. */
  #ownProblem(): string | null {
    const { shard, partition, configuration } = this.#options;
    const { nodeId } = shard.options;
    const { replica, log } = partition;
    const own = replica.status().members.find(({ node }) => node === nodeId)?.part ?? "none";
    const there = otherVoters(configuration(), nodeId).filter((voter) => this.#isConnected(voter));
    const names = there.map(({ node }) => node).join(", ");
    if (own === "none" || log.durableEndOffset === log.startOffset) {
      return "this node has no copy of the cluster's metadata: start one that has with --recover-metadata";
    }
    if (log.suspect) {
      const heard = this.holders().find((life) => this.#isHeard(life));
      if (heard === undefined) return null;
      return `damage may have cut this node's copy of the cluster's metadata, and node ${heard.nodeId}, which can be ` +
        "reached, may have more of it: move this node's data directory away and start it again, and it is filled by the " +
        "others; if they have no leader, start that one with --recover-metadata first";
    }
    if (own === "learner" && there.length > 0) {
      return "this node does not vote on the cluster's metadata, and one that does can be reached: start that one " +
        `(${names}) with --recover-metadata instead`;
    }
    return null;
  }

  #doNothing(why: string): RecoveryStep {
    if (why !== this.#told) {
      this.#told = why;
      tellUnused(this.#logger, why);
    }
    return WAIT;
  }
}

/** Says why the flag does nothing. */
export function tellUnused(logger: Logger, why: string): void {
  logger.log(LogLevel.WARN, "--recover-metadata does nothing: take it away", { why });
}

/** The flags of a start that gives up `lost`. */
export function flagsFor(lost: readonly Founder[], withLoss: boolean): string {
  const flag = `--recover-metadata ${lost.map(nameOfLife).join(",")}`;
  return withLoss ? `${flag} --accept-loss` : flag;
}

function describe({ nodeId, incarnation, host, port }: Founder): string {
  const where = host === "" ? "" : ` (${hostPort(host, port)})`;
  return `node ${nodeId}${where} in its life ${lifeText(incarnation)}`;
}

function refuse(reason: string): RecoveryStep {
  return { kind: "refuse", refusal: { kind: "cluster", reason } };
}
