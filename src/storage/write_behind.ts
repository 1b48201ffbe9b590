/**
 * Write-behind: closed chunks are written to their segment files, a few at a time, after the journal.
 *
 * Nobody waits for these writes: the journal made the bytes durable before. They only have to keep up
 * with the ring, so they are capped in flight and paced (a burst of them delays the journal's next write by tens
 * of milliseconds). A chunk whose records are not durable yet waits for them: a power cut may leave garbage in
 * the block that it shares with older batches, and only the record that carries their bytes brings them back.
 * A chunk's write covers its window up to its last whole block; the rest of that block is
 * written by the next chunk, which repeats it as its lead. Only a *padded* chunk (checkpoint, end of the
 * segment) writes its last block itself, and then the next chunk's write waits for it.
 *
 * @module
 */

import type { Completion } from "../io/completion.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
import { type Chunk, type ChunkCache, ChunkState } from "./chunk_cache.ts";
import type { FileTable } from "./file_table.ts";
import type { Landing, Segment } from "./segment.ts";
import type { StorageContext } from "./shard_storage.ts";

/** Writes, and bytes of writes, in flight at once. */
const WRITES_MAX = 8;
const WRITE_BYTES_MAX = 1024 * 1024;
/** Bytes that may be handed to the disk per millisecond, and at once after a pause. */
const PACE_BYTES_PER_MS = 1024 * 1024;
const PACE_BURST_BYTES = 1024 * 1024;
/** How many times the above is allowed while more waits to be written than should. */
const HURRY = 4;
/** Entries that are done with, from which on moving the rest of the queue to its front pays. */
const QUEUE_SHIFT_MIN = 256;

