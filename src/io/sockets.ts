/**
 * The socket seam: what a connection needs of the network, completion by completion.
 *
 * Production implements it on io_uring (`src/io/uring.ts`); tests of the Kafka layer implement it in
 * memory. A receive takes a buffer from a shared group only when bytes arrive, so an idle connection
 * owns none; not receiving again is the back-pressure.
 *
 * @module
 */

import type { Completion } from "./completion.ts";

export interface Sockets {
  /**
   * Receives once into a buffer of the shared group. Completes with the bytes received (0: the peer
   * closed; -ENOBUFS: the group is empty, try again when a buffer was recycled), and the buffer's id in
   * the upper 16 bits of `flags`.
   */
  receive(socket: number, done: Completion): void;
  /** Address of a buffer of the shared group. */
  bufferAddress(bufferId: number): number;
  /** Gives a buffer back to the shared group. */
  recycle(bufferId: number): void;
  /** Receives exactly `length` bytes to `address`; completes with fewer only when the peer closed. */
  receiveInto(socket: number, address: number, length: number, done: Completion): void;
  /** Sends all of one range; completes with the bytes sent or a negative errno. */
  send(socket: number, address: number, length: number, done: Completion): void;
  /**
   * Sends `count` ranges in order, at most {@linkcode SEND_VECTOR_MAX}; the table at `tableAddress` holds
   * (address, length) pairs as little-endian f64.
   */
  sendVector(socket: number, tableAddress: number, count: number, done: Completion): void;
  /** Ends both directions; operations in flight complete with an error or zero. */
  shutdown(socket: number): void;
  /** Closes the descriptor; call once, after every operation on it has completed. */
  close(socket: number): void;
}

/** Ranges that one vectored send takes. */
export const SEND_VECTOR_MAX = 1024;
