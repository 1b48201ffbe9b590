/**
 * A histogram of positive whole numbers (latencies in microseconds) with a bounded relative error.
 *
 * Buckets are logarithmic outside and linear inside, as in Gil Tene's HdrHistogram: each power of two
 * is cut into 128 equal parts, so that a value is known to better than 1 %, from 1 us to hours, in
 * 5,000 counters and without allocation.
 *
 *     value     0..255      exactly
 *               256..511    in steps of 2
 *               512..1023   in steps of 4 ...
 *
 * @module
 */

const SUB_BITS = 7;
const SUB_COUNT = 1 << SUB_BITS;
const EXPONENTS = 36;

export class Histogram {
  #counts = new Float64Array((EXPONENTS + 2) * SUB_COUNT);
  #count = 0;
  #sum = 0;
  #max = 0;
  #min = Infinity;

  get count(): number {
    return this.#count;
  }

  /** Greatest value recorded, exactly; 0 when there is none. */
  get max(): number {
    return this.#max;
  }

  /** Least value recorded, exactly; 0 when there is none. */
  get min(): number {
    return this.#count === 0 ? 0 : this.#min;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** Records `value`, rounded to a whole number, `times` times. */
  record(value: number, times = 1): void {
    const whole = value < 0 ? 0 : Math.round(value);
    this.#counts[bucketOf(whole)]! += times;
    this.#count += times;
    this.#sum += whole * times;
    if (whole > this.#max) this.#max = whole;
    if (whole < this.#min) this.#min = whole;
  }

  /** The value that `share` (0 to 1) of all recorded values do not exceed; 0 when there is none. */
  percentile(share: number): number {
    if (this.#count === 0) return 0;
    const wanted = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= wanted) return Math.max(this.#min, Math.min(this.#max, upperEdge(bucket)));
    }
    return this.#max;
  }

  /** Adds all of `other`. */
  add(other: Histogram): void {
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      this.#counts[bucket]! += other.#counts[bucket]!;
    }
    this.#count += other.#count;
    this.#sum += other.#sum;
    if (other.#max > this.#max) this.#max = other.#max;
    if (other.#min < this.#min) this.#min = other.#min;
  }

  /** Forgets everything. */
  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#sum = 0;
    this.#max = 0;
    this.#min = Infinity;
  }
}

function bucketOf(value: number): number {
  if (value < 2 * SUB_COUNT) return value;
  const exponent = Math.min(EXPONENTS, Math.floor(Math.log2(value)) - SUB_BITS);
  const within = Math.min(2 * SUB_COUNT - 1, Math.floor(value / 2 ** exponent));
  return exponent * SUB_COUNT + within;
}

/** Greatest value that falls into `bucket`. */
function upperEdge(bucket: number): number {
  if (bucket < 2 * SUB_COUNT) return bucket;
  const exponent = Math.floor(bucket / SUB_COUNT) - 1;
  const within = bucket - exponent * SUB_COUNT;
  return (within + 1) * 2 ** exponent - 1;
}
