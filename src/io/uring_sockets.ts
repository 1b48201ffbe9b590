/**
 * The socket seam on one shard's io_uring, with the shard's group of receive buffers.
 *
 * A receive that is to wait for many bytes sets the socket's low-water mark (SO_RCVLOWAT), so that the
 * kernel wakes the shard once and needs no thread meanwhile; the mark is back at one byte before the
 * next receive that takes what comes.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { assert } from "../base/assert.ts";
import type { Completion } from "./completion.ts";
import { CONFIRM_MS_MAX, type Sockets } from "./sockets.ts";
import type { Uring } from "./uring.ts";

const GROUP = 0;

export class UringSockets implements Sockets {
  readonly #ring: Uring;
  readonly #addresses: Float64Array;
  readonly #bufferSize: number;
  readonly #onRecycled: () => void;
  /** The mark of each descriptor where it is not 1; 0 stands for 1. As long as descriptors are numbered. */
  #lowWater = new Int32Array(1024);

  /**
   * @param addresses of the receive buffers in the region; their number is a power of two
   * @param onRecycled called when a buffer came back, so that a caller that found none can try again
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

  connect(host: string, port: number, done: Completion): number {
    return this.#ring.connect(hostPort(host, port), {
      complete: (result, flags) => {
        // A refusal leaves the kernel's own, longer deadline.
        if (result >= 0) this.#ring.shim.gregor_set_confirm_ms(result, CONFIRM_MS_MAX);
        done.complete(result, flags);
      },
    });
  }

  cancelConnect(attempt: number): void {
    this.#ring.cancel(attempt);
  }

  receive(socket: number, empty: boolean, done: Completion): void {
    this.#setLowWater(socket, 0);
    this.#ring.recv(socket, GROUP, empty, done);
  }

  bufferAddress(bufferId: number): number {
    return this.#addresses[bufferId]!;
  }

  recycle(bufferId: number): void {
    this.#ring.provide(GROUP, bufferId, this.#addresses[bufferId]!, this.#bufferSize);
    this.#onRecycled();
  }

  receiveInto(
    socket: number,
    address: number,
    length: number,
    wanted: number,
    empty: boolean,
    done: Completion,
  ): void {
    assert(wanted > 0 && wanted <= length, "a receive waits for more than it has room for");
    const waits = wanted > 1;
    this.#setLowWater(socket, waits ? wanted : 0);
    // An attempt before the poll would take what has come, be it ever so little.
    this.#ring.recvInto(socket, address, length, waits || empty, done);
  }

  hurry(socket: number): void {
    this.#setLowWater(socket, 0);
  }

  send(socket: number, address: number, length: number, full: boolean, done: Completion): void {
    this.#ring.send(socket, address, length, full, done);
  }

  sendVector(
    socket: number,
    tableAddress: number,
    count: number,
    full: boolean,
    done: Completion,
  ): void {
    this.#ring.sendVector(socket, tableAddress, count, full, done);
  }

  shutdown(socket: number): void {
    this.#ring.shutdown(socket);
  }

  close(socket: number): void {
    if (socket < this.#lowWater.length) this.#lowWater[socket] = 0;
    this.#ring.close(socket, null);
  }

  /** Sets the mark to `bytes` (0: the usual one of one byte) unless it is there already. */
  #setLowWater(socket: number, bytes: number): void {
    if (socket >= this.#lowWater.length) {
      if (bytes === 0) return;
      const larger = new Int32Array(2 * socket);
      larger.set(this.#lowWater);
      this.#lowWater = larger;
    }
    if (this.#lowWater[socket] === bytes) return;
    // A refusal leaves the usual mark, with which bytes come in smaller pieces.
    const result = this.#ring.shim.gregor_set_low_water(socket, Math.max(1, bytes));
    this.#lowWater[socket] = result === 0 ? bytes : this.#lowWater[socket]!;
  }
}
