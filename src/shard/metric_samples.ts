/**
 * Gauges of a shard, and counters that its parts keep anyway: written into its array when somebody asks for metrics.
 *
 * @module
 */

import { HeapLane } from "../kafka/request_heap.ts";
import { BUDGET_SLOTS, Slot } from "../metrics/catalog.ts";
import type { Shard } from "./shard.ts";

/** Operations that a disk has begun. */
export interface DiskCounts {
  readonly reads: number;
  readonly writes: number;
  readonly sealedWrites: number;
}

/** A shard's JavaScript objects (bytes). */
export interface HeapBytes {
  readonly heapUsed: number;
  readonly heapTotal: number;
}

/** Writes what the shard is like at this moment. */
export function sampleGauges(shard: Shard, disk: DiskCounts, memory: HeapBytes): void {
  const { recorder, server, storage, fetch, mender, heap, peers } = shard;
  const { blocks } = shard.options;
  const { links } = peers.nodeLinks;
  recorder.set(Slot.KAFKA_CONNECTIONS, server.connectionCount);
  recorder.set(Slot.REQUESTS_OPEN, server.openRequests);
  recorder.set(Slot.FETCHES_WAITING, fetch.waitingCount);
  recorder.set(Slot.PEER_CONNECTIONS, links.openCount);
  recorder.set(Slot.PEERS_RECEIVED, links.receivedBytes);
  recorder.set(Slot.PEERS_SENT, links.sentBytes);
  recorder.set(Slot.HEAP_USED, memory.heapUsed);
  recorder.set(Slot.HEAP_SIZE, memory.heapTotal);
  recorder.set(Slot.MENDED, mender.mended);
  recorder.set(Slot.READS, disk.reads);
  recorder.set(Slot.JOURNAL_WRITE_OPS, disk.sealedWrites);
  recorder.set(Slot.OTHER_WRITE_OPS, disk.writes);
  sampleStorage(shard, storage.stats());
  const lanes = Object.values(HeapLane);
  const objects = lanes.reduce<number>((sum, lane) => sum + heap.used(lane), 0);
  const budgets = [
    blocks.waitingWindows,
    blocks.begunFrames,
    blocks.smallFrames,
    blocks.largeFrames,
    blocks.responses,
    blocks.links,
    blocks.peerFrames,
    { used: objects, limit: heap.limit * lanes.length },
  ];
  for (const [at, { used, limit }] of budgets.entries()) {
    recorder.set(BUDGET_SLOTS[at]!.used, used);
    recorder.set(BUDGET_SLOTS[at]!.limit, limit);
  }
}

function sampleStorage(
  { recorder, options }: Shard,
  stats: ReturnType<Shard["storage"]["stats"]>,
): void {
  const { arena } = options.blocks;
  const free = arena.freeBytes;
  const available = free + stats.cachedBytes;
  const lowest = recorder.values[Slot.MEMORY_LOW_WATER]!;
  recorder.set(Slot.MEMORY_ALLOCATED, arena.size - free);
  recorder.set(Slot.MEMORY_FREE, free);
  recorder.set(Slot.MEMORY_AVAILABLE, available);
  recorder.set(Slot.MEMORY_LOW_WATER, lowest === 0 ? available : Math.min(lowest, available));
  recorder.set(Slot.CACHE_CLEAN, stats.cachedBytes);
  recorder.set(Slot.CACHE_DIRTY, stats.dirtyBytes);
  recorder.set(Slot.CACHE_PINNED, stats.pinnedBytes);
  recorder.set(Slot.CACHE_HITS, stats.cacheHits);
  recorder.set(Slot.CACHE_MISSES, stats.cacheMisses);
  recorder.set(Slot.JOURNAL_WRITES, stats.journal.writes);
  recorder.set(Slot.JOURNAL_BYTES, stats.journal.writtenBytes);
  recorder.set(Slot.JOURNAL_RECORDS, stats.journal.records);
  recorder.set(Slot.JOURNAL_USED, stats.journalUsedBytes);
  recorder.set(Slot.JOURNAL_SIZE, stats.journalSizeBytes);
  recorder.set(Slot.CHECKPOINTS, stats.checkpoints);
  recorder.set(Slot.OPEN_FILES, stats.openFiles);
  recorder.set(Slot.LOGS, stats.logCount);
}
