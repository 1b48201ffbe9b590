/**
 * What a connection needs of its shard: memory, sockets, the time, and permission to start a request.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import type { Sockets } from "../io/sockets.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import type { Connection } from "./connection.ts";
import type { RequestHeap } from "./request_heap.ts";
import type { ResponseSlot } from "./response.ts";

/** Memory for frames and responses, each kind with its own budget. */
export interface ConnectionMemory {
  /** A block for a frame of `size` bytes; -1: not now. */
  allocateFrame(size: number): number;
  /** The same for received bytes whose first request waits its turn. */
  allocateWindow(size: number): number;
  allocateResponse(size: number): number;
  releaseFrame(address: number): void;
  releaseWindow(address: number): void;
  releaseResponse(address: number): void;
  /** The largest frame that can ever be taken (bytes). */
  readonly frameSizeMax: number;
  /** The setting or flag that has to be raised for larger ones. */
  readonly frameSizeRaise: string;
  /** The largest response block that can ever be had (bytes). */
  readonly responseSizeMax: number;
}

/** Whether a request may start now. */
export const Admission = {
  NOW: 0,
  /** An earlier request of the connection is not answered yet. */
  IN_TURN: 1,
  /** The shard has no room for it. */
  WITH_ROOM: 2,
} as const;
export type Admission = typeof Admission[keyof typeof Admission];

/** What a connection may wait for. */
export const Lack = {
  /** A receive buffer, or a block for a frame. */
  RECEIVE: 1,
  /** A block for a response. */
  SEND: 2,
  /** Objects of requests; see `request_heap.ts`. */
  HEAP: 4,
} as const;
export type Lack = typeof Lack[keyof typeof Lack];

export interface ConnectionHost {
  readonly memory: Memory;
  readonly blocks: ConnectionMemory;
  readonly sockets: Sockets;
  readonly heap: RequestHeap;
  readonly recorder: ShardRecorder;
  /** Monotonic ms of this turn. */
  nowMs(): number;
  /** May a request of this key and size start now? If not, the host calls `resume` later. */
  mayStart(connection: Connection, apiKey: number, size: number): boolean;
  /**
   * Starts a request; the frame's bytes stay until {@linkcode Connection.frameDone}. The host answers
   * by `connection.answer(slot)`, perhaps before it returns.
   */
  start(connection: Connection, slot: ResponseSlot, address: number, length: number): void;
  /** `flush` wants to be called at the end of this turn. */
  markDirty(connection: Connection): void;
  /** No memory was available: the host calls `resume` when there may be some. */
  awaitMemory(connection: Connection, lack: Lack): void;
  onClosed(connection: Connection): void;
  /** A violation by the peer, for the log. */
  onViolation(connection: Connection, what: string): void;
}
