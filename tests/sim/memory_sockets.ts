/**
 * The socket seam in memory: a client end that a test holds, a server end that a shard serves.
 *
 * Deterministic: bytes move only in {@linkcode MemorySockets.step}, which carries out one operation that
 * can go on, chosen by the seeded Random. Bytes received and sent are cut at random places, as TCP may.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import type { Random } from "../../src/base/prng.ts";
import type { Memory } from "../../src/bytes/memory.ts";
import type { Completion } from "../../src/io/completion.ts";
import { ECANCELED, ECONNRESET, ENOBUFS } from "../../src/io/errno.ts";
import { SOCKET_HAS_MORE, type Sockets } from "../../src/io/sockets.ts";

/** What the test holds of a connection. */
export class ClientEnd {
  /** Bytes sent and not yet received by the server. */
  toServer: Uint8Array[] = [];
  /** Bytes that the server has sent. */
  fromServer: Uint8Array[] = [];
  /** The client has ended its sending. */
  ended = false;
  /** The client is gone altogether: what the server sends fails. */
  gone = false;
  /** The server has closed the connection. */
  closed = false;
  /** The client takes nothing: sends of the server do not complete. */
  stalled = false;
  /** Bytes that the client takes before it has to be given more; what it took counts against it. */
  takesBytes = Infinity;

  send(bytes: Uint8Array): void {
    this.toServer.push(bytes.slice());
  }

  /** Takes everything received so far. */
  take(): Uint8Array {
    const all = concat(this.fromServer);
    this.fromServer = [];
    return all;
  }

  get pendingBytes(): number {
    return this.toServer.reduce((sum, part) => sum + part.length, 0);
  }
}

/** One send or receive in this many is cut short without need. */
const CUT_ONE_IN = 4;

interface Operation {
  readonly socket: number;
  /** Carries it out if it can go on. */
  readonly attempt: () => boolean;
}

export class MemorySockets implements Sockets {
  readonly #memory: Memory;
  readonly #random: Random;
  readonly #buffers: number[];
  readonly #bufferSize: number;
  readonly #free: number[];
  readonly #ends = new Map<number, ClientEnd>();
  readonly #shut = new Set<number>();
  /** Sockets whose receive is to complete with what has come. */
  readonly #hurried = new Set<number>();
  #operations: Operation[] = [];
  #next = 1;
  /** Told when a buffer came back. */
  onRecycled: () => void = () => {};

  constructor(memory: Memory, buffers: number[], bufferSize: number, random: Random) {
    this.#memory = memory;
    this.#random = random;
    this.#buffers = buffers;
    this.#bufferSize = bufferSize;
    this.#free = buffers.map((_address, id) => id);
  }

  /** A new connection: the server's socket and the client's end. */
  connect(): { readonly socket: number; readonly client: ClientEnd } {
    const socket = this.#next++;
    const client = new ClientEnd();
    this.#ends.set(socket, client);
    return { socket, client };
  }

  /** Receive buffers in all. */
  get bufferCount(): number {
    return this.#buffers.length;
  }

  /** Receive buffers not in use. */
  get freeBuffers(): number {
    return this.#free.length;
  }

  /** Carries out one operation that can go on; false when there is none. */
  step(): boolean {
    const count = this.#operations.length;
    const start = count === 0 ? 0 : this.#random.nextBelow(count);
    for (let i = 0; i < count; i++) {
      const at = (start + i) % count;
      const operation = this.#operations[at]!;
      // Taken out first: completing it may start the next one.
      this.#operations.splice(at, 1);
      if (operation.attempt()) return true;
      this.#operations.splice(at, 0, operation);
    }
    return false;
  }

