/**
 * The network of a simulated cluster: hosts, the links between them, and the connections on those.
 *
 * A link leads from one host to another, one way; so a partition may be one-way, and partial. What is sent on a
 * connection arrives in order, as on TCP: later where the link is slow; where it is cut, once it is whole again. A
 * connection breaks when somebody resets it, when a host dies, and when a cut outlasts the patience of the sockets
 * that {@linkcode SimNetwork.connect} made ({@linkcode CONFIRM_MS_MAX}).
 *
 * ```text
 *   client-3 ── dial("node-1:9092") ─► connection ─ link client-3 → node-1 ─► MemorySockets of a shard
 *                                                 ◄─ link node-1 → client-3 ─
 * ```
 *
 * Without delays and cuts everything arrives at once.
 *
 * @module
 */

import { hostPort } from "../../src/base/address.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { CONFIRM_MS_MAX } from "../../src/io/sockets.ts";
import { ClientEnd, MemoryNetwork, type MemorySockets, type Transit } from "./memory_sockets.ts";

/** Bytes on their way in one direction of a connection; a sender beyond waits. */
const IN_FLIGHT_MAX = 256 * 1024;

/** At least and at most. */
export interface DelayMs {
  readonly min: number;
  readonly max: number;
}

const NO_DELAY: DelayMs = { min: 0, max: 0 };

/** The way from one host to another. */
export class Link {
  /** Nothing arrives until it is whole again. */
  cut = false;
  /** How long what is sent takes (virtual ms). */
  delayMs: DelayMs;
  /** Takes so many bytes in a virtual ms. */
  bytesPerMs = Infinity;

  constructor(delayMs: DelayMs) {
    this.delayMs = delayMs;
  }

  get immediate(): boolean {
    return !this.cut && this.delayMs.max === 0 && this.bytesPerMs === Infinity;
  }
}

interface Listening {
  /** The host whose sockets take the connections. */
  readonly owner: string;
  readonly host: string;
  readonly port: number;
}

/** Puts a new connection's other end, which the dialler holds, on a shard of the host. */
export type Accept = (client: ClientEnd) => void;

export class SimNetwork extends MemoryNetwork {
  readonly #random: Random;
  readonly #links = new Map<string, Link>();
  readonly #accepts = new Map<string, { readonly host: string; readonly accept: Accept }>();
  readonly #hosts = new Map<MemorySockets, string>();
  /** Of addresses that {@linkcode MemorySockets} listen at. */
  readonly #listening = new Map<string, Listening>();
  readonly #connections = new Set<Connection>();
  /** Those between two {@linkcode MemorySockets}. */
  readonly #pairs = new Set<Connection>();
  /** Directions with something on its way. */
  readonly #busy = new Set<Direction>();
  nowMs = 0;
  /** Of links that nobody has used yet. */
  delayMs = NO_DELAY;

  constructor(seed: number) {
    super();
    this.#random = new Xoshiro128(seed);
  }

  /** The link from one host to another. */
  link(from: string, to: string): Link {
    const key = `${from} ${to}`;
    let link = this.#links.get(key);
    if (link === undefined) this.#links.set(key, link = new Link(this.delayMs));
    return link;
  }

  /** Every link is whole and immediate. */
  heal(): void {
    this.delayMs = NO_DELAY;
    for (const link of this.#links.values()) {
      link.cut = false;
      link.delayMs = NO_DELAY;
      link.bytesPerMs = Infinity;
    }
    this.step(this.nowMs);
  }

  /** Connections that are open, between any two hosts. */
  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  /** `sockets` belong to a host: who connects from them uses its links. */
  place(sockets: MemorySockets, host: string): void {
    sockets.network = this;
    this.#hosts.set(sockets, host);
  }

  /** A host takes clients at an address, until {@linkcode refuse}. */
  accept(host: string, address: string, accept: Accept): void {
    this.#accepts.set(address, { host, accept });
  }

  refuse(address: string): void {
    this.#accepts.delete(address);
  }

