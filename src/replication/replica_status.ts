/**
 * A group in words, as one of its replicas sees it: for people who look after a cluster.
 *
 * @module
 */

import { memberOf } from "../raft/configuration.ts";
import { type Peer, PeerState } from "../raft/peer.ts";
import { type RaftGroup, Role } from "../raft/raft_group.ts";
import type { Log } from "../storage/log.ts";
import type { MemberStatus, ReplicaStatus } from "./replica.ts";

const UNKNOWN = -1;

const ROLES: Readonly<Record<Role, ReplicaStatus["role"]>> = {
  [Role.FOLLOWER]: "follower",
  [Role.PRE_CANDIDATE]: "candidate",
  [Role.CANDIDATE]: "candidate",
  [Role.LEADER]: "leader",
};

const STATES: Readonly<Record<PeerState, MemberStatus["state"]>> = {
  [PeerState.PROBE]: "probing",
  [PeerState.REPLICATE]: "following",
  [PeerState.SNAPSHOT]: "snapshot",
};

/** @param isFrozen the log was damaged at the start, and nobody else has it */
export function statusOf(
  raft: RaftGroup,
  log: Pick<Log, "durableEndOffset" | "startIndex" | "lastIndex" | "offsetAt" | "suspect">,
  host: { readonly nodeId: number; nowMs(): number },
  isFrozen: boolean,
): ReplicaStatus {
  const { nodeId } = host;
  const { voters, outgoing, learners } = raft.configuration;
  const nodes = new Set([...voters, ...outgoing, ...learners].map(({ node }) => node));
  const leads = raft.role === Role.LEADER;
  return {
    // A damaged log takes part in nothing, and neither does one that is not the group's any more.
    role: isFrozen || log.suspect || raft.isOverruled ? "read-only" : ROLES[raft.role],
    isChanging: !raft.isConfigurationSettled,
    members: [...nodes].map((node) => {
      const part = memberOf(voters, node) !== null
        ? "voter"
        : memberOf(outgoing, node) !== null
        ? "leaving"
        : "learner";
      const { incarnation } = memberOf(voters, node) ?? memberOf(outgoing, node) ??
        memberOf(learners, node)!;
      const wasVoter = memberOf(outgoing, node) !== null;
      if (node === nodeId) {
        const state = leads ? "leader" : "";
        return {
          node,
          incarnation,
          // Its configuration may mean a former life of this node.
          part: raft.isMember ? part : "none",
          wasVoter,
          state,
          isUp: true,
          matchOffset: log.durableEndOffset,
          heardMs: 0,
          caughtUpMs: 0,
        };
      }
      const peer = raft.peers.find((one) => one.node === node);
      const isUp = peer?.isUp ?? false;
      if (!leads || peer === undefined) {
        return {
          node,
          incarnation,
          part,
          wasVoter,
          state: "",
          isUp,
          matchOffset: UNKNOWN,
          heardMs: UNKNOWN,
          caughtUpMs: UNKNOWN,
        };
      }
      return {
        node,
        incarnation,
        part,
        wasVoter,
        state: peer.isFull ? "full" : isComplete(peer, log) ? "following" : STATES[peer.state],
        isUp,
        matchOffset: matchOffsetOf(peer, log),
        heardMs: agoMs(peer.heardMs, host.nowMs()),
        // Its connection vouches for a peer to which all is said.
        caughtUpMs: peer.isQuiet && isUp ? 0 : agoMs(peer.caughtUpMs, host.nowMs()),
      };
    }),
  };
}

/** There is nothing for which it would be asked where its log ends. One whose log is damaged says that it is busy. */
function isComplete(peer: Peer, { lastIndex }: Pick<Log, "lastIndex">): boolean {
  return peer.isUp && !peer.isBusy && peer.match >= lastIndex;
}

function agoMs(atMs: number, nowMs: number): number {
  return atMs === -Infinity ? UNKNOWN : Math.max(0, nowMs - atMs);
}

function matchOffsetOf(
  { match }: Peer,
  log: Pick<Log, "startIndex" | "lastIndex" | "offsetAt">,
): number {
  // Before the log start nothing is known of which record an entry was.
  return match < log.startIndex ? UNKNOWN : log.offsetAt(Math.min(match, log.lastIndex) + 1);
}
