/**
 * Mends what is damaged of a shard's replicated logs, with the records of other nodes.
 *
 * ```text
 *   a read meets an extent that cannot be read ──► note ──► queue ──► refill (src/storage/refill.ts) ──► mended
 *   nobody reads it ──► inspection: all extents, slowly, round after round; of a damaged log at once
 * ```
 *
 * One extent at a time. Where other nodes cannot be reached, it is tried again, ever more rarely. Where all of them have
 * answered and none has the records, and where the disk refuses them again and again, the log is as one that no other node
 * has: its reads fail for good, until they are mended after all. Meanwhile reads get an error that clients try again.
 *
 * @module
 */

import type { EventLog } from "../base/event_log.ts";
import {
  HURRIED_INSPECTION_BYTES_PER_MS,
  INSPECTION_BEGINS_MS,
  INSPECTION_BYTES_PER_MS,
  INSPECTION_PAUSE_MS,
  MENDINGS_MAX,
} from "../base/limits.ts";
import { LogLevel } from "../base/logger.ts";
import { runTask } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { Refilled } from "../storage/refill.ts";
import type { ExtentPlace, ShardStorage } from "../storage/shard_storage.ts";
import type { ShardReplication } from "./shard_replication.ts";

/** Pauses before the next attempt (ms): the first one, and at most; doubled each time. */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 10_000;
/** So many of them meet a disk that does not give back what shares a block with the records: about a minute. */
const EDGE_ATTEMPTS = 12;
/** The disk has refused the records so often that it is taken for one that never takes them: about 15 s. */
const FAILED_ATTEMPTS = 8;
/** The same where no other node has the records, or the disk does not take them. */
const HOPELESS_PAUSE_MS = 30_000;

export interface MenderOptions {
  readonly storage: ShardStorage;
  readonly replication: ShardReplication;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly events: EventLog;
  /** Whether the programs of all nodes know what they would be asked of a group. */
  readonly mayAsk: (groupId: number) => boolean;
}

/** An extent that is to be mended. */
interface Mending {
  readonly place: ExtentPlace;
  pauseMs: number;
  /** Not before. */
  atMs: number;
  /** No other node has it, or the disk does not take it. */
  isHopeless: boolean;
  /** How often in a row the disk did not take it. */
  failures: number;
  /** How often what shares a block with it could not be read. */
  edges: number;
}

export class Mender {
  readonly #options: MenderOptions;
  readonly #mendings = new Map<string, Mending>();
  #isMending = false;
  readonly #timer = new Timer(() => this.#mendNext());
  /** Groups with damage, which are inspected first. */
  readonly #hurried = new Set<number>();
  #isInspecting = false;
  readonly #inspection = new Timer(() => this.#inspect());
  /** Extents that were mended since the start. */
  mended = 0;