  /** A client's connection: where nobody listens, it is closed as soon as that is known. */
  dial(from: string, address: string): ClientEnd {
    const client = new ClientEnd();
    const listener = this.#accepts.get(address);
    if (listener === undefined) {
      client.closed = true;
      return client;
    }
    const { host } = listener;
    const up = this.#direction(from, host, {
      carry: (bytes) => client.toServer.push(bytes),
      end: () => client.ended = true,
    });
    const down = this.#direction(host, from, {
      carry: (bytes) => client.fromServer.push(bytes),
      end: () => {
        client.closed = true;
        this.#connections.delete(connection);
      },
    });
    client.uplink = up;
    client.downlink = down;
    const connection = new Connection(from, host, [up, down], () => {
      client.ended = client.gone = client.closed = true;
      this.#connections.delete(connection);
    });
    client.abort = () => connection.reset();
    this.#connections.add(connection);
    up.opening(() => {
      // The address may belong to somebody else by now, or to nobody.
      const now = this.#accepts.get(address);
      if (now?.host === host) now.accept(client);
      else connection.reset();
    });
    return client;
  }

  override listen(
    host: string,
    port: number,
    sockets: MemorySockets,
    accepted: (socket: number) => void,
  ): void {
    super.listen(host, port, sockets, accepted);
    this.#listening.set(hostPort(host, port), { owner: this.#hosts.get(sockets)!, host, port });
  }

  override unlisten(host: string, port: number): void {
    super.unlisten(host, port);
    this.#listening.delete(hostPort(host, port));
  }

  override connect(address: string, from: MemorySockets): number | null {
    const fromHost = this.#hosts.get(from)!;
    const listening = this.#listening.get(address);
    if (listening === undefined) return super.connect(address, from);
    const toHost = listening.owner;
    if (this.link(fromHost, toHost).cut || this.link(toHost, fromHost).cut) return null;
    const socket = super.connect(address, from);
    if (socket === null || socket < 0) return socket;
    const here = from.endOf(socket)!;
    const there = here.opposite!;
    // What one sees of the other: `here` is the listener as its dialler sees it.
    const left = (end: ClientEnd) => (): void => {
      end.ended = end.gone = true;
    };
    const up = this.#direction(fromHost, toHost, {
      carry: (bytes) => here.fromServer.push(bytes),
      end: left(there),
    });
    const down = this.#direction(toHost, fromHost, {
      carry: (bytes) => there.fromServer.push(bytes),
      end: left(here),
    });
    here.downlink = up;
    there.downlink = down;
    const connection = new Connection(fromHost, toHost, [up, down], () => {
      left(here)();
      left(there)();
      here.toServer.length = there.toServer.length = 0;
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
    this.#pairs.add(connection);
    return socket;
  }

  /** A host is gone, with its connections: the others learn of it as far as their links let them. */
  die(host: string): void {
    for (const listening of [...this.#listening.values()]) {
      if (listening.owner === host) this.unlisten(listening.host, listening.port);
    }
    for (const [sockets, owner] of [...this.#hosts]) {
      if (owner === host) this.#hosts.delete(sockets);
    }
    for (const connection of this.#connections) {
      if (connection.from !== host && connection.to !== host) continue;
      const [up, down] = connection.directions;
      const [toDead, fromDead] = connection.to === host ? [up, down] : [down, up];
      toDead.drop();
      fromDead.end();
      if (connection.over) this.#connections.delete(connection);
    }
  }

  /** Carries out what is due. */
  step(nowMs: number): void {
    this.nowMs = nowMs;
    for (const direction of this.#busy) {
      direction.deliver(nowMs);
      if (direction.idle) this.#busy.delete(direction);
    }
    for (const connection of this.#pairs) {
      if (connection.waitedMs(nowMs) > CONFIRM_MS_MAX) connection.reset();
      if (!connection.over) continue;
      this.#pairs.delete(connection);
      this.#connections.delete(connection);
    }
  }

  #direction(from: string, to: string, sink: Sink): Direction {
    const link = this.link(from, to);
    return new Direction(link, sink, {
      nowMs: () => this.nowMs,
      random: this.#random,
      onBusy: (direction) => this.#busy.add(direction),
    });
  }
}

interface Sink {
  readonly carry: (bytes: Uint8Array) => void;
  readonly end: () => void;
}

interface Carrier {
  readonly nowMs: () => number;
  readonly random: Random;
  readonly onBusy: (direction: Direction) => void;
}

interface Parcel {
  readonly dueMs: number;
  readonly sizeBytes: number;
  readonly arrive: () => void;
}

/** One direction of a connection. */
class Direction implements Transit {
  readonly #link: Link;
  readonly #sink: Sink;
  readonly #carrier: Carrier;
  #parcels: Parcel[] = [];
  #inFlight = 0;
  #lastDueMs = 0;
  #over = false;

  constructor(link: Link, sink: Sink, carrier: Carrier) {
    this.#link = link;
    this.#sink = sink;
    this.#carrier = carrier;
  }

  get full(): boolean {
    return this.#inFlight >= IN_FLIGHT_MAX;
  }

  get idle(): boolean {
    return this.#parcels.length === 0;
  }

  get over(): boolean {
    return this.#over && this.idle;
  }

  /** Since when the oldest parcel should have arrived (ms); Infinity when there is none. */
  get dueMs(): number {
    return this.#parcels[0]?.dueMs ?? Infinity;
  }

  /** The connection itself is what arrives first. */
  opening(arrive: () => void): void {
    this.#send(0, arrive);
  }

  carry(bytes: Uint8Array): void {
    if (!this.#over) this.#send(bytes.length, () => this.#sink.carry(bytes));
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#send(0, this.#sink.end);
  }

  /** What is on its way is lost, and nothing follows. */
  drop(): void {
    this.#over = true;
    this.#parcels = [];
    this.#inFlight = 0;
  }

  deliver(nowMs: number): void {
    while (!this.#link.cut && this.#parcels.length > 0 && this.#parcels[0]!.dueMs <= nowMs) {
      const { sizeBytes, arrive } = this.#parcels.shift()!;
      this.#inFlight -= sizeBytes;
      arrive();
    }
  }

  #send(sizeBytes: number, arrive: () => void): void {
    const { immediate, delayMs, bytesPerMs } = this.#link;
    if (immediate && this.idle) return arrive();
    const { nowMs, random, onBusy } = this.#carrier;
    const spread = delayMs.max - delayMs.min;
    const tookMs = delayMs.min + spread * random.nextBelow(1024) / 1024 + sizeBytes / bytesPerMs;
    const dueMs = Math.max(this.#lastDueMs, nowMs() + tookMs);
    this.#lastDueMs = dueMs;
    this.#inFlight += sizeBytes;
    this.#parcels.push({ dueMs, sizeBytes, arrive });
    onBusy(this);
  }
}

/** A connection between two hosts. */
export class Connection {
  readonly from: string;
  readonly to: string;
  /** From the dialler to the listener, and back. */
  readonly directions: readonly [Direction, Direction];
  readonly #onReset: () => void;

  constructor(
    from: string,
    to: string,
    directions: readonly [Direction, Direction],
    onReset: () => void,
  ) {
    this.from = from;
    this.to = to;
    this.directions = directions;
    this.#onReset = onReset;
  }

  /** Both sides have ended it, and know. */
  get over(): boolean {
    return this.directions.every((direction) => direction.over);
  }

  /** How long something has been waiting beyond the time that it should have taken (ms). */
  waitedMs(nowMs: number): number {
    return nowMs - Math.min(this.directions[0].dueMs, this.directions[1].dueMs);
  }

  /** Breaks for both ends at once: what was under way is lost. */
  reset(): void {
    for (const direction of this.directions) direction.drop();
    this.#onReset();
  }
}
