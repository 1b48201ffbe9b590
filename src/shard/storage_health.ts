/**
 * Problems of a shard's storage: a disk without room, damaged partitions. Every shard detects its own problems
 * and reports them to the control thread when they change.
 *
 * A full disk is a state, not an event: appends meet it again and again. The state begins with the first
 * operation that finds no room. It ends when no operation has failed for a while and one has found room since,
 * or when the file system has more room than before.
 *
 * @module
 */

import { partitionOfPath } from "../storage/log_names.ts";
import type { Log } from "../storage/log.ts";
import type { Damage } from "../storage/shard_storage.ts";
import { Timer, type Timers } from "../io/timers.ts";

/** How often a shard looks (ms). */
const LOOK_MS = 500;
/** A full disk ends at the earliest this long after the last refusal (ms). */
const ROOM_AFTER_MS = 2_000;
/** More room than when it was full that ends it, though nobody has asked for any (bytes). */
const ROOM_BYTES = 32 * 2 ** 20;
/** Damaged partitions that a shard names, and groups that it remembers at all. */
const NAMED_MAX = 100;
const GROUPS_MAX = 100_000;
/** Damages of one group that are remembered; the others are met again. */
const DAMAGES_PER_GROUP_MAX = 1_000;

type Place = Pick<Damage, "groupId" | "file" | "position">;

/** Shares of the file system in use that are reported, ascending (percent). */
const FILLING_PERCENT = [85, 90, 95] as const;
/** A share is no longer reached when this much less is in use: small changes are not reported (percent). */
const FILLING_SLACK_PERCENT = 3;

/** A partition that cannot be served whole. */
export interface HurtPartition {
  readonly groupId: number;
  /** `orders-3`, as Kafka writes it. */
  readonly partition: string;
  /** Nothing may be appended; else only some of its records cannot be read. */
  readonly readOnly: boolean;
}

/** State of a shard's storage. */
export interface StorageHealth {
  /** Appends are refused for want of room. */
  readonly full: boolean;
  readonly freeBytes: number;
  /** The highest of {@linkcode FILLING_PERCENT} that the file system has reached; 0: none. */
  readonly filledPercent: number;
  /** The first {@linkcode NAMED_MAX}, and how many there are. */
  readonly hurt: readonly HurtPartition[];
  readonly hurtCount: number;
}

export interface StorageHealthOptions {
  readonly logs: () => ReadonlyMap<number, Log>;
  readonly freeBytes: () => number;
  readonly totalBytes: () => number;
  readonly nowMs: () => number;
  readonly tell: (health: StorageHealth) => void;
}

export class StorageHealthWatch {
  readonly #options: StorageHealthOptions;
  /** Damage that somebody met, by group and place. */
  readonly #damaged = new Map<number, Map<string, Damage>>();
  #full = false;
  #missedMs = -Infinity;
  #foundMs = -Infinity;
  #freeWhenMissed = 0;
  #filledPercent = 0;
  #told = "";

  constructor(options: StorageHealthOptions) {
    this.#options = options;
  }

  /** Looks every now and then from now on. */
  start(timers: Timers): void {
    const timer = new Timer(() => {
      this.look();
      timers.schedule(timer, this.#options.nowMs() + LOOK_MS);
    });
    timers.schedule(timer, this.#options.nowMs() + LOOK_MS);
  }

  /** Somebody met damage. */
  noteDamage(damage: Damage): void {
    if (damage.groupId < 0 || damage.harmless === true) return;
    let places = this.#damaged.get(damage.groupId);
    if (places === undefined) {
      if (this.#damaged.size === GROUPS_MAX) return;
      places = new Map();
      this.#damaged.set(damage.groupId, places);
    }
    if (places.size < DAMAGES_PER_GROUP_MAX) places.set(placeKey(damage), damage);
  }

  /** What was damaged was given up, or can be read after all. */
  noteMended(place: Place): void {
    this.#damaged.get(place.groupId)?.delete(placeKey(place));
  }

  /** An operation that needs room on the disk found it, or did not. */
  noteRoom(found: boolean): void {
    const nowMs = this.#options.nowMs();
    if (found) {
      this.#foundMs = nowMs;
      return;
    }
    this.#missedMs = nowMs;
    if (!this.#full) this.#freeWhenMissed = this.#options.freeBytes();
    this.#full = true;
  }

  /** Tells the state if it is another one than last time. */
  look(): void {
    if (this.#full && this.#hasRoomAgain()) this.#full = false;
    this.#filledPercent = this.#filled();
    const filledPercent = this.#filledPercent;
    const { named, count } = this.#hurtPartitions();
    const key = JSON.stringify([this.#full, filledPercent, count, named]);
    const isSound = !this.#full && filledPercent === 0 && count === 0;
    if (key === this.#told || (this.#told === "" && isSound)) return;
    this.#told = key;
    const { tell, freeBytes } = this.#options;
    const full = this.#full;
    tell({ full, freeBytes: freeBytes(), filledPercent, hurt: named, hurtCount: count });
  }

  /** What the file system has reached of {@linkcode FILLING_PERCENT}. */
  #filled(): number {
    const { freeBytes, totalBytes } = this.#options;
    const used = 100 * (1 - freeBytes() / Math.max(1, totalBytes()));
    const reached = FILLING_PERCENT.findLast((percent) => used >= percent) ?? 0;
    const kept = used > this.#filledPercent - FILLING_SLACK_PERCENT ? this.#filledPercent : 0;
    return Math.max(reached, kept);
  }

  #hasRoomAgain(): boolean {
    const { nowMs, freeBytes } = this.#options;
    if (nowMs() - this.#missedMs < ROOM_AFTER_MS) return false;
    return this.#foundMs > this.#missedMs || freeBytes() >= this.#freeWhenMissed + ROOM_BYTES;
  }

  #hurtPartitions(): { named: HurtPartition[]; count: number } {
    const logs = this.#options.logs();
    const named: HurtPartition[] = [];
    let count = 0;
    const add = (groupId: number, log: Log, readOnly: boolean): void => {
      count++;
      if (named.length === NAMED_MAX) return;
      named.push({ groupId, partition: partitionOfPath(log.directory), readOnly });
    };
    for (const [groupId, log] of logs) if (log.suspect) add(groupId, log, true);
    for (const [groupId, places] of this.#damaged) {
      const log = logs.get(groupId);
      for (const [key, { endOffset = Infinity }] of places) {
        // Deleted, or before the log start by now.
        if (log === undefined || endOffset <= log.startOffset) places.delete(key);
      }
      if (places.size === 0) this.#damaged.delete(groupId);
      else if (log?.suspect === false) add(groupId, log, false);
    }
    return { named, count };
  }
}

function placeKey({ file, position }: Place): string {
  return `${file}:${position}`;
}
