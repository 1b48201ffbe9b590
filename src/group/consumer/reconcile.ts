/**
 * The way of one member from what it has to its target. Pure.
 *
 * ```text
 *              target has less             it gave that up, or never had it
 *   Stable ---------------------> Unrevoked ------------------------------------+
 *     |  ^                                                                      |
 *     |  | everything it waited for is free                                     v
 *     |  +---------------------- Unreleased <---- others still have some of it -+
 *     +-------- target has more -----^                                          |
 *     ^------------------------------- all of it is free -----------------------+
 * ```
 *
 * A member gives up before it gets anything, and stays at its epoch until it has. Nothing is given to a member that
 * another one has, or has to give up: no partition ever has two owners. With new partitions a member comes to the
 * epoch of the target assignment.
 *
 * @module
 */

import {
  type Assignment,
  type Current,
  MemberState,
  NO_PARTITIONS,
  type OwnedPartitions,
  sameOwned,
} from "./types.ts";

export interface Reconciliation {
  readonly targetEpoch: number;
  readonly target: Assignment;
  /** Ids of the topics that the member reads at present; its target may be from before. */
  readonly subscribed: ReadonlySet<string>;
  /** Its subscription changed with this heartbeat. */
  readonly isResubscribed: boolean;
  /** What it says that it has; null: it said nothing. */
  readonly owned: Assignment | null;
  /** No member has the partition, nor is on the way to give it up. */
  isFree(topicId: string, partition: number): boolean;
}

/** What the member has next; `current` itself when that does not change. */
export function reconcile(current: Current, to: Reconciliation): Current {
  const next = nextOf(current, to);
  return sameCurrent(current, next) ? current : next;
}

/** The member has its target, of the newest epoch. */
export function isReconciled(current: Current, targetEpoch: number): boolean {
  return current.state === MemberState.STABLE && current.epoch === targetEpoch;
}

function nextOf(current: Current, to: Reconciliation): Current {
  switch (current.state) {
    case MemberState.STABLE:
      if (current.epoch !== to.targetEpoch) return towardsTarget(current, current.epoch, to);
      return to.isResubscribed ? withoutUnread(current, to) : current;
    case MemberState.UNREVOKED:
      if (hasAny(to.owned, current.revoking)) {
        return to.isResubscribed ? withoutUnread(current, to) : current;
      }
      return towardsTarget(current, current.epoch, to);
    case MemberState.UNRELEASED:
      return towardsTarget(current, current.epoch, to);
    default:
      // Of a later release: the caller has made sure that the member has nothing.
      return towardsTarget(current, to.targetEpoch, to);
  }
}

/** Takes what the member reads no more, and leaves the rest as it is. */
function withoutUnread(current: Current, to: Reconciliation): Current {
  const assigned = new Map(current.assigned);
  const revoking = new Map(current.revoking);
  for (const [topicId, partitions] of current.assigned) {
    if (to.subscribed.has(topicId)) continue;
    assigned.delete(topicId);
    revoking.set(topicId, new Map([...revoking.get(topicId) ?? [], ...partitions]));
  }
  if (assigned.size === current.assigned.size) return current;
  const { epoch } = current;
  return hasAny(to.owned, revoking)
    ? { epoch, previousEpoch: epoch, state: MemberState.UNREVOKED, assigned, revoking }
    : { ...current, previousEpoch: epoch, assigned };
}

function towardsTarget(current: Current, epoch: number, to: Reconciliation): Current {
  const assigned = new Map<string, Map<number, number>>();
  const revoking = new Map<string, Map<number, number>>();
  const gained = new Map<string, number[]>();
  let waits = false;
  for (const topicId of new Set([...to.target.keys(), ...current.assigned.keys()])) {
    const wanted = new Set(to.subscribed.has(topicId) ? to.target.get(topicId) ?? [] : []);
    for (const [partition, since] of current.assigned.get(topicId) ?? []) {
      put(wanted.has(partition) ? assigned : revoking, topicId, partition, since);
      wanted.delete(partition);
    }
    for (const partition of wanted) {
      const isOwn = current.revoking.get(topicId)?.has(partition) === true;
      if (isOwn || to.isFree(topicId, partition)) {
        const partitions = gained.get(topicId);
        if (partitions === undefined) gained.set(topicId, [partition]);
        else partitions.push(partition);
      } else {
        waits = true;
      }
    }
  }
  const previousEpoch = current.epoch;
  if (revoking.size > 0 && hasAny(to.owned, revoking)) {
    return { epoch, previousEpoch, state: MemberState.UNREVOKED, assigned, revoking };
  }
  for (const [topicId, partitions] of gained) {
    for (const partition of partitions) put(assigned, topicId, partition, to.targetEpoch);
  }
  const state = waits ? MemberState.UNRELEASED : MemberState.STABLE;
  return { epoch: to.targetEpoch, previousEpoch, state, assigned, revoking: NO_PARTITIONS };
}

function put(
  to: Map<string, Map<number, number>>,
  topicId: string,
  partition: number,
  epoch: number,
): void {
  const partitions = to.get(topicId);
  if (partitions === undefined) to.set(topicId, new Map([[partition, epoch]]));
  else partitions.set(partition, epoch);
}

/** Whether the member may still have some of `partitions`: who says nothing may have all. */
function hasAny(owned: Assignment | null, partitions: OwnedPartitions): boolean {
  if (owned === null) return true;
  for (const [topicId, list] of owned) {
    const asked = partitions.get(topicId);
    if (asked !== undefined && list.some((partition) => asked.has(partition))) return true;
  }
  return false;
}

/** The epoch before changes with every step, so it says nothing by itself. */
function sameCurrent(a: Current, b: Current): boolean {
  return a.epoch === b.epoch && a.state === b.state && sameOwned(a.assigned, b.assigned) &&
    sameOwned(a.revoking, b.revoking);
}
