/**
 * The way from a group's members to those that it should have, one configuration at a time.
 *
 *     1. lives that are over leave      a node that lost its disk is another member, and one node is never two
 *     2. new members come as learners   while the voters stay what they are
 *     3. the learners have caught up    the voters change, all at once, by a joint configuration, as soon as a majority
 *                                       of the wanted ones keeps up: fewer could neither finish that, nor take it back
 *
 * Each step is proposed when the one before is committed (`ConfigurationChange`). Whoever leads can go on from wherever
 * the log says that the group is; nothing else is remembered.
 *
 * @module
 */

import { type Configuration, type Member, memberOf, sameMembers } from "./configuration.ts";
import { LEARNERS_MAX } from "./limits.ts";

/** Who should belong to a group. */
export interface WantedMembers {
  /** In order of preference. */
  readonly voters: readonly Member[];
  readonly learners: readonly Member[];
}

/**
 * The next configuration to propose; null when there is nothing to propose now: the members are as they should be, or
 * a learner has not caught up.
 *
 * @param now a configuration that is committed and not joint
 * @param isCaughtUp whether a member, this node too, keeps up now: a learner could become a voter
 */
export function nextMembers(
  now: Configuration,
  wanted: WantedMembers,
  isCaughtUp: (node: number) => boolean,
): WantedMembers | null {
  if (sameMembers(now.voters, wanted.voters) && sameMembers(now.learners, wanted.learners)) {
    return null;
  }
  const all = [...wanted.voters, ...wanted.learners];
  const isPast = ({ node, incarnation }: Member): boolean => {
    const present = memberOf(all, node);
    return present !== null && present.incarnation !== incarnation;
  };
  if ([...now.voters, ...now.learners].some(isPast)) {
    const voters = now.voters.filter((member) => !isPast(member));
    // A group cannot be without voters: the present ones go when there are others.
    if (voters.length > 0) return { voters, learners: now.learners.filter((one) => !isPast(one)) };
    return null;
  }
  const isThere = ({ node }: Member): boolean =>
    memberOf(now.voters, node) !== null || memberOf(now.learners, node) !== null;
  const missing = all.filter((member) => !isThere(member));
  if (missing.length > 0) {
    // Learners that nobody wants make room for those that are to become voters.
    const kept = now.learners.filter(({ node }) => memberOf(all, node) !== null);
    const learners = [...kept, ...missing].slice(0, LEARNERS_MAX);
    if (!sameMembers(learners, now.learners)) return { voters: now.voters, learners };
  }
  const isReady = wanted.voters.every(({ node }) =>
    memberOf(now.voters, node) !== null || isCaughtUp(node)
  );
  return isReady && keepsMajority(now, wanted, isCaughtUp) ? wanted : null;
}

/** Whether the wanted voters could commit without those that leave. */
function keepsMajority(
  now: Configuration,
  { voters }: WantedMembers,
  isCaughtUp: (node: number) => boolean,
): boolean {
  const isSame = voters.length === now.voters.length &&
    voters.every(({ node }) => memberOf(now.voters, node) !== null);
  return isSame || voters.filter(({ node }) => isCaughtUp(node)).length > voters.length >>> 1;
}

/** Whether a group has exactly these members, by a configuration that is not joint. */
export function isAsWanted(now: Configuration, wanted: WantedMembers): boolean {
  return now.outgoing.length === 0 && sameMembers(now.voters, wanted.voters) &&
    sameMembers(now.learners, wanted.learners);
}

/** Whether a joint configuration leads somewhere else than to `wanted`: it should be cancelled. */
export function isAstray(now: Configuration, wanted: WantedMembers): boolean {
  if (now.outgoing.length === 0) return false;
  const has = (members: readonly Member[], { node, incarnation }: Member): boolean =>
    memberOf(members, node)?.incarnation === incarnation;
  // On the way to an intermediate step everybody is wanted, or is a life that is over.
  return now.voters.some((member) => !has(wanted.voters, member)) &&
    now.outgoing.every((member) => has(wanted.voters, member));
}
