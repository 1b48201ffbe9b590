/**
 * Chooses the files of a new run's journals.
 *
 * A shard keeps the old ring if it has the configured size; otherwise a new one is created. On a full disk that
 * is impossible: then all old extents are dealt out to the new shards, so that any smaller, and some larger,
 * number of shards can start. That needs no space and no write: each ring gets a journal id of its own, so that
 * the blocks' contents are invalid for it, and still valid for the old manifest, should that still count.
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import type { Manifest, ShardManifest } from "./manifest.ts";
import { prewriteFile, type PrewriteOptions } from "./prewritten_file.ts";

/** Directory of journals and checkpoints, below the data directory. */
export const SHARDS_DIRECTORY = "shards";
/** A write may take nearly a whole extent, and must fit next to the reserved part. */
const RING_EXTENTS_MIN = 2;

/** The journal of a new shard. */
export type Ring = Pick<ShardManifest, "journalId" | "extents" | "extentBytes">;

export interface RingOptions extends Omit<PrewriteOptions, "path" | "sizeBytes" | "onProgress"> {
  readonly old: Manifest | null;
  /** Old extents that cannot be read to their end, or are kept as they are. */
  readonly unusable: ReadonlySet<string>;
  readonly shardCount: number;
  readonly extentBytes: number;
  readonly extentCount: number;
  /** The space that must be left for the checkpoints (bytes). */
  readonly spareBytes: number;
  readonly onProgress: (done: number) => void;
}

export interface Rings {
  readonly rings: readonly Ring[];
  readonly nextJournalId: number;
  /** The disk was too full for the configured rings. */
  readonly dealt: boolean;
}

/** Takes over, makes or deals out the journals' files; a negative errno when none of it is possible. */
export function* provideRings(options: RingOptions): Task<Rings | number> {
  const { old, shardCount } = options;
  let nextJournalId = old?.nextJournalId ?? 1;
  const rings: Ring[] = [];
  const made: Ring[] = [];
  for (let shard = 0; shard < shardCount; shard++) {
    const reused = reusableRing(options, shard);
    if (reused !== null) rings.push(reused);
    else {
      const ring = newRing(options, nextJournalId++);
      rings.push(ring);
      made.push(ring);
    }
  }
  const dealt = dealRings(old, shardCount, options.unusable);
  if (dealt !== null && !leavesSpare(options, made)) return dealt;
  for (const ring of made) {
    const result = yield* makeExtents(options, ring);
    if (result >= 0) continue;
    if (result !== -ENOSPC) return result;
    // Their space is needed for the checkpoints now.
    for (const path of made.flatMap(({ extents }) => extents)) {
      yield* io((done) => options.disk.unlink(path, done));
    }
    return dealt ?? -ENOSPC;
  }
  return { rings, nextJournalId, dealt: false };
}

/** The old extents in equal shares, or null when there are too few. */
export function dealRings(
  old: Manifest | null,
  shardCount: number,
  unusable: ReadonlySet<string> = new Set(),
): Rings | null {
  const extentBytes = old?.shards[0]?.extentBytes ?? 0;
  const usable = (old?.shards ?? []).filter((shard) => shard.extentBytes === extentBytes);
  const extents = usable.flatMap((shard) => shard.extents).filter((path) => !unusable.has(path));
  if (old === null || extents.length < RING_EXTENTS_MIN * shardCount) return null;
  const rings = Array.from({ length: shardCount }, (_, shard): Ring => ({
    journalId: old.nextJournalId + shard,
    extents: extents.filter((_path, at) => at % shardCount === shard),
    extentBytes,
  }));
  return { rings, nextJournalId: old.nextJournalId + shardCount, dealt: true };
}

/** Whether there is room for these rings and for what is written after them; only the file system knows for sure. */
function leavesSpare({ disk, extentBytes, spareBytes }: RingOptions, made: Ring[]): boolean {
  const extents = made.reduce((sum, ring) => sum + ring.extents.length, 0);
  return extents === 0 || disk.freeBytes() >= extents * extentBytes + spareBytes;
}

function reusableRing(options: RingOptions, shard: number): Ring | null {
  const { old, extentBytes, extentCount, unusable } = options;
  const ring = old?.shards[shard];
  if (ring === undefined || ring.extentBytes !== extentBytes) return null;
  if (ring.extents.some((path) => unusable.has(path))) return null;
  return ring.extents.length === extentCount ? ring : null;
}

function newRing({ extentBytes, extentCount }: RingOptions, journalId: number): Ring {
  const extents = Array.from(
    { length: extentCount },
    (_, i) => `${SHARDS_DIRECTORY}/journal-${journalId}-${i}`,
  );
  return { journalId, extents, extentBytes };
}

function* makeExtents(options: RingOptions, ring: Ring): Task<number> {
  const { disk, memory, bufferAddress, bufferBytes, onProgress } = options;
  for (const path of ring.extents) {
    const handle = yield* prewriteFile({
      disk,
      memory,
      path,
      sizeBytes: ring.extentBytes,
      bufferAddress,
      bufferBytes: bufferBytes - (bufferBytes % BLOCK_SIZE),
      onProgress: (written) => onProgress(written / ring.extentBytes),
    });
    if (handle < 0) return handle;
    yield* io((done) => disk.close(handle, done));
  }
  return 0;
}
