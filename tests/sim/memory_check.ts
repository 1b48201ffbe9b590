/**
 * Whether a simulated node keeps account of its memory: budgets while clients work, and all of it when they are gone.
 *
 * @module
 */

import { RECEIVE_BUFFER_SIZE } from "../../src/base/limits.ts";
import { HeapLane } from "../../src/kafka/request_heap.ts";
import { expect, SimFailure } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

/** What one request may exceed its heap lane by: it is counted when it has been decoded. */
const HEAP_EXCESS_MAX = 32 * 1024 * 1024;
/** A snapshot is on the disk within this time (virtual ms), which is looked at in steps. */
const SNAPSHOT_MS = 2_000;
const SNAPSHOT_STEP_MS = 50;

/** What clients can make us allocate stays within what it may. */
export function checkBudgets({ shards }: SimNode): void {
  shards.forEach(({ blocks, shard }, index) => {
    const { waitingWindows, begunFrames, smallFrames, largeFrames, responses } = blocks;
    for (
      const { name, used, limit } of [
        waitingWindows,
        begunFrames,
        smallFrames,
        largeFrames,
        responses,
      ]
    ) {
      expect(used <= limit, () => `shard ${index}: ${used} bytes of ${name}, of ${limit}`);
    }
    const { heap } = shard.server;
    for (const lane of Object.values(HeapLane)) {
      const used = heap.used(lane);
      const isBounded = used >= 0 && used <= heap.limit + HEAP_EXCESS_MAX;
      expect(isBounded, () => `shard ${index}: ${used} bytes of heap lane ${lane}`);
    }
  });
}

/**
 * Nobody has anything open: all memory is back, or will be soon, because a state's snapshot may be under way.
 *
 * @param rest lets so many ms pass
 */
export function checkMemory(nodes: readonly SimNode[], rest: (ms: number) => void): void {
  for (let waitedMs = 0;; waitedMs += SNAPSHOT_STEP_MS) {
    try {
      return nodes.forEach(checkNow);
    } catch (error) {
      if (!(error instanceof SimFailure) || waitedMs >= SNAPSHOT_MS) throw error;
    }
    rest(SNAPSHOT_STEP_MS);
  }
}

function checkNow({ shards }: SimNode): void {
  shards.forEach(({ blocks, sockets, shard }, index) => {
    const { waitingWindows, begunFrames, smallFrames, largeFrames, responses, peerFrames } = blocks;
    const budgets = [
      waitingWindows,
      begunFrames,
      smallFrames,
      largeFrames,
      responses,
      peerFrames,
    ];
    for (const { name, used } of budgets) {
      expect(used === 0, () => `shard ${index}: ${used} bytes of ${name} are not given back`);
    }
    expect(
      sockets.freeBuffers === sockets.bufferCount,
      () => `shard ${index}: ${sockets.bufferCount - sockets.freeBuffers} receive buffers lost`,
    );
    for (const lane of Object.values(HeapLane)) {
      const used = shard.server.heap.used(lane);
      expect(used === 0, () => `shard ${index}: ${used} bytes of heap lane ${lane} stay counted`);
    }
    expect(blocks.waitingCount === 0, () => `shard ${index}: somebody waits for memory`);
    expect(shard.server.connectionCount === 0, () => `shard ${index}: a connection is left`);
    const stats = shard.storage.stats();
    expect(
      stats.pinnedBytes === 0,
      () => `shard ${index}: ${stats.pinnedBytes} bytes stay pinned`,
    );
    const stored = stats.cachedBytes + stats.dirtyBytes + stats.journalBufferBytes +
      stats.checkpointBufferBytes;
    const receiving = sockets.bufferCount * RECEIVE_BUFFER_SIZE;
    const { arena } = blocks;
    // Connections with other nodes stay.
    const { stagingAddress } = shard.replication;
    const staging = stagingAddress < 0 ? 0 : blocks.arena.blockSize(stagingAddress);
    const linked = blocks.links.used + staging;
    const known = arena.freeBytes + stored + receiving + linked;
    expect(
      known === arena.size,
      () => `shard ${index}: ${arena.size - known} bytes of the arena are lost`,
    );
  });
}
