/**
 * One shard of a simulated node: what a shard of production has from its thread, and the shard once it is open.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { RECEIVE_BUFFER_SIZE } from "../../src/base/limits.ts";
import type { Random } from "../../src/base/prng.ts";
import type { Arena } from "../../src/bytes/arena.ts";
import type { Memory } from "../../src/bytes/memory.ts";
import { Timers } from "../../src/io/timers.ts";
import type { Shard } from "../../src/shard/shard.ts";
import { ShardMemory } from "../../src/shard/shard_memory.ts";
import type { ShardSteps } from "../../src/shard/shard_steps.ts";
import { type MemoryDescriptors, MemorySockets } from "./memory_sockets.ts";

const RECEIVE_BUFFERS = 16;

export class SimShard {
  readonly index: number;
  readonly timers = new Timers();
  readonly arena: Arena;
  readonly blocks: ShardMemory;
  readonly sockets: MemorySockets;
  steps!: ShardSteps;

  /** @param descriptors of the process */
  constructor(
    index: number,
    arena: Arena,
    requestMax: number,
    memory: Memory,
    random: Random,
    descriptors: MemoryDescriptors,
  ) {
    this.index = index;
    this.arena = arena;
    this.blocks = new ShardMemory(arena, requestMax);
    const buffers = Array.from(
      { length: RECEIVE_BUFFERS },
      () => arena.allocate(RECEIVE_BUFFER_SIZE),
    );
    this.sockets = new MemorySockets(
      memory,
      buffers,
      RECEIVE_BUFFER_SIZE,
      random,
      descriptors,
    );
    this.sockets.onRecycled = () => this.blocks.noteReleased();
  }

  get shard(): Shard {
    const { shard } = this.steps;
    assert(shard !== null, "the shard is not open");
    return shard;
  }
}
