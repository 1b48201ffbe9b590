/**
 * The socket seam on one shard's io_uring, with the shard's group of receive buffers.
 *
 * @module
 */

import type { Completion } from "./completion.ts";
import type { Sockets } from "./sockets.ts";
import type { Uring } from "./uring.ts";

const GROUP = 0;

export class UringSockets implements Sockets {
  readonly #ring: Uring;
  readonly #addresses: Float64Array;
  readonly #bufferSize: number;
  readonly #onRecycled: () => void;

  /**
   * @param addresses of the receive buffers in the region; their number is a power of two
   * @param onRecycled told when a buffer came back, so that who found none can try again
   */
  constructor(
    ring: Uring,
    addresses: Float64Array,
    bufferSize: number,
    onRecycled: () => void,
  ) {
    this.#ring = ring;
    this.#addresses = addresses;
    this.#bufferSize = bufferSize;
    this.#onRecycled = onRecycled;
    ring.addBufferGroup(GROUP, addresses.length);
    for (let id = 0; id < addresses.length; id++) {
      ring.provide(GROUP, id, addresses[id]!, bufferSize);
    }
  }

  receive(socket: number, done: Completion): void {
    this.#ring.recv(socket, GROUP, false, done);
  }

  bufferAddress(bufferId: number): number {
    return this.#addresses[bufferId]!;
  }

  recycle(bufferId: number): void {
    this.#ring.provide(GROUP, bufferId, this.#addresses[bufferId]!, this.#bufferSize);
    this.#onRecycled();
  }

  receiveInto(socket: number, address: number, length: number, done: Completion): void {
    this.#ring.recvInto(socket, address, length, done);
  }

  send(socket: number, address: number, length: number, done: Completion): void {
    this.#ring.send(socket, address, length, done);
  }

  sendVector(socket: number, tableAddress: number, count: number, done: Completion): void {
    this.#ring.sendVector(socket, tableAddress, count, done);
  }

  shutdown(socket: number): void {
    this.#ring.shutdown(socket);
  }

  close(socket: number): void {
    this.#ring.close(socket, null);
  }
}
