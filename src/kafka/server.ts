/**
 * The Kafka side of a shard: its connections, and the first look at every request.
 *
 * Produce and Fetch go to their own paths, in place; everything else is copied out of the region and
 * goes to the router. A request that cannot be understood closes its own connection and no other: an unknown API
 * or version, a header or body that does not decode. Only ApiVersions answers a version that it does
 * not know, because the client has to learn the versions first (KIP-511).
 *
 * Lives on one shard; created in `src/shard/shard.ts`.
 *
 * @module
 */

import {
  CONNECTIONS_PER_SHARD_MAX,
  RECLAIM_AT_ONCE,
  RECLAIM_CHECK_MS,
  RECLAIM_STALLED_MS,
} from "../base/limits.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import { Cursor } from "../bytes/cursor.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Sockets } from "../io/sockets.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { Slot } from "../metrics/catalog.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import { apiByKey } from "../wire/generated/apis.ts";
import { readRequestHeader, requestHeaderVersion, responseHeaderVersion } from "../wire/header.ts";
import { Connection } from "./connection.ts";
import { type ConnectionHost, type ConnectionMemory, Lack } from "./connection_host.ts";
import {
  HeapLane,
  LARGE_REQUEST_SIZE,
  LONG_ANSWER_HEAP,
  type RequestHeap,
  WAITING_JOIN_SIZE_MAX,
} from "./request_heap.ts";
import type { ResponseSlot } from "./response.ts";
import type { AnyHandler, HandlerRegistry, Router } from "./router.ts";

const PRODUCE_KEY = 0;
const FETCH_KEY = 1;
const JOIN_GROUP_KEY = 11;
const HEARTBEAT_KEY = 12;
const SYNC_GROUP_KEY = 14;
const API_VERSIONS_KEY = 18;
/** The largest of the requests that are tiny (bytes). */
const TINY_REQUEST_SIZE = 1024;
/** How often deadlines of connections are looked at (ms). */
const DEADLINE_CHECK_MS = 5_000;
/** Protocol violations logged one by one, and the interval between later ones (ms). */
const VIOLATIONS_AT_ONCE = 20;
const VIOLATION_PERIOD_MS = 1_000;
/** What a long poll may hold, and what somebody who takes no answer does. */
const POLL_LACKS = Lack.RECEIVE | Lack.HEAP;
const SEND_LACKS = Lack.SEND | Lack.HEAP;
/** Bytes before the body of a response with an empty tag section. */
const RESPONSE_HEADER_SIZE = 4;

/** A path that reads its requests in place. */
export interface InPlacePath {
  /** May a request of this size be taken now? If not, `resume` is called on the server later. */
  mayStart(size: number): boolean;
  /**
   * Takes a request.
   *
   * @returns false when it is malformed: the connection is closed
   */
  start(connection: Connection, slot: ResponseSlot, address: number, length: number): boolean;
}

/** Memory that connections share, and wait for. */
export interface SharedMemory extends ConnectionMemory {
  whenReleased(again: () => void, lack: Lack): void;
  /** What somebody has waited for since this was last asked: a sum of {@linkcode Lack}. */
  takeLacks(): number;
}

export interface ServerOptions {
  readonly memory: Memory;
  readonly blocks: SharedMemory;
  readonly sockets: Sockets;
  readonly heap: RequestHeap;
  readonly timers: Timers;
  readonly registry: HandlerRegistry;
  readonly router: Router;
  readonly produce: InPlacePath;
  readonly fetch: InPlacePath;
  readonly logger: Logger;
  readonly recorder: ShardRecorder;
  readonly nowMs: () => number;
  /** `connections.max.idle.ms`. */
  readonly idleMaxMs: number;
  readonly onConnectionClosed: () => void;
}

export class KafkaServer implements ConnectionHost {
  readonly memory: Memory;
  readonly blocks: SharedMemory;
  readonly sockets: Sockets;
  readonly heap: RequestHeap;
  readonly recorder: ShardRecorder;
  readonly #options: ServerOptions;
  readonly #connections = new Set<Connection>();
  #dirty: Connection[] = [];
  #flushing: Connection[] = [];
  /** Connections whose next request found no room. */
  #held: Connection[] = [];
  readonly #deadlines: Timer;
  readonly #reclaim: Timer;
  /** What was short at the last look. */
  #lacked = 0;
  #heapLack = 0;
  /** Large requests that were to start since the last turn ended. */
  #largeInTurn = 0;
  #draining = false;
  readonly #violations = new ViolationRate();