/** The seed of an extent's checksum: bytes of another place never match. */
export function extentSeed(groupId: number, position: number): number {
  const mixed = Math.imul(groupId + 1, 0x9e3779b1) ^ Math.imul(position + 1, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

export class WriteBehind {
  readonly #context: StorageContext;
  readonly #cache: ChunkCache;
  readonly #files: FileTable;
  /** Called after every completed write. */
  onProgress: () => void = () => {};
  /** Whether writes are spread over time; recovery has nobody to spare. */
  paced = true;
  /** With more dirty memory than this, the pace is another: appends that find none would wait for longer. */
  hurryBytes = Infinity;
  bytesInFlight = 0;
  writesInFlight = 0;
  bytesWritten = 0;
  /** Journal writes up to here are durable; recovery writes only what its journals gave. */
  durableLsn = Infinity;
  /** Durable writes of large batches in flight (`large_append.ts`). */
  piecesInFlight = 0;
  /** Chunks to write, from number `#queueHead` on; those before are done with. */
  #queue: Chunk[] = [];
  #queueHead = 0;
  readonly #stalled: Chunk[] = [];
  #pool: ChunkWrite[] = [];
  #budgetBytes = PACE_BURST_BYTES;
  #lastMs = 0;
  #failed = false;

  constructor(context: StorageContext, cache: ChunkCache, files: FileTable) {
    this.#context = context;
    this.#cache = cache;
    this.#files = files;
  }

  /** Nothing is queued or in flight. */
  get idle(): boolean {
    return this.#queue.length === this.#queueHead && this.writesInFlight === 0;
  }

  /** Closes the open extent of a segment: its checksum is final, its bytes may be written. */
  closeTail(segment: Segment, padded: boolean): void {
    const chunk = segment.tail;
    if (chunk === null) return;
    segment.tail = null;
    if (chunk.extent < 0) {
      this.#cache.drop(chunk);
      return;
    }
    const length = chunk.end - chunk.start;
    segment.index.checksums[chunk.extent] = this.#context.crc32c(
      chunk.addressOf(chunk.start),
      length,
      extentSeed(segment.groupId, chunk.start),
    );
    chunk.state = ChunkState.DIRTY;
    chunk.waitsFor = segment.paddedEnd > chunk.windowStart ? segment.paddedEnd : 0;
    chunk.padded = padded && chunk.end % BLOCK_SIZE !== 0;
    if (chunk.padded) segment.paddedEnd = chunk.end;
    segment.pushDirty(chunk);
    this.#queue.push(chunk);
  }

  /** Takes over a closed chunk whose bytes from `landedFrom` on are in the file; at most one block is not. */
  land(segment: Segment, chunk: Chunk, landedFrom: number): void {
    chunk.landedFrom = landedFrom;
    chunk.waitsFor = segment.paddedEnd > chunk.windowStart ? segment.paddedEnd : 0;
    chunk.padded = chunk.end % BLOCK_SIZE !== 0;
    if (chunk.padded) segment.paddedEnd = chunk.end;
    segment.pushDirty(chunk);
    this.enqueue(chunk);
  }

  /** Puts a dirty chunk (again) into the queue. */
  enqueue(chunk: Chunk): void {
    chunk.submitted = false;
    chunk.written = false;
    this.#queue.push(chunk);
  }

  /** Sees to it that the last block of a segment without an open extent is written. */
  padEnd(segment: Segment): void {
    const last = segment.dirtyTail;
    if (segment.tail !== null || last === null || last.padded || last.end % BLOCK_SIZE === 0) {
      return;
    }
    // In flight without its last block: the caller asks again.
    if (last.submitted && !last.written) return;
    last.padded = true;
    segment.paddedEnd = last.end;
    this.enqueue(last);
  }

  /** Forgets the extents of a segment from number `first` on, and the chunks that hold them. */
  forgetFrom(segment: Segment, first: number): void {
    if (segment.tail !== null && (segment.tail.extent < 0 || segment.tail.extent >= first)) {
      if (segment.tail.extent < 0) this.#cache.drop(segment.tail);
      segment.tail = null;
    }
    let chunk = segment.dirtyHead;
    segment.dirtyHead = null;
    segment.dirtyTail = null;
    while (chunk !== null) {
      const next = chunk.nextDirty;
      if (chunk.extent < first) segment.pushDirty(chunk);
      chunk = next;
    }
    const chunks = segment.index.chunks;
    for (let i = first; i < chunks.length; i++) {
      const dropped = chunks[i];
      if (dropped !== null && dropped !== undefined) this.#cache.drop(dropped);
    }
    segment.index.cut(first);
    segment.entryCount = first;
  }

  /** Drops a segment's chunks: it is cut away or deleted. */
  forget(segment: Segment): void {
    segment.dropped = true;
    const tail = segment.tail;
    segment.tail = null;
    segment.dirtyHead = null;
    segment.dirtyTail = null;
    if (tail !== null && tail.extent < 0) this.#cache.drop(tail);
    for (const chunk of segment.index.chunks) if (chunk !== null) this.#cache.drop(chunk);
    segment.index.cut(0);
  }

  /** Hands what may be written now to the disk. */
  pump(nowMs: number): void {
    const passed = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    const factor = this.#cache.dirtyBytes > this.hurryBytes ? HURRY : 1;
    if (passed > 0) {
      this.#budgetBytes = Math.min(
        PACE_BURST_BYTES * factor,
        this.#budgetBytes + passed * PACE_BYTES_PER_MS * factor,
      );
    }
    const queue = this.#queue;
    const stalled = this.#stalled;
    let at = this.#queueHead;
    if (at === queue.length || this.#failed) return;
    for (; at < queue.length; at++) {
      if (this.#full()) break;
      const chunk = queue[at]!;
      if (chunk.segment === null || chunk.state !== ChunkState.DIRTY || chunk.submitted) continue;
      // The following chunks were usually recorded later.
      if (chunk.recordLsn > this.durableLsn) break;
      if (!this.#submit(chunk, chunk.segment)) stalled.push(chunk);
    }
    // They stay in front, in order.
    while (stalled.length > 0) queue[--at] = stalled.pop()!;
    this.#queueHead = at;
    const isEmpty = at === queue.length;
    if (!isEmpty && (at < QUEUE_SHIFT_MIN || 2 * at < queue.length)) return;
    queue.splice(0, at);
    this.#queueHead = 0;
  }

  #full(): boolean {
    return this.writesInFlight >= WRITES_MAX || this.bytesInFlight >= WRITE_BYTES_MAX ||
      (this.paced && this.#budgetBytes <= 0);
  }

  /** False: not possible yet. */
  #submit(chunk: Chunk, segment: Segment): boolean {
    if (segment.frozen) return false;
    if (segment.writtenPosition < chunk.waitsFor) return false;
    const landed = chunk.landedFrom >= 0;
    const ownEnd = chunk.padded ? roundUp(chunk.end) : roundDown(chunk.end);
    let end = landed ? chunk.landedFrom : ownEnd;
    if (segment.landings !== null) end = endBeforeLanding(segment.landings, chunk.windowStart, end);
    const length = end - chunk.windowStart;
    if (length <= 0) {
      chunk.submitted = true;
      this.#written(chunk, segment);
      return true;
    }
    const handle = this.#files.use(segment.file);
    if (handle < 0) {
      this.#open(segment);
      return false;
    }
    if (chunk.padded && !landed) {
      const from = chunk.addressOf(chunk.end);
      this.#context.memory.bytes.fill(0, from, chunk.addressOf(end));
    }
    chunk.submitted = true;
    chunk.pin();
    segment.writesInFlight++;
    this.writesInFlight++;
    this.bytesInFlight += length;
    this.#budgetBytes -= length;
    const write = this.#pool.pop() ?? new ChunkWrite(this);
    write.chunk = chunk;
    write.segment = segment;
    write.length = length;
    this.#context.disk.write(handle, chunk.windowStart, chunk.address, length, false, write);
    return true;
  }

  #open(segment: Segment): void {
    if (segment.file.opening) return;
    this.#files.open(segment.file, false, {
      complete: (result) => {
        if (result < 0) this.#fail(result, segment);
        else {
          this.#files.release(segment.file);
          this.onProgress();
        }
      },
    });
  }

  /** @internal A write has completed. */
  onWrite(write: ChunkWrite, result: number): void {
    const chunk = write.chunk!;
    const segment = write.segment!;
    write.chunk = null;
    write.segment = null;
    this.#pool.push(write);
    this.writesInFlight--;
    this.bytesInFlight -= write.length;
    this.bytesWritten += write.length;
    segment.writesInFlight--;
    this.#files.release(segment.file);
    chunk.unpin();
    if (result !== write.length) {
      this.#fail(result < 0 ? result : -EIO, segment);
      return;
    }
    if (chunk.segment === segment && chunk.submitted) this.#written(chunk, segment);
    this.onProgress();
  }

  #written(chunk: Chunk, segment: Segment): void {
    chunk.written = true;
    for (let c = segment.dirtyHead; c !== null && c.written; c = c.nextDirty) {
      const end = c.padded ? c.end : roundDown(c.end);
      if (end > segment.writtenPosition) segment.writtenPosition = end;
    }
    for (;;) {
      const head = segment.dirtyHead;
      if (head === null || !head.written || head.end > segment.writtenPosition) break;
      segment.shiftDirty();
      this.#cache.markClean(head);
    }
  }

  #fail(errno: number, segment: Segment): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#context.onFatal(errno, `Cannot write segment ${segment.file.path}: errno ${-errno}`);
  }
}

/** One write in flight; pooled. */
class ChunkWrite implements Completion {
  readonly #owner: WriteBehind;
  chunk: Chunk | null = null;
  segment: Segment | null = null;
  length = 0;

  constructor(owner: WriteBehind) {
    this.#owner = owner;
  }

  complete(result: number): void {
    this.#owner.onWrite(this, result);
  }
}

/**
 * Cuts the blocks [from, end) off where a large batch lies whose record is still to be replayed: what older
 * records have there was cut away before it came, and it is nowhere but in the file.
 */
export function endBeforeLanding(
  landings: readonly Landing[],
  from: number,
  end: number,
): number {
  let first = end;
  for (const landing of landings) {
    if (landing.from < first && landing.to > from) first = Math.max(from, landing.from);
  }
  return first;
}

export function roundDown(position: number): number {
  return position - (position % BLOCK_SIZE);
}

export function roundUp(position: number): number {
  const rest = position % BLOCK_SIZE;
  return rest === 0 ? position : position + BLOCK_SIZE - rest;
}
