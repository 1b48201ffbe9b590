/**
 * The buckets that all histograms of times have: fixed, so that recording is two additions, and shards and nodes add up.
 *
 * Log-linear: each power of two is cut into four equal parts, from 16 us to 33.6 s.
 *
 * ```text
 *   bucket    0         up to 16 us
 *             1..4      up to 20, 24, 28, 32 us
 *             5..8      up to 40, 48, 56, 64 us ...
 *            81..84     up to 33.6 s
 *            85         longer
 *   behind them: the sum (us)
 * ```
 *
 * @module
 */

const FIRST_EXPONENT = 4;
const LAST_EXPONENT = 24;
const PARTS_BITS = 2;
const PARTS = 1 << PARTS_BITS;
/** Buckets with an upper edge. */
export const BUCKET_COUNT = 1 + (LAST_EXPONENT - FIRST_EXPONENT + 1) * PARTS;
/** The bucket without one. */
const BEYOND = BUCKET_COUNT;
/** Where the sum is. */
export const SUM_AT = BUCKET_COUNT + 1;
/** Numbers that a histogram takes. */
export const HISTOGRAM_SIZE = BUCKET_COUNT + 2;
/** Longer times count as this (us), so that they are small integers. */
export const LONGEST_US = 2 ** 30 - 1;

/** The bucket of a time in whole microseconds, at least 0. */
export function bucketOf(us: number): number {
  // An edge belongs to the bucket below it.
  const below = us - 1;
  if (below < 1 << FIRST_EXPONENT) return 0;
  const exponent = 31 - Math.clz32(below);
  if (exponent > LAST_EXPONENT) return BEYOND;
  const part = (below >> (exponent - PARTS_BITS)) & (PARTS - 1);
  return 1 + ((exponent - FIRST_EXPONENT) << PARTS_BITS) + part;
}

/** The longest time of a bucket (us); Infinity of the last one. */
export function upperEdgeUs(bucket: number): number {
  if (bucket === 0) return 1 << FIRST_EXPONENT;
  if (bucket >= BEYOND) return Infinity;
  const exponent = FIRST_EXPONENT + ((bucket - 1) >> PARTS_BITS);
  const part = (bucket - 1) & (PARTS - 1);
  return 2 ** exponent + (part + 1) * 2 ** (exponent - PARTS_BITS);
}

/** Buckets whose edges a page shows: at `/metrics` two for each power of two. */
export const DETAILED_BUCKETS: readonly number[] = Array.from(
  { length: BUCKET_COUNT },
  (_, bucket) => bucket,
).filter((bucket) => bucket % 2 === 0);

/** Those at `/public_metrics`: the 18 powers of two from 256 us on, which are Redpanda's. */
export const PUBLIC_BUCKETS: readonly number[] = DETAILED_BUCKETS.filter((bucket) =>
  bucket % PARTS === 0 && upperEdgeUs(bucket) >= 256
);
