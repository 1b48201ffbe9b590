/**
 * The socket seam in memory: a client end that a test holds, or another `MemorySockets`, and a server end that a
 * shard serves.
 *
 * Deterministic: bytes move only in {@linkcode MemorySockets.step}, which carries out one operation that
 * can go on, chosen by the seeded Random. Bytes received and sent are cut at random places, as TCP may.
 *
 * Two `MemorySockets` reach each other by a {@linkcode MemoryNetwork}: what listens in it, by address.
 *
 * @module
 */

import { hostPort } from "../../src/base/address.ts";
import { assert } from "../../src/base/assert.ts";
import type { Random } from "../../src/base/prng.ts";
import type { Memory } from "../../src/bytes/memory.ts";
import type { Completion } from "../../src/io/completion.ts";
import { ECANCELED, ECONNREFUSED, ECONNRESET, ENOBUFS } from "../../src/io/errno.ts";
import { SOCKET_HAS_MORE, type Sockets } from "../../src/io/sockets.ts";

/** Carries what one side of a connection sends to the other, in order; without one that happens at once. */
export interface Transit {
  /** So much is on its way that the sender has to wait. */
  readonly full: boolean;
  carry(bytes: Uint8Array): void;
  /** The sender has ended the connection: nothing follows. */
  end(): void;
}

/** What the test holds of a connection; or, where both ends are sockets, what one of them sees of the other. */
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
  /** What the other socket sees of this one; null where the client is the test. */
  opposite: ClientEnd | null = null;
  /** From the client to the server, and back. */
  uplink: Transit | null = null;
  downlink: Transit | null = null;
  /** Resets the connection: what is on its way is lost. */
  abort: () => void = () => {};

  send(bytes: Uint8Array): void {
    if (this.uplink === null) this.toServer.push(bytes.slice());
    else this.uplink.carry(bytes.slice());
  }

  /** The client ends its sending. */
  hangUp(): void {
    if (this.uplink === null) this.ended = true;
    else this.uplink.end();
  }

  /** Takes everything received so far. */
  take(): Uint8Array {
    const all = concat(this.fromServer);
    this.fromServer = [];
    return all;
  }

  get pendingBytes(): number {
    let bytes = 0;
    for (const part of this.toServer) bytes += part.length;
    return bytes;
  }
}

/** Who listens where. */
export class MemoryNetwork {
  readonly #listeners = new Map<string, (from: MemorySockets) => number>();
  /** Addresses that answer no attempt. */
  readonly silent = new Set<string>();

  /** `sockets` accepts connections at an address from now on. */
  listen(
    host: string,
    port: number,
    sockets: MemorySockets,
    accepted: (socket: number) => void,
  ): void {
    this.#listeners.set(hostPort(host, port), (from) => {
      const [socket, other] = sockets.pairWith(from);
      accepted(other);
      return socket;
    });
  }

  /** Nobody listens there any more; connections stay. */
  unlisten(host: string, port: number): void {
    this.#listeners.delete(hostPort(host, port));
  }

  /** The socket of `from` in a new connection; a negative errno; null: no answer yet. */
  connect(address: string, from: MemorySockets): number | null {
    if (this.silent.has(address)) return null;
    return this.#listeners.get(address)?.(from) ?? -ECONNREFUSED;
  }
}

/** One send or receive in this many is cut short without need. */
const CUT_ONE_IN = 4;

interface Operation {
  readonly socket: number;
  /** Carries it out if it can go on. */
  readonly attempt: () => boolean;
}

/** Stands where the operation is that is being tried. */
const UNDER_WAY: Operation = { socket: -1, attempt: () => false };

/** Sockets of one process: any of its shards may use each, as descriptors. */
export class MemoryDescriptors {
  next = 1;
  readonly ends = new Map<number, ClientEnd>();
  readonly shut = new Set<number>();
  /** Sockets whose receive is to complete with what has come. */
  readonly hurried = new Set<number>();
}

export class MemorySockets implements Sockets {
  readonly #memory: Memory;
  readonly #random: Random;
  readonly #buffers: number[];
  readonly #bufferSize: number;
  readonly #free: number[];
  readonly #descriptors: MemoryDescriptors;
  #operations: Operation[] = [];
  /** Where {@linkcode connect} finds listeners. */
  network = new MemoryNetwork();
  /** Attempts to connect, and whether each is to end. */
  readonly #attempts = new Map<number, boolean>();
  /** Told when a buffer came back. */
  onRecycled: () => void = () => {};

  /** @param descriptors of the process, where it has several shards */
  constructor(
    memory: Memory,
    buffers: number[],
    bufferSize: number,
    random: Random,
    descriptors = new MemoryDescriptors(),
  ) {
    this.#memory = memory;
    this.#descriptors = descriptors;
    this.#random = random;
    this.#buffers = buffers;
    this.#bufferSize = bufferSize;
    this.#free = buffers.map((_address, id) => id);
  }

