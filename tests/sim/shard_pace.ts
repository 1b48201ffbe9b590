/**
 * Which shards of a simulated node take a turn in a step, and in which order: in production each has a thread of its own,
 * which the host may leave without a CPU for a while.
 *
 * @module
 */

import { type Random, Xoshiro128 } from "../../src/base/prng.ts";

/** One turn in so many begins a pause. */
const PAUSE_ODDS = 60;
/** A pause lasts at most so many steps; one in {@linkcode LONG_ODDS} ten times as long. */
const PAUSE_STEPS_MAX = 40;
const LONG_ODDS = 20;

export class ShardPace {
  readonly #random: Random;
  /** Steps that each shard still misses. */
  readonly #missed: number[];
  readonly #turns: number[] = [];

  constructor(seed: number, shardCount: number) {
    this.#random = new Xoshiro128(seed ^ 0x6c8e9cf5);
    this.#missed = new Array(shardCount).fill(0);
  }

  /** The shards that take a turn in the next step, in their order. */
  next(): readonly number[] {
    const random = this.#random;
    const turns = this.#turns;
    turns.length = 0;
    for (let shard = 0; shard < this.#missed.length; shard++) {
      if (this.#missed[shard]! > 0) this.#missed[shard]!--;
      else if (random.nextBelow(PAUSE_ODDS) === 0) {
        const longer = random.nextBelow(LONG_ODDS) === 0 ? 10 : 1;
        this.#missed[shard] = longer * random.nextBelow(PAUSE_STEPS_MAX);
      } else turns.splice(random.nextBelow(turns.length + 1), 0, shard);
    }
    return turns;
  }
}