  constructor(options: ServerOptions) {
    this.memory = options.memory;
    this.blocks = options.blocks;
    this.sockets = options.sockets;
    this.heap = options.heap;
    this.recorder = options.recorder;
    this.#options = options;
    this.#deadlines = new Timer(() => this.#checkDeadlines());
    options.timers.schedule(this.#deadlines, options.nowMs() + DEADLINE_CHECK_MS);
    this.#reclaim = new Timer(() => this.#checkMemory());
    options.timers.schedule(this.#reclaim, options.nowMs() + RECLAIM_CHECK_MS);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  /** Takes over an accepted socket. */
  adopt(socket: number, peer: string): void {
    if (this.#draining || this.#connections.size >= CONNECTIONS_PER_SHARD_MAX) {
      this.sockets.close(socket);
      this.#options.onConnectionClosed();
      return;
    }
    const connection = new Connection(this, socket, peer);
    this.#connections.add(connection);
    this.recorder.add(Slot.CONNECTIONS_TOTAL, 1);
    connection.open();
  }

  /** Sends what became ready this turn. */
  flush(): void {
    const dirty = this.#dirty;
    if (dirty.length > 0) this.recorder.noteTime();
    this.#dirty = this.#flushing;
    this.#flushing = dirty;
    for (let i = 0; i < dirty.length; i++) {
      dirty[i]!.dirty = false;
      dirty[i]!.flush();
    }
    dirty.length = 0;
  }

  /** There is something to do for the next turn. */
  get wantsTurn(): boolean {
    if (this.#dirty.length > 0) return true;
    return this.#held.length > 0 && (this.heap.takeReleased() || this.#largeInTurn > 1);
  }

  /** Tries again those whose next request found no room; once a turn. */
  resumeHeld(): void {
    this.#largeInTurn = 0;
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = [];
    for (const connection of held) connection.resume();
  }

  /** No new connections or requests; the open ones are answered. */
  drain(): void {
    this.#draining = true;
    this.#options.timers.cancel(this.#deadlines);
    this.#options.timers.cancel(this.#reclaim);
  }

  get openRequests(): number {
    let open = 0;
    for (const connection of this.#connections) open += connection.openRequests;
    return open;
  }

  /** Ends every connection. */
  shutdown(): void {
    for (const connection of this.#connections) connection.shutdown();
  }

  mayStart(connection: Connection, apiKey: number, size: number): boolean {
    if (this.#draining) return false;
    if (!this.#hasHeap(apiKey, size)) {
      this.#heapLack = Lack.HEAP;
    } else if (apiKey === PRODUCE_KEY) {
      if (this.#options.produce.mayStart(size)) return true;
    } else if (size < LARGE_REQUEST_SIZE || this.#largeInTurn++ === 0) {
      // A large one may make a long turn; requests of other clients run in between.
      return true;
    }
    this.#held.push(connection);
    this.recorder.add(Slot.THROTTLED, 1);
    return false;
  }

  /** Whether the objects of a request have room beside those that are open. */
  #hasHeap(apiKey: number, size: number): boolean {
    const { heap } = this;
    if (apiKey === PRODUCE_KEY) return heap.hasRoom(HeapLane.PRODUCE);
    if (apiKey === FETCH_KEY) return heap.hasRoom(HeapLane.FETCH);
    if (size <= TINY_REQUEST_SIZE && isTiny(apiKey)) return true;
    return heap.hasRoom(requestLane(apiKey, size)) && heap.hasRoom(HeapLane.RESPONSES);
  }

  start(connection: Connection, slot: ResponseSlot, address: number, length: number): void {
    connection.lastApiKey = slot.apiKey;
    if (slot.apiKey === PRODUCE_KEY || slot.apiKey === FETCH_KEY) {
      const path = slot.apiKey === PRODUCE_KEY ? this.#options.produce : this.#options.fetch;
      if (!path.start(connection, slot, address, length)) this.#refuse(connection, slot, "bytes");
      return;
    }
    const handler = this.#options.registry.find(slot.apiKey);
    const bytes = this.memory.bytes.slice(address, address + length);
    connection.frameDone();
    if (handler === undefined) {
      this.#refuse(connection, slot, "key", true);
      return;
    }
    this.#startCold(connection, slot, handler, bytes);
  }

  markDirty(connection: Connection): void {
    if (connection.dirty) return;
    connection.dirty = true;
    this.#dirty.push(connection);
  }

  awaitMemory(connection: Connection, lack: Lack): void {
    this.recorder.add(Slot.MEMORY_WAITS, 1);
    this.blocks.whenReleased(() => {
      connection.resume();
      this.markDirty(connection);
    }, lack);
  }

  onClosed(connection: Connection): void {
    this.#connections.delete(connection);
    this.#options.onConnectionClosed();
  }

  onViolation(connection: Connection, what: string): void {
    this.recorder.add(Slot.KAFKA_ERRORS, 1);
    const unsaid = this.#violations.note(this.nowMs());
    if (unsaid < 0) return;
    this.#options.logger.log(LogLevel.WARN, "Closed a connection", {
      peer: connection.peer,
      client: connection.clientId ?? "",
      why: what,
      ...(connection.lastApiKey < 0 ? {} : { lastRequest: this.#apiName(connection.lastApiKey) }),
      ...(unsaid > 0 ? { closedUnsaid: unsaid } : {}),
    });
  }

  #startCold(
    connection: Connection,
    slot: ResponseSlot,
    handler: AnyHandler,
    bytes: Uint8Array,
  ): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const cursor = new Cursor({ bytes, view }, 0, bytes.length);
    const header = readRequestHeader(cursor);
    connection.clientId = header.clientId;
    let version = header.apiVersion;
    if (version < handler.minVersion || version > handler.maxVersion) {
      if (handler.api.key !== API_VERSIONS_KEY) {
        this.#refuse(connection, slot, "version", true);
        return;
      }
      // The handler answers a version that it does not know in v0, whatever the body says.
      this.#answer(connection, slot, handler, 0, header.clientId, new Uint8Array(0), true);
      return;
    }
    if (requestHeaderVersion(handler.api, version) === 2) cursor.skipTags();
    if (!cursor.ok()) {
      this.#refuse(connection, slot, "header", true);
      return;
    }
    const body = bytes.subarray(bytes.length - cursor.remaining());
    version = header.apiVersion;
    this.#answer(connection, slot, handler, version, header.clientId, body, false);
  }

  #answer(
    connection: Connection,
    slot: ResponseSlot,
    handler: AnyHandler,
    version: number,
    clientId: string | null,
    body: Uint8Array,
    unsupported: boolean,
  ): void {
    const caller = { clientId, clientHost: connection.clientHost };
    const done = (response: Uint8Array | null): void => {
      if (response === null) {
        connection.violation(
          `it asked for more than fits into one answer (api key ${slot.apiKey})`,
        );
        connection.answer(slot);
        return;
      }
      slot.encoded = withHeader(
        slot.correlationId,
        responseHeaderVersion(handler.api, version),
        response,
      );
      slot.charge(this.heap, HeapLane.RESPONSES, slot.encoded.length);
      connection.answer(slot);
    };
    if (unsupported) {
      done(handler.unsupportedVersion!());
      return;
    }
    const { router } = this.#options;
    const decoded = router.decode(handler, version, body);
    if (decoded === null) {
      this.#refuse(connection, slot, "body", true);
      return;
    }
    const lane = requestLane(slot.apiKey, body.length);
    slot.charge(this.heap, lane, decoded.heapBytes);
    router.serve(handler, version, caller, decoded, body, done);
    // What a long answer is made of grows over many turns.
    const isLong = handler.rows !== undefined && !slot.ready &&
      decoded.heapBytes < LONG_ANSWER_HEAP;
    if (isLong) slot.charge(this.heap, HeapLane.RESPONSES, LONG_ANSWER_HEAP);
    const waits = slot.apiKey === JOIN_GROUP_KEY && !slot.ready;
    if (waits && body.length <= WAITING_JOIN_SIZE_MAX) slot.charge(this.heap, lane, 0);
  }

  #refuse(connection: Connection, slot: ResponseSlot, what: string, frameDone = false): void {
    this.onViolation(
      connection,
      `it sent a request whose ${what} Gregor does not understand ` +
        `(${this.#apiName(slot.apiKey)}, version ${slot.apiVersion})`,
    );
    if (!frameDone) connection.frameDone();
    connection.shutdown();
    connection.answer(slot);
  }

  /** `Produce`, or `api key 99` of one that Kafka does not have either. */
  #apiName(apiKey: number): string {
    return apiByKey(apiKey)?.name ?? `api key ${apiKey}`;
  }

  #checkDeadlines(): void {
    const nowMs = this.#options.nowMs();
    for (const connection of this.#connections) {
      connection.checkDeadlines(nowMs, this.#options.idleMaxMs);
    }
    this.#options.timers.schedule(this.#deadlines, nowMs + DEADLINE_CHECK_MS);
  }

  /** Memory that somebody has waited for from one look to the next is taken from those who stall. */
  #checkMemory(): void {
    const nowMs = this.#options.nowMs();
    this.#options.timers.schedule(this.#reclaim, nowMs + RECLAIM_CHECK_MS);
    const lacks = this.blocks.takeLacks() | this.#heapLack;
    this.#heapLack = 0;
    const lasting = lacks & this.#lacked;
    this.#lacked = lacks;
    if (lasting === 0) return;
    const stalled: Connection[] = [];
    for (const connection of this.#connections) {
      if ((lasting & POLL_LACKS) !== 0 && connection.endPoll((lasting & Lack.HEAP) === 0)) continue;
      if (stalledMs(connection, lasting, nowMs) >= RECLAIM_STALLED_MS) stalled.push(connection);
    }
    stalled.sort((a, b) => stalledMs(b, lasting, nowMs) - stalledMs(a, lasting, nowMs));
    for (const connection of stalled.slice(0, RECLAIM_AT_ONCE)) {
      connection.violation("its peer does not go on, and the memory that it holds is needed");
    }
  }
}

/**
 * Question and answer are a few bytes, and whoever waits for them is lost: members to their groups, clients that
 * come in to the cluster. They start whatever others have left here.
 */
function isTiny(apiKey: number): boolean {
  return apiKey === HEARTBEAT_KEY || apiKey === API_VERSIONS_KEY;
}

/** Where a request of this size is counted while it is open. */
function requestLane(apiKey: number, size: number): HeapLane {
  if (apiKey === JOIN_GROUP_KEY || apiKey === SYNC_GROUP_KEY) return HeapLane.GROUPS;
  return size < LARGE_REQUEST_SIZE ? HeapLane.REQUESTS : HeapLane.LARGE_REQUESTS;
}

function stalledMs(connection: Connection, lacks: number, nowMs: number): number {
  const receiving = (lacks & Lack.RECEIVE) === 0 ? 0 : connection.receiveStalledMs(nowMs);
  const sending = (lacks & SEND_LACKS) === 0 ? 0 : connection.sendStalledMs(nowMs);
  return Math.max(receiving, sending);
}

/** Keeps clients from flooding the log: a few violations are logged at once, then one per period. */
class ViolationRate {
  #left = VIOLATIONS_AT_ONCE;
  #refilledMs = 0;
  #unsaid = 0;

  /** Violations not logged since the last logged one, or -1: this one is not logged either. */
  note(nowMs: number): number {
    const periods = Math.floor((nowMs - this.#refilledMs) / VIOLATION_PERIOD_MS);
    if (periods > 0) {
      this.#left = Math.min(VIOLATIONS_AT_ONCE, this.#left + periods);
      this.#refilledMs = nowMs;
    }
    if (this.#left === 0) {
      this.#unsaid++;
      return -1;
    }
    this.#left--;
    const unsaid = this.#unsaid;
    this.#unsaid = 0;
    return unsaid;
  }
}

function withHeader(correlationId: number, headerVersion: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(RESPONSE_HEADER_SIZE + headerVersion + body.length);
  new DataView(frame.buffer).setInt32(0, correlationId, false);
  frame.set(body, RESPONSE_HEADER_SIZE + headerVersion);
  return frame;
}
