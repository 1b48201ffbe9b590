/**
 * Which nodes can be reached, as this shard last heard: volatile, from the connections between nodes.
 *
 * A node of which nothing was heard counts as reachable: it is registered, and a start does not hide nodes before it
 * has tried.
 *
 * @module
 */

/** What was heard of a node last, and when that was first so (ms since the epoch). */
interface Heard {
  readonly isUp: boolean;
  readonly sinceMs: number;
}

export class LiveNodes {
  readonly #wallMs: () => number;
  readonly #heard = new Map<number, Heard>();

  constructor(wallMs: () => number = () => -1) {
    this.#wallMs = wallMs;
  }

  note(nodeId: number, isUp: boolean): void {
    if (this.#heard.get(nodeId)?.isUp === isUp) return;
    this.#heard.set(nodeId, { isUp, sinceMs: this.#wallMs() });
  }

  isAlive(nodeId: number): boolean {
    return this.#heard.get(nodeId)?.isUp !== false;
  }

  /** Since when {@linkcode isAlive} is as it is (ms since the epoch); -1: nothing was heard. */
  sinceMs(nodeId: number): number {
    return this.#heard.get(nodeId)?.sinceMs ?? -1;
  }
}
