/** Links between simulated nodes: each direction delays, loses, repeats or holds what goes over it. */

import type { Random } from "../base/prng.ts";
import type { EventQueue } from "./test_event_queue.ts";
import type { Frame } from "./test_node.ts";

export interface LinkPlan {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Of 1000. */
  readonly lost: number;
  readonly doubled: number;
  /** Messages of one direction arrive in the order in which they were sent. */
  readonly inOrder: boolean;
}

/** A direction that says nothing for this long counts as broken for the receiver (ms). */
export const SILENCE_MS = 1_000;

export class Network {
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #blocked = new Set<string>();
  readonly #lastMs = new Map<string, number>();
  plan: LinkPlan;
  sentCount = 0;

  constructor(queue: EventQueue, random: Random, plan: LinkPlan) {
    this.#queue = queue;
    this.#random = random;
    this.plan = plan;
  }

  isBlocked(from: number, to: number): boolean {
    return this.#blocked.has(`${from}>${to}`);
  }

  block(from: number, to: number): void {
    this.#blocked.add(`${from}>${to}`);
  }

  /** Lets everything pass; returns the directions that were blocked. */
  heal(): [number, number][] {
    const directions = [...this.#blocked].map((each) => each.split(">").map(Number));
    this.#blocked.clear();
    return directions as [number, number][];
  }

  send(from: number, to: number, frame: Frame, arrive: (frame: Frame) => void): void {
    this.sentCount++;
    const random = this.#random;
    const { lost, doubled } = this.plan;
    if (this.isBlocked(from, to) || random.nextBelow(1000) < lost) return;
    this.#arriveLater(from, to, frame, arrive);
    if (random.nextBelow(1000) < doubled) this.#arriveLater(from, to, frame, arrive);
  }

  #arriveLater(from: number, to: number, frame: Frame, arrive: (frame: Frame) => void): void {
    const { delayMinMs, delayMaxMs, inOrder } = this.plan;
    let atMs = this.#queue.nowMs + delayMinMs +
      this.#random.nextBelow(delayMaxMs - delayMinMs + 1);
    if (inOrder) {
      const key = `${from}>${to}`;
      atMs = Math.max(atMs, this.#lastMs.get(key) ?? 0);
      this.#lastMs.set(key, atMs);
    }
    this.#queue.at(atMs, () => {
      if (!this.isBlocked(from, to)) arrive(frame);
    });
  }
}