  /** A new connection: the server's socket and the client's end. */
  addClient(
    client = new ClientEnd(),
  ): { readonly socket: number; readonly client: ClientEnd } {
    const socket = this.#descriptors.next++;
    this.#descriptors.ends.set(socket, client);
    return { socket, client };
  }

  /** A new connection with `other`: its socket, and the one here. What one sends is what the other receives. */
  pairWith(other: MemorySockets): [number, number] {
    const here = this.addClient();
    const there = other.addClient();
    here.client.opposite = there.client;
    there.client.opposite = here.client;
    there.client.toServer = here.client.fromServer;
    here.client.toServer = there.client.fromServer;
    return [there.socket, here.socket];
  }

  /** What a socket sees of its other end; undefined when it is closed. */
  endOf(socket: number): ClientEnd | undefined {
    return this.#descriptors.ends.get(socket);
  }

  /** Sockets that are open. */
  get openSockets(): number[] {
    return [...this.#descriptors.ends.keys()];
  }

  /** The connection breaks, as when the other host is reset: what was under way is lost. */
  cut(socket: number): void {
    const client = this.#client(socket);
    for (const end of [client, client.opposite]) {
      if (end === null) continue;
      end.toServer.length = 0;
      end.gone = true;
      end.ended = true;
    }
  }

  connect(host: string, port: number, done: Completion): number {
    const attempt = this.#descriptors.next++;
    this.#attempts.set(attempt, false);
    this.#operations.push({
      socket: -1,
      attempt: () => {
        const cancelled = this.#attempts.get(attempt)!;
        const result = cancelled ? -ECANCELED : this.network.connect(hostPort(host, port), this);
        if (result === null) return false;
        this.#attempts.delete(attempt);
        return finish(done, result);
      },
    });
    return attempt;
  }

  cancelConnect(attempt: number): void {
    if (this.#attempts.has(attempt)) this.#attempts.set(attempt, true);
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
      // Its place is empty meanwhile: completing it may start the next one, or close its socket.
      this.#operations[at] = UNDER_WAY;
      if (operation.attempt()) {
        this.#operations.splice(this.#operations.indexOf(UNDER_WAY), 1);
        return true;
      }
      this.#operations[at] = operation;
    }
    return false;
  }

  receive(socket: number, _empty: boolean, done: Completion): void {
    const client = this.#client(socket);
    this.#operations.push({
      socket,
      attempt: () => {
        if (this.#descriptors.shut.has(socket)) return finish(done, 0);
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
    this.#descriptors.hurried.delete(socket);
    this.#operations.push({
      socket,
      attempt: () => {
        if (this.#descriptors.shut.has(socket)) return finish(done, 0);
        const there = client.pendingBytes;
        if (there === 0) return client.ended ? finish(done, 0) : false;
        if (there < enough && !client.ended && !this.#descriptors.hurried.has(socket)) return false;
        const received = this.#move(client, address, length, !this.#isCut());
        done.complete(received, moreFlag(client));
        return true;
      },
    });
  }

  hurry(socket: number): void {
    this.#descriptors.hurried.add(socket);
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
    this.#descriptors.shut.add(socket);
    leave(this.#client(socket));
  }

  close(socket: number): void {
    const client = this.#client(socket);
    assert(
      !this.#operations.some((operation) => operation.socket === socket),
      "a socket was closed with operations in flight",
    );
    if (client.downlink === null) client.closed = true;
    leave(client);
    this.#descriptors.ends.delete(socket);
    this.#descriptors.shut.delete(socket);
    this.#descriptors.hurried.delete(socket);
  }

  #sendRanges(socket: number, ranges: readonly [number, number][], done: Completion): void {
    const client = this.#client(socket);
    this.#operations.push({
      socket,
      attempt: () => {
        if (this.#descriptors.shut.has(socket)) return finish(done, -ECANCELED);
        if (client.gone) return finish(done, -ECONNRESET);
        if (client.stalled || client.takesBytes === 0 || client.downlink?.full) return false;
        const total = ranges.reduce((sum, [, length]) => sum + length, 0);
        const room = Math.min(total, client.takesBytes);
        const taken = this.#isCut() ? 1 + this.#random.nextBelow(room) : room;
        client.takesBytes -= taken;
        let left = taken;
        for (const [address, length] of ranges) {
          if (left === 0) break;
          const part = Math.min(length, left);
          const bytes = this.#memory.bytes.slice(address, address + part);
          if (client.downlink === null) client.fromServer.push(bytes);
          else client.downlink.carry(bytes);
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
    const client = this.#descriptors.ends.get(socket);
    assert(client !== undefined, "an operation on a socket that is closed");
    return client;
  }
}

/** The socket that `client` is seen from has ended both directions. */
function leave(client: ClientEnd): void {
  if (client.downlink !== null) return client.downlink.end();
  if (client.opposite === null) return;
  client.opposite.ended = true;
  client.opposite.gone = true;
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
