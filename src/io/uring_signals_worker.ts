/**
 * The far side of the signal tests: a shard on a thread of its own that answers each signal with one.
 *
 * @module
 */

import { wrapRegion } from "./region.ts";
import { loadShim } from "./shim.ts";
import { Uring } from "./uring.ts";

/** The worker's orders. */
export interface EchoOrder {
  readonly ring: number;
  readonly answerTo: number;
  readonly rounds: number;
  /** Address of the two sides' {@linkcode SignalWords}, this one's second; 0 = doorbells alone. */
  readonly words: number;
  readonly pollUs: number;
}

/** A message counter and a watched word for each of two sides, as a mailbox would use them. */
export class SignalWords {
  readonly #words: Int32Array;
  readonly #ring: Uring;
  readonly #own: number;
  readonly #peer: number;
  readonly #peerRing: number;
  #seen = 0;

  constructor(ring: Uring, buffer: ArrayBuffer, address: number, side: 0 | 1, peerRing: number) {
    this.#words = new Int32Array(buffer, address, 64);
    this.#ring = ring;
    this.#own = side * 32;
    this.#peer = 32 - this.#own;
    this.#peerRing = peerRing;
    ring.watch(address + (this.#own + 16) * 4);
  }

  /** Publishes a message. */
  send(): void {
    Atomics.add(this.#words, this.#peer, 1);
    if (Atomics.exchange(this.#words, this.#peer + 16, 0) === 1) {
      this.#ring.doorbell(this.#peerRing);
    }
  }

  /** Waits for a message; false when none comes in 5 s. */
  receive(pollUs: number): boolean {
    const deadline = performance.now() + 5000;
    while (Atomics.load(this.#words, this.#own) === this.#seen) {
      Atomics.store(this.#words, this.#own + 16, 2);
      const nothing = Atomics.load(this.#words, this.#own) === this.#seen;
      this.#ring.turn(nothing ? 1_000_000 : 0, pollUs);
      if (performance.now() > deadline) return false;
    }
    Atomics.store(this.#words, this.#own + 16, 0);
    this.#seen++;
    return true;
  }
}

const scope = self as unknown as DedicatedWorkerGlobalScope;

/** Answers doorbells with doorbells. */
function echoDoorbells(ring: Uring, order: EchoOrder): void {
  let answered = 0;
  const deadline = performance.now() + 10_000;
  while (answered < order.rounds && performance.now() < deadline) {
    ring.turn(100_000, order.pollUs);
    for (let i = 0; i < ring.doorbells; i++) {
      ring.doorbell(order.answerTo);
      answered++;
    }
  }
}

function echoMessages(ring: Uring, order: EchoOrder): void {
  const { buffer } = wrapRegion(ring.shim).bytes;
  const words = new SignalWords(ring, buffer, order.words, 1, order.answerTo);
  for (let i = 0; i < order.rounds && words.receive(order.pollUs); i++) words.send();
}

if (typeof DedicatedWorkerGlobalScope !== "undefined") {
  scope.onmessage = (event: MessageEvent<EchoOrder>) => {
    const order = event.data;
    const ring = new Uring(loadShim(), order.ring, { ops: 16, dones: 16 });
    scope.postMessage("open");
    if (order.words === 0) echoDoorbells(ring, order);
    else echoMessages(ring, order);
    const deadline = performance.now() + 10_000;
    while (performance.now() < deadline && !ring.takeWake()) ring.turn(1_000_000, 0);
    ring.dispose();
    scope.postMessage(performance.now() < deadline ? "woken" : "timed out");
  };
}