  receive(socket: number, _empty: boolean, done: Completion): void {
    const client = this.#client(socket);
    this.#operations.push({
      socket,
      attempt: () => {
        if (this.#shut.has(socket)) return finish(done, 0);
        if (client.toServer.length === 0) return client.ended ? finish(done, 0) : false;
        const id = this.#free.pop();
        if (id === undefined) return finish(done, -ENOBUFS);
        const length = this.#move(client, this.#buffers[id]!, this.#bufferSize, false);
        done.complete(length, id << 16 | moreFlag(client));
        return true;
      },
    });
  }

  bufferAddress(bufferId: number): number {
    return this.#buffers[bufferId]!;
  }

  recycle(bufferId: number): void {
    assert(!this.#free.includes(bufferId), "a receive buffer was recycled twice");
    this.#free.push(bufferId);
    this.onRecycled();
  }

  receiveInto(
    socket: number,
    address: number,
    length: number,
    wanted: number,
    _empty: boolean,
    done: Completion,
  ): void {
    assert(wanted > 0 && wanted <= length, "a receive waits for more than it has room for");
    const client = this.#client(socket);
    // A full receive buffer or window ends the wait before the bytes that it was for are there.
    const enough = this.#isCut() ? 1 : wanted;
    this.#hurried.delete(socket);
    this.#operations.push({
      socket,
      attempt: () => {
        if (this.#shut.has(socket)) return finish(done, 0);
        const there = client.pendingBytes;
        if (there === 0) return client.ended ? finish(done, 0) : false;
        if (there < enough && !client.ended && !this.#hurried.has(socket)) return false;
        const received = this.#move(client, address, length, !this.#isCut());
        done.complete(received, moreFlag(client));
        return true;
      },
    });
  }

  hurry(socket: number): void {
    this.#hurried.add(socket);
  }

  send(socket: number, address: number, length: number, _full: boolean, done: Completion): void {
    this.#sendRanges(socket, [[address, length]], done);
  }

  sendVector(
    socket: number,
    tableAddress: number,
    count: number,
    _full: boolean,
    done: Completion,
  ): void {
    const { view } = this.#memory;
    const ranges: [number, number][] = [];
    for (let i = 0; i < count; i++) {
      const at = tableAddress + 16 * i;
      ranges.push([view.getFloat64(at, true), view.getFloat64(at + 8, true)]);
    }
    this.#sendRanges(socket, ranges, done);
  }

  shutdown(socket: number): void {
    this.#shut.add(socket);
  }

  close(socket: number): void {
    const client = this.#client(socket);
    assert(
      !this.#operations.some((operation) => operation.socket === socket),
      "a socket was closed with operations in flight",
    );
    client.closed = true;
    this.#ends.delete(socket);
    this.#shut.delete(socket);
    this.#hurried.delete(socket);
  }

  #sendRanges(socket: number, ranges: readonly [number, number][], done: Completion): void {
    const client = this.#client(socket);
    this.#operations.push({
      socket,
      attempt: () => {
        if (this.#shut.has(socket)) return finish(done, -ECANCELED);
        if (client.gone) return finish(done, -ECONNRESET);
        if (client.stalled || client.takesBytes === 0) return false;
        const total = ranges.reduce((sum, [, length]) => sum + length, 0);
        const room = Math.min(total, client.takesBytes);
        const taken = this.#isCut() ? 1 + this.#random.nextBelow(room) : room;
        client.takesBytes -= taken;
        let left = taken;
        for (const [address, length] of ranges) {
          if (left === 0) break;
          const part = Math.min(length, left);
          client.fromServer.push(this.#memory.bytes.slice(address, address + part));
          left -= part;
        }
        return finish(done, taken);
      },
    });
  }

  /** Moves bytes of the client to `address`; a random number of them unless `all` that fit. */
  #move(client: ClientEnd, address: number, room: number, all: boolean): number {
    let moved = 0;
    const limit = all ? room : 1 + this.#random.nextBelow(room);
    while (moved < limit && client.toServer.length > 0) {
      const part = client.toServer[0]!;
      const length = Math.min(part.length, limit - moved);
      this.#memory.bytes.set(part.subarray(0, length), address + moved);
      moved += length;
      if (length === part.length) client.toServer.shift();
      else client.toServer[0] = part.subarray(length);
    }
    return moved;
  }

  #isCut(): boolean {
    return this.#random.nextBelow(CUT_ONE_IN) === 0;
  }

  #client(socket: number): ClientEnd {
    const client = this.#ends.get(socket);
    assert(client !== undefined, "an operation on a socket that is closed");
    return client;
  }
}

function finish(done: Completion, result: number): boolean {
  done.complete(result, 0);
  return true;
}

function moreFlag(client: ClientEnd): number {
  return client.pendingBytes > 0 ? SOCKET_HAS_MORE : 0;
}

/** One array of all parts. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
