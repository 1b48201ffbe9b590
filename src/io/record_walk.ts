/**
 * The seam through which the records of a batch are checked: decompressed where they must be, counted,
 * compared with the header, and their timestamps bounded.
 *
 * The shim does the work (`shim_walk.ts`), because the bytes of records never enter JavaScript. A walk is done
 * in slices, so that a large batch, or a small one that decompresses to much, does not hold up a shard's turn.
 *
 * @module
 */

/** The verdict of a finished walk on a batch. */
export const WalkStatus = {
  SOUND: 0,
  /** A record contradicts itself, or the number of records differs from the header. */
  MALFORMED: 1,
  /** Offsets that do not count up from 0. */
  WRONG_OFFSETS: 2,
  /** The compressed stream is none, is cut, or something follows it. */
  UNDECODABLE: 3,
  /** More comes out of it than a batch may hold: {@linkcode UNPACKED_RATIO_MAX} and its bounds. */
  TOO_LARGE: 4,
  /** Whole, but records of it may not be stored: {@linkcode RecordWalk.refusedCount}. */
  REFUSED: 5,
  /** The compressed stream asks for a larger window than {@linkcode windowBytesMax}. */
  WINDOW: 6,
} as const;
export type WalkStatus = (typeof WalkStatus)[keyof typeof WalkStatus];

/** Why a record may not be stored. */
export const RefusalReason = {
  NO_KEY: 1,
  TIMESTAMP: 2,
} as const;

/**
 * The maximum decompressed size of one batch, which each of its consumers has to hold: this many times
 * its bytes, within bounds (bytes).
 */
export const UNPACKED_RATIO_MAX = 100;
export const UNPACKED_BYTES_MIN = 16 * 1024 * 1024;
export const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;
/**
 * Memory outside of the region that one walk may take for a window (bytes): what zstd asks for up to its level 19, and
 * for its largest one. A decoder takes a megabyte beside it.
 */
const WINDOW_BYTES_MIN = 8 * 1024 * 1024;
const WINDOW_BYTES_MAX = 128 * 1024 * 1024;
/** The same as a share of a shard's memory. */
const WINDOW_SHARE = 1 / 16;
/** Walks that a shard has under way at a time. */
const WALKS = 2;

/** The largest window of one walk (bytes): a power of two, because windows nearly are. */
export function windowBytesMax(arenaBytes: number): number {
  const share = 2 ** Math.floor(Math.log2(Math.max(1, arenaBytes * WINDOW_SHARE)));
  return Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_MIN, share));
}

/** What the decoders of a shard may take outside of the region (bytes). */
export function decoderBytesMax(arenaBytes: number): number {
  return WALKS * windowBytesMax(arenaBytes);
}

/** Refused records of one batch that are listed one by one. */
export const REFUSED_LISTED_MAX = 3;

/** A topic's requirements for records. */
export interface RecordRules {
  readonly keysRequired: boolean;
  /** Bounds of timestamps (ms since the epoch), both allowed; infinite: none. -1 is no timestamp. */
  readonly oldestMs: number;
  readonly newestMs: number;
}

/** One walk at a time; reused. The batch stays where it is, unchanged, until the walk has ended. */
export interface RecordWalk {
  /**
   * Walks the first slice of the batch at `address`, whose header and checksum were checked.
   *
   * @returns true when the walk has ended: the fields below are set
   */
  begin(address: number, length: number, rules: RecordRules): boolean;
  /** Walks the next slice of the same batch; true when the walk has ended. */
  resume(address: number, length: number, rules: RecordRules): boolean;

  /** One of {@linkcode WalkStatus}. */
  readonly status: number;
  /** Of all records, -1 without any. */
  readonly maxTimestampMs: number;
  readonly refusedCount: number;
  /** Of the refused records, those whose timestamp is out of bounds. */
  readonly outOfTimeCount: number;
  /** Of refused record `nth`, below {@linkcode REFUSED_LISTED_MAX}. */
  refusedIndex(nth: number): number;
  refusedReason(nth: number): number;
  refusedTimestampMs(nth: number): number;
}
