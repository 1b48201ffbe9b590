/**
 * Incremental fetch sessions (KIP-227).
 *
 * A consumer names its partitions once; later requests carry only what changed, and responses only
 * the partitions with news. A session belongs to the shard of the connection that made it; a client
 * that returns on another shard gets FETCH_SESSION_ID_NOT_FOUND and starts a new one, as after a
 * broker's restart.
 *
 * ```text
 *   request (session id, epoch)     meaning
 *   (0, -1)                         no session wanted: a full fetch
 *   (0, 0) or (id, 0)               full fetch; creates a session (dropping the old one)
 *   (id, n > 0)                     incremental: n is the epoch that the session expects
 *   (id, -1)                        close the session; a full fetch
 * ```
 *
 * @module
 */

import { FETCH_SESSION_PARTITIONS_MAX } from "../base/limits.ts";
import type { Random } from "../base/prng.ts";

/** The epoch that asks for no session. */
export const EPOCH_FINAL = -1;
/** The epoch that asks for a new session. */
export const EPOCH_INITIAL = 0;
/** A session unused for this long may be evicted for another (ms; Kafka's default). */
const EVICTION_MS = 120_000;

/** One partition that a fetch asks for, in a session or for one request. */
export class FetchPartition {
  /** The topic's handle on this shard, or -1: unknown when it was asked for. */
  topicHandle = -1;
  /** The topic as the client names it, for answers about unknown topics: name, or id in hex. */
  topicName = "";
  topicId = "";
  partition = 0;
  fetchOffset = 0;
  maxBytes = 0;
  currentLeaderEpoch = -1;
  lastFetchedEpoch = -1;
  // The values of the last response, to detect changes.
  sentHighWatermark = -1;
  sentStartOffset = -1;
  sentError = 0;
}

/** A partition's key in its session: the same for every request that names it the same way. */
export function fetchPartitionKey(topic: string, partition: number): string {
  return `${topic}\0${partition}`;
}

export class FetchSession {
  readonly id: number;
  /** Its requests name topics by id (since version 13), not by name. */
  readonly byId: boolean;
  /** The epoch that the next request must carry. */
  nextEpoch = 1;
  /** In the order of service: who got data goes to the end. */
  readonly partitions = new Map<string, FetchPartition>();
  lastUsedMs: number;
  /** A request of this session is being served. */
  busy = false;

  constructor(id: number, byId: boolean, nowMs: number) {
    this.id = id;
    this.byId = byId;
    this.lastUsedMs = nowMs;
  }

  /** Moves on to the epoch after the present one, wrapping to 1. */
  advance(nowMs: number): void {
    this.nextEpoch = this.nextEpoch === 0x7fffffff ? 1 : this.nextEpoch + 1;
    this.lastUsedMs = nowMs;
  }

  /** Moves a partition that got data after the others, so that all get their turn. */
  rotate(key: string): void {
    const partition = this.partitions.get(key);
    if (partition === undefined) return;
    this.partitions.delete(key);
    this.partitions.set(key, partition);
  }
}

/** The sessions of one shard. */
export class FetchSessions {
  readonly #slotsMax: number;
  readonly #random: Random;
  readonly #sessions = new Map<number, FetchSession>();
  /** Partitions of all sessions. */
  #partitions = 0;

  /** @param slotsMax sessions kept at once (`max.incremental.fetch.session.cache.slots`, per shard) */
  constructor(slotsMax: number, random: Random) {
    this.#slotsMax = slotsMax;
    this.#random = random;
  }

  get size(): number {
    return this.#sessions.size;
  }

  find(id: number): FetchSession | undefined {
    return this.#sessions.get(id);
  }

  close(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#partitions -= session.partitions.size;
  }

  /** Partitions of all sessions together. */
  get partitionCount(): number {
    return this.#partitions;
  }

  /** Whether `count` more partitions may be added; evicts stale sessions for them. */
  makeRoom(count: number, nowMs: number): boolean {
    while (this.#partitions + count > FETCH_SESSION_PARTITIONS_MAX) {
      if (!this.#evict(nowMs)) return false;
    }
    return true;
  }

  /** Adds a partition to an open session. */
  add(session: FetchSession, key: string, partition: FetchPartition): void {
    session.partitions.set(key, partition);
    if (this.#sessions.has(session.id)) this.#partitions++;
  }

  remove(session: FetchSession, key: string): void {
    if (session.partitions.delete(key) && this.#sessions.has(session.id)) this.#partitions--;
  }

  /** Creates a session, evicting a stale one if necessary; null when there is no room. */
  create(nowMs: number, byId: boolean): FetchSession | null {
    if (this.#sessions.size >= this.#slotsMax && !this.#evict(nowMs)) return null;
    let id: number;
    do {
      id = 1 + this.#random.nextBelow(0x7fffffff - 1);
    } while (this.#sessions.has(id));
    const session = new FetchSession(id, byId, nowMs);
    this.#sessions.set(id, session);
    return session;
  }

  /** Keeps the map in order of use, so that the first is the oldest. */
  touch(session: FetchSession): void {
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  #evict(nowMs: number): boolean {
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs < EVICTION_MS) return false;
      if (session.busy) continue;
      this.close(session.id);
      return true;
    }
    return false;
  }
}
