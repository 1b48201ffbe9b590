/**
 * The socket seam: the network operations of a connection, each with a completion.
 *
 * Production implements it on io_uring (`src/io/uring_sockets.ts`); simulations and tests implement it in
 * memory. A receive takes a buffer from a shared group only when bytes arrive, so an idle connection
 * owns none; not receiving again is the back-pressure.
 *
 * No operation moves all bytes by itself: the caller counts the moved bytes and continues from
 * there. A socket has at most one receive and one send in flight.
 *
 * @module
 */

import type { Completion } from "./completion.ts";

export interface Sockets {
  /**
   * Connects to a numeric address (`127.0.0.1`, `::1`; names are resolved elsewhere, because that blocks).
   * Completes with the socket, or with a negative errno: -ECONNREFUSED when nothing listens there, -ECANCELED
   * after {@linkcode cancelConnect}. The kernel tries for minutes; a caller with a shorter deadline cancels.
   *
   * Bytes sent on the socket that the peer's host does not confirm within {@linkcode CONFIRM_MS_MAX} end the connection:
   * after a network that was cut, the kernel alone would repeat them for a quarter of an hour, and less and less often.
   *
   * @returns the attempt's id, for {@linkcode cancelConnect}; a negative errno when none could be started (-EINVAL: not
   * a numeric address), and `done` is not called then
   */
  connect(host: string, port: number, done: Completion): number;
  /**
   * Ends an attempt of {@linkcode connect}. It still completes: with -ECANCELED, or with a socket if it was over
   * already. An attempt that has completed is left alone.
   */
  cancelConnect(attempt: number): void;
  /**
   * Receives once into a buffer of the shared group. Completes with the bytes received (0: the peer
   * closed; -ENOBUFS: the group is empty, try again when a buffer was recycled), and the buffer's id in
   * the upper 16 bits of `flags`, where {@linkcode SOCKET_HAS_MORE} says that further bytes wait.
   *
   * @param empty nothing is known to wait in the socket: to look there first would be in vain
   */
  receive(socket: number, empty: boolean, done: Completion): void;
  /** Address of a buffer of the shared group. */
  bufferAddress(bufferId: number): number;
  /** Gives a buffer back to the shared group. */
  recycle(bufferId: number): void;
  /**
   * Receives up to `length` bytes to `address`. Completes with the bytes received (0: the peer closed),
   * and {@linkcode SOCKET_HAS_MORE} in `flags`.
   *
   * @param wanted bytes to wait for (1 to `length`). It is a wish: fewer are received when the socket's
   * buffer is full, the peer has closed, or {@linkcode hurry} was called.
   * @param empty as in {@linkcode receive}
   */
  receiveInto(
    socket: number,
    address: number,
    length: number,
    wanted: number,
    empty: boolean,
    done: Completion,
  ): void;
  /** Lets a {@linkcode receiveInto} in flight complete with the bytes received so far, if any. */
  hurry(socket: number): void;
  /**
   * Sends the beginning of a range, or all of it; completes with the bytes sent (at least one) or a
   * negative errno.
   *
   * @param full the last send was cut short: wait for room before trying
   */
  send(socket: number, address: number, length: number, full: boolean, done: Completion): void;
  /**
   * Sends the beginning of `count` ranges in order, at most {@linkcode SEND_VECTOR_MAX}, or all of them;
   * the table at `tableAddress` holds (address, length) pairs as little-endian f64.
   */
  sendVector(
    socket: number,
    tableAddress: number,
    count: number,
    full: boolean,
    done: Completion,
  ): void;
  /** Ends both directions; operations in flight complete with an error or zero. */
  shutdown(socket: number): void;
  /** Closes the descriptor; call once, after every operation on it has completed. */
  close(socket: number): void;
}

/** For how long a connected socket repeats bytes that nobody confirms (ms). */
export const CONFIRM_MS_MAX = 5_000;

/** Ranges that one vectored send takes. */
export const SEND_VECTOR_MAX = 1024;

/** In the flags of a receive: more bytes wait in the socket (the kernel's IORING_CQE_F_SOCK_NONEMPTY). */
export const SOCKET_HAS_MORE = 4;
