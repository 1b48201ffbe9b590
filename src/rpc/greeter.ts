/**
 * Accepted connections until they have said which shard they are for.
 *
 * Runs on the shard that accepts. A connection that names no shard of this node, or comes from a node that must not talk to
 * this one, is answered with the reason and closed; any other is handed on, and the shard that gets it answers. Who says
 * nothing is closed when its time is over, or when newer connections need its place.
 *
 * @module
 */

import type { EventLog } from "../base/event_log.ts";
import { RPC_GREETING_MS, RPC_GREETINGS_MAX } from "../base/limits.ts";
import { LogLevel } from "../base/logger.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import type { Sockets } from "../io/sockets.ts";
import { Timer, type Timers } from "../io/timers.ts";
import {
  ANSWER_SIZE,
  describeStatus,
  GreetingStatus,
  judgePreamble,
  type NodeIdentity,
  type Preamble,
  PREAMBLE_SIZE,
  readPreamble,
  writeAnswer,
} from "./preamble.ts";

const SLOT_SIZE = 128;

export interface GreeterOptions {
  readonly memory: Memory;
  readonly sockets: Sockets;
  readonly timers: Timers;
  readonly crc32c: Crc32c;
  readonly nowMs: () => number;
  readonly identity: () => NodeIdentity;
  readonly events: EventLog;
  /** Gives the connection to its shard; false: the shard has no room now. */
  readonly hand: (socket: number, preamble: Preamble) => boolean;
  /** Another process with the same node id is there, and connected: answered with SAME_ID. */
  readonly isTaken: (preamble: Preamble) => boolean;
}

/** What {@linkcode Greeter} keeps for connections that wait (bytes). */
export const GREETER_MEMORY_SIZE = RPC_GREETINGS_MAX * SLOT_SIZE;

export class Greeter {
  readonly options: GreeterOptions;
  readonly #free: number[] = [];
  /** In the order in which they came. */
  readonly #waiting = new Set<Greeting>();
  readonly #timer: Timer;
  #stopped = false;

  /** @param block address of {@linkcode GREETER_MEMORY_SIZE} bytes */
  constructor(options: GreeterOptions, block: number) {
    this.options = options;
    for (let i = RPC_GREETINGS_MAX - 1; i >= 0; i--) this.#free.push(block + i * SLOT_SIZE);
    this.#timer = new Timer(() => this.#check());
  }

  /** Connections that have not been handed on. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Takes an accepted connection. */
  adopt(socket: number, peer: string): void {
    const address = this.#stopped ? undefined : this.#free.pop();
    if (address === undefined) {
      // The oldest one makes room for the next that comes.
      for (const oldest of this.#waiting) {
        if (oldest.shutdown()) break;
      }
      this.options.sockets.close(socket);
      return;
    }
    const greeting = new Greeting(this, socket, peer, address);
    this.#waiting.add(greeting);
    if (!this.#timer.scheduled) this.#awaken();
    greeting.receive();
  }

  /** Answers a connection that has been greeted, and closes it. */
  refuse(socket: number, peer: string, node: number): void {
    const address = this.#stopped ? undefined : this.#free.pop();
    if (address === undefined) return this.options.sockets.close(socket);
    const greeting = new Greeting(this, socket, peer, address);
    this.#waiting.add(greeting);
    if (!this.#timer.scheduled) this.#awaken();
    greeting.answer(GreetingStatus.BUSY, node);
  }

  /** Closes all that wait. */
  stop(): void {
    this.#stopped = true;
    this.options.timers.cancel(this.#timer);
    for (const greeting of [...this.#waiting]) greeting.shutdown();
  }

  /** For greetings. */
  over(greeting: Greeting): void {
    this.#waiting.delete(greeting);
    this.#free.push(greeting.address);
  }

  #awaken(): void {
    this.options.timers.schedule(this.#timer, this.options.nowMs() + RPC_GREETING_MS / 4);
  }

  #check(): void {
    const latestMs = this.options.nowMs() - RPC_GREETING_MS;
    for (const greeting of this.#waiting) {
      if (greeting.sinceMs <= latestMs) greeting.refuse("it did not say who it is in time");
    }
    if (this.#waiting.size > 0) this.#awaken();
  }
}

/** One connection: receives a preamble, or sends a refusal. */
class Greeting implements Completion {
  readonly address: number;
  readonly sinceMs: number;
  readonly #greeter: Greeter;
  readonly #socket: number;
  readonly #peer: string;
  #moved = 0;
  #answering = false;
  #closing = false;

  constructor(greeter: Greeter, socket: number, peer: string, address: number) {
    this.#greeter = greeter;
    this.#socket = socket;
    this.#peer = peer;
    this.address = address;
    this.sinceMs = greeter.options.nowMs();
  }

  receive(): void {
    const at = this.address + this.#moved;
    const missing = PREAMBLE_SIZE - this.#moved;
    this.#greeter.options.sockets.receiveInto(this.#socket, at, missing, 1, true, this);
  }

  /** Ends it; false when it is ending already. An operation is in flight: the rest follows when it completes. */
  shutdown(): boolean {
    if (this.#closing) return false;
    this.#closing = true;
    this.#greeter.options.sockets.shutdown(this.#socket);
    return true;
  }

  /** Ends it, and says why in the log. */
  refuse(why: string): void {
    if (!this.#closing) this.#note(why);
    this.shutdown();
  }

  complete(result: number): void {
    if (this.#closing || result <= 0) {
      this.#close();
      return;
    }
    this.#moved += result;
    if (this.#answering) {
      if (this.#moved === ANSWER_SIZE) this.#close();
      else this.#send(true);
    } else if (this.#moved < PREAMBLE_SIZE) {
      this.receive();
    } else {
      this.#judge();
    }
  }

  #judge(): void {
    const { memory, crc32c, identity, hand, isTaken } = this.#greeter.options;
    const preamble = readPreamble(memory, this.address, crc32c);
    if (preamble === null) {
      this.#note("it is no node: its first bytes make no sense");
      this.#close();
      return;
    }
    if (preamble === "version") return this.answer(GreetingStatus.VERSION, -1);
    const status = judgePreamble(preamble, identity());
    if (status !== GreetingStatus.OK) return this.answer(status, preamble.nodeId);
    if (isTaken(preamble)) return this.answer(GreetingStatus.SAME_ID, preamble.nodeId);
    if (!hand(this.#socket, preamble)) return this.answer(GreetingStatus.BUSY, preamble.nodeId);
    this.#greeter.over(this);
  }

  /** Sends a refusal, and ends the connection. */
  answer(status: GreetingStatus, node: number): void {
    const { memory, crc32c, identity } = this.#greeter.options;
    // A node that looks at all seeds finds itself among them.
    if (status !== GreetingStatus.SELF) this.#note(describeStatus(status), node);
    writeAnswer(memory, this.address, { ...identity(), status, frameSizeMax: 0 }, crc32c);
    this.#answering = true;
    this.#moved = 0;
    this.#send(false);
  }

  #send(full: boolean): void {
    const at = this.address + this.#moved;
    this.#greeter.options.sockets.send(this.#socket, at, ANSWER_SIZE - this.#moved, full, this);
  }

  #close(): void {
    this.#greeter.options.sockets.close(this.#socket);
    this.#greeter.over(this);
  }

  #note(why: string, node = -1): void {
    const fields = { from: this.#peer, why, ...(node < 0 ? {} : { node }) };
    this.#greeter.options.events.note("Refused a node's connection", fields, LogLevel.WARN);
  }
}
