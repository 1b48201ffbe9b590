/**
 * Which nodes can be reached, as this shard last heard: volatile, from the connections between nodes.
 *
 * A node of which nothing was heard counts as reachable: it is registered, and a start does not hide nodes before it
 * has tried.
 *
 * @module
 */

export class LiveNodes {
  readonly #down = new Set<number>();

  note(nodeId: number, isUp: boolean): void {
    if (isUp) this.#down.delete(nodeId);
    else this.#down.add(nodeId);
  }

  isAlive(nodeId: number): boolean {
    return !this.#down.has(nodeId);
  }
}