  constructor(options: MenderOptions) {
    this.#options = options;
    const { storage, timers, nowMs } = options;
    storage.mends = (groupId) => this.#mends(groupId);
    storage.onUnreadable = (place) => this.note(place);
    timers.schedule(this.#inspection, nowMs() + INSPECTION_BEGINS_MS);
  }

  /** Damage that somebody met, or that was there before. */
  note(place: ExtentPlace): void {
    const key = `${place.file}:${place.position}`;
    if (!this.#hasOthers(place.groupId) || this.#mendings.has(key)) return;
    if (this.#mendings.size === MENDINGS_MAX) return;
    const { timers, nowMs, storage } = this.#options;
    this.#mendings.set(key, {
      place,
      pauseMs: PAUSE_MS_MIN,
      atMs: nowMs(),
      isHopeless: false,
      failures: 0,
      edges: 0,
    });
    if (!this.#timer.scheduled || this.#timer.deadlineMs > nowMs()) {
      timers.schedule(this.#timer, nowMs());
    }
    if (this.#hurried.has(place.groupId)) return;
    // Damage comes in company.
    this.#hurried.add(place.groupId);
    storage.inspector.first(place.groupId);
    if (!this.#isInspecting) timers.schedule(this.#inspection, nowMs());
  }

  #hasOthers(groupId: number): boolean {
    const { mayAsk, replication } = this.#options;
    if (!mayAsk(groupId)) return false;
    const replica = replication.replicaOf(groupId);
    return replica !== undefined && !replica.isClosed && replica.others.length > 0;
  }

  #mends(groupId: number): boolean {
    if (!this.#hasOthers(groupId)) return false;
    for (const { place, isHopeless } of this.#mendings.values()) {
      if (isHopeless && place.groupId === groupId) return false;
    }
    return true;
  }

  #mendNext(): void {
    if (this.#isMending) return;
    const { mayAsk, nowMs, storage, replication } = this.#options;
    let next: Mending | null = null;
    for (const [key, mending] of this.#mendings) {
      // Whoever meets the damage later notes it again.
      if (!mayAsk(mending.place.groupId)) this.#mendings.delete(key);
      else if (next === null || mending.atMs < next.atMs) next = mending;
    }
    if (next === null) return;
    const mending = next;
    if (mending.atMs > nowMs()) return this.#options.timers.schedule(this.#timer, mending.atMs);
    this.#isMending = true;
    replication.refills.lastGiver = -1;
    const mayBlank = mending.edges >= EDGE_ATTEMPTS;
    runTask(storage.refill(mending.place, replication.refills, mayBlank), (result) => {
      this.#isMending = false;
      this.#noteResult(mending, result);
      this.#options.timers.schedule(this.#timer, nowMs());
    });
  }

  #noteResult(mending: Mending, result: Refilled): void {
    const { events, nowMs, replication } = this.#options;
    const { place: { groupId, file, position } } = mending;
    const isOver = result === Refilled.MENDED || !this.#hasOthers(groupId);
    if (isOver) this.#mendings.delete(`${file}:${position}`);
    const fromNode = replication.refills.lastGiver;
    // Else a disk that did not answer for a while has answered.
    if (result === Refilled.MENDED && fromNode >= 0) {
      this.mended++;
      const fields = { file, position, fromNode };
      events.note("Damaged records are whole again: another node had them", fields);
    }
    if (isOver) return;
    if (result === Refilled.EDGE) mending.edges++;
    const isAbsent = result === Refilled.ABSENT;
    if (isAbsent && !mending.isHopeless) {
      const what = "Damaged records cannot be had from another node: none has them";
      events.note(what, { file, position }, LogLevel.ERROR);
    }
    if (result === Refilled.FAILED && mending.pauseMs === PAUSE_MS_MIN) {
      const what =
        "The disk does not take the records that another node had in the place of damaged ones";
      events.note(what, { file, position }, LogLevel.ERROR);
    }
    mending.failures = result === Refilled.FAILED ? mending.failures + 1 : 0;
    mending.isHopeless = isAbsent || mending.failures >= FAILED_ATTEMPTS ||
      (mending.isHopeless && result !== Refilled.BUSY);
    mending.atMs = nowMs() + (mending.isHopeless ? HOPELESS_PAUSE_MS : mending.pauseMs);
    mending.pauseMs = Math.min(PAUSE_MS_MAX, 2 * mending.pauseMs);
  }

  #inspect(): void {
    const { nowMs, storage: { inspector }, timers } = this.#options;
    if (inspector.groupId < 0) inspector.begin(this.#groups());
    const { groupId } = inspector;
    this.#isInspecting = true;
    runTask(inspector.next(), (bytes) => {
      this.#isInspecting = false;
      if (inspector.groupId !== groupId) this.#hurried.delete(groupId);
      const isHurried = this.#hurried.has(inspector.groupId);
      const perMs = isHurried ? HURRIED_INSPECTION_BYTES_PER_MS : INSPECTION_BYTES_PER_MS;
      let waitMs = Math.max(1, Math.ceil(bytes / perMs));
      if (bytes < 0) waitMs = groupId < 0 ? INSPECTION_BEGINS_MS : INSPECTION_PAUSE_MS;
      timers.schedule(this.#inspection, nowMs() + waitMs);
    });
  }

  /** Replicas of more than this node. */
  #groups(): number[] {
    const groups: number[] = [];
    if (this.#options.replication.isAlone) return groups;
    for (const { groupId, others } of this.#options.replication.replicas) {
      if (others.length > 0) groups.push(groupId);
    }
    return groups;
  }
}
