/**
 * Brings the groups that this shard leads to the members that they should have, step by step
 * (`raft/next_members.ts`).
 *
 * A group is watched from when its members should change, or when this node begins to lead it, until they are as they
 * should be. Whoever leads next watches it in turn; nothing but the group's own log says how far it is. Looking costs
 * little and comes in rounds, a few groups at a time: a node that is taken away from thousands of groups does not hold
 * up anything else.
 *
 * @module
 */

import { Timer, type Timers } from "../io/timers.ts";
import type { WantedMembers } from "../raft/next_members.ts";

/** Between two looks at the watched groups (ms). */
const ROUND_MS = 50;
/** Groups looked at in one round. */
const GROUPS_PER_ROUND = 64;

/** A replica as the steward sees it. */
export interface StewardedReplica {
  /** A leader goes a step; true: it leads, and the members are as wanted, which is committed. */
  approach(wanted: WantedMembers): boolean;
  readonly leading: boolean;
}

export interface MemberStewardOptions {
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly replicaOf: (groupId: number) => StewardedReplica | undefined;
  /** Who should belong to the group; null: it needs no looking after (any more). */
  readonly wanted: (groupId: number) => WantedMembers | null;
  /** The members are as wanted; returns whether the group needs looking after nevertheless. */
  readonly onSettled: (groupId: number) => boolean;
}

export class MemberSteward {
  readonly #options: MemberStewardOptions;
  readonly #timer = new Timer(() => this.#look());
  /** In the order in which they are looked at. */
  readonly #watched = new Set<number>();

  constructor(options: MemberStewardOptions) {
    this.#options = options;
  }

  /** The group's members may not be as they should; does nothing where another node leads. */
  watch(groupId: number): void {
    this.#watched.add(groupId);
    const { timers, nowMs } = this.#options;
    if (!this.#timer.scheduled) timers.schedule(this.#timer, nowMs());
  }

  /** Groups that are watched. */
  get count(): number {
    return this.#watched.size;
  }

  stop(): void {
    this.#watched.clear();
    this.#options.timers.cancel(this.#timer);
  }

  #look(): void {
    let room = GROUPS_PER_ROUND;
    for (const groupId of [...this.#watched]) {
      if (room-- === 0) break;
      // Whoever was looked at comes last.
      this.#watched.delete(groupId);
      if (this.#tend(groupId)) this.#watched.add(groupId);
    }
    const { timers, nowMs } = this.#options;
    if (this.#watched.size > 0) timers.schedule(this.#timer, nowMs() + ROUND_MS);
  }

  /** Returns whether the group is to be looked at again. */
  #tend(groupId: number): boolean {
    const { replicaOf, wanted, onSettled } = this.#options;
    const replica = replicaOf(groupId);
    const members = replica?.leading === true ? wanted(groupId) : null;
    if (replica === undefined || members === null) return false;
    return !replica.approach(members) || onSettled(groupId);
  }
}
