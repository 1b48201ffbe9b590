/**
 * What a simulated node has the real shim do: it computes on the node's memory, and touches nothing else.
 *
 * @module
 */

import type { RecordCompactor } from "../../src/io/record_compactor.ts";
import { ShimCompactor } from "../../src/io/shim_compactor.ts";
import { type RecordWalk, windowBytesMax } from "../../src/io/record_walk.ts";
import { loadShim } from "../../src/io/shim.ts";
import { ShimRegexes } from "../../src/io/shim_regexes.ts";
import { openBufferWalk } from "../../src/io/shim_walk.ts";

const SHIM = loadShim();
const REGEXES = new ShimRegexes(SHIM);

interface Part {
  close(): void;
}

/** Tests leave nodes behind; the shim's parts are not the collector's. */
const LEFT_BEHIND = new FinalizationRegistry<Part[]>((parts) => {
  for (const part of parts) part.close();
});

export class ShimParts {
  readonly #windowMax: number;
  /** Closed at the end of a life, or with the node, where a test leaves it behind. */
  readonly #parts: Part[] = [];

  constructor(arenaBytes: number) {
    this.#windowMax = windowBytesMax(arenaBytes);
    LEFT_BEHIND.register(this, this.#parts);
  }

  readonly regexes = REGEXES;

  walk(memory: Uint8Array<ArrayBuffer>): RecordWalk {
    const walk = openBufferWalk(SHIM, memory, this.#windowMax);
    this.#parts.push(walk);
    return walk;
  }

  compactor(memory: Uint8Array<ArrayBuffer>): RecordCompactor {
    const compactor = new ShimCompactor(SHIM, memory, this.#windowMax, [1, 2, 3, 4]);
    this.#parts.push(compactor);
    return compactor;
  }

  close(): void {
    for (const part of this.#parts.splice(0)) part.close();
  }
}
