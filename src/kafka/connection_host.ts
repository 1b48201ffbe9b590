/**
 * What a connection asks of its shard: memory, sockets, the time, and leave to start a request.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import type { Sockets } from "../io/sockets.ts";
import type { Connection } from "./connection.ts";
import type { ResponseSlot } from "./response.ts";

/** Memory for frames and responses, each kind with its own budget. */
export interface ConnectionMemory {
  /** A block for a frame of `size` bytes; -1: not now, `onMemory` of the connection comes later. */
  allocateFrame(size: number): number;
  allocateResponse(size: number): number;
  releaseFrame(address: number): void;
  releaseResponse(address: number): void;
  /** The largest frame that can ever be taken (bytes). */
  readonly frameSizeMax: number;
  /** The largest response block that can ever be had (bytes). */
  readonly responseSizeMax: number;
}

export interface ConnectionHost {
  readonly memory: Memory;
  readonly blocks: ConnectionMemory;
  readonly sockets: Sockets;
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
  /** Neither a receive buffer nor a block was to be had: call `resume` when there is one. */
  awaitMemory(connection: Connection): void;
  onClosed(connection: Connection): void;
  /** Something the peer did wrong, for the log. */
  onViolation(connection: Connection, what: string): void;
}
