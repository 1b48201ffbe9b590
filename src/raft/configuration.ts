/**
 * Who belongs to a group, and the bytes of that (`docs/formats/raft_configuration.md`).
 *
 * Voters elect and commit. Learners are replicated to and count for nothing. In between two sets of voters there
 * is a *joint* configuration, which has both: every decision then needs a majority of each.
 *
 *     simple   voters = new                 outgoing = none
 *     joint    voters = new                 outgoing = old        then, when that is committed: simple
 *     cancel   voters = old                 outgoing = new        instead of the latter; then: simple
 *
 * A configuration is in force from the moment it is in the log, and while it is there.
 *
 * @module
 */

import { LEARNERS_MAX, VOTERS_MAX } from "./limits.ts";

/** One replica: a node, and which of its lives. A node that lost its disk comes back as another member. */
export interface Member {
  readonly node: number;
  readonly incarnation: number;
}

export interface Configuration {
  /** In order of preference: the first one should lead. */
  readonly voters: readonly Member[];
  /** The voters before, in a joint configuration; otherwise none. */
  readonly outgoing: readonly Member[];
  readonly learners: readonly Member[];
}

const FORMAT = 1;
const HEADER_SIZE = 8;
const MEMBER_SIZE = 8;

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

export function memberOf(members: readonly Member[], node: number): Member | null {
  for (const member of members) if (member.node === node) return member;
  return null;
}

export function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return a.length === b.length &&
    a.every((member, at) =>
      member.node === b[at]!.node && member.incarnation === b[at]!.incarnation
    );
}

/**
 * Whether it can be used: there are voters, no node twice in a set or under two incarnations, and no learner among
 * the voters. An outgoing voter may be a learner: it becomes one.
 */
export function isValid(configuration: Configuration): boolean {
  const { voters, outgoing, learners } = configuration;
  if (voters.length === 0 || voters.length > VOTERS_MAX || outgoing.length > VOTERS_MAX) {
    return false;
  }
  if (learners.length > LEARNERS_MAX) return false;
  const incarnations = new Map<number, number>();
  for (const set of [voters, outgoing, learners]) {
    const seen = new Set<number>();
    for (const { node, incarnation } of set) {
      if (!Number.isInteger(node) || node < 0 || seen.has(node)) return false;
      seen.add(node);
      if (set === learners && memberOf(voters, node) !== null) return false;
      if ((incarnations.get(node) ?? incarnation) !== incarnation) return false;
      incarnations.set(node, incarnation);
    }
  }
  return true;
}

/** The payload of a CONFIGURATION entry. */
export function encodeConfiguration(configuration: Configuration): Uint8Array<ArrayBuffer> {
  const { voters, outgoing, learners } = configuration;
  const count = voters.length + outgoing.length + learners.length;
  const view = new DataView(new ArrayBuffer(HEADER_SIZE + count * MEMBER_SIZE));
  view.setUint8(0, FORMAT);
  view.setUint8(1, voters.length);
  view.setUint8(2, outgoing.length);
  view.setUint8(3, learners.length);
  let at = HEADER_SIZE;
  for (const { node, incarnation } of [...voters, ...outgoing, ...learners]) {
    view.setInt32(at, node, true);
    view.setUint32(at + 4, incarnation, true);
    at += MEMBER_SIZE;
  }
  return new Uint8Array(view.buffer);
}

/** Null when the bytes are no valid configuration: they may come from a peer. */
export function decodeConfiguration(payload: Uint8Array<ArrayBuffer>): Configuration | null {
  if (payload.length < HEADER_SIZE) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (view.getUint8(0) !== FORMAT || view.getUint32(4, true) !== 0) return null;
  const counts = [view.getUint8(1), view.getUint8(2), view.getUint8(3)] as const;
  const count = counts[0] + counts[1] + counts[2];
  if (payload.length !== HEADER_SIZE + count * MEMBER_SIZE) return null;
  let at = HEADER_SIZE;
  const read = (length: number): Member[] =>
    Array.from({ length }, () => {
      const member = { node: view.getInt32(at, true), incarnation: view.getUint32(at + 4, true) };
      at += MEMBER_SIZE;
      return member;
    });
  const configuration = {
    voters: read(counts[0]),
    outgoing: read(counts[1]),
    learners: read(counts[2]),
  };
  return isValid(configuration) ? configuration : null;
}
