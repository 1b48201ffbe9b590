/**
 * Finds repeated bytes, for the compressors of the LZ77 family (snappy, lz4).
 *
 * Greedy, with one candidate per hash of four bytes: fast and simple rather than dense. Matches
 * reach back at most 65,535 bytes, which both formats can say.
 *
 * @module
 */

const MATCH_MIN = 4;
const DISTANCE_MAX = 65_535;
const HASH_BITS = 14;

export class MatchFinder {
  /** First byte that is not covered by a match so far. */
  literalStart: number;
  matchStart = 0;
  matchLength = 0;
  /** How far back the same bytes are. */
  matchDistance = 0;

  readonly #bytes: Uint8Array;
  readonly #startMax: number;
  readonly #endMax: number;
  readonly #positions = new Int32Array(1 << HASH_BITS).fill(-1);
  #at: number;

  /**
   * @param start first byte to compress; matches do not reach before it
   * @param startMax last position at which a match may begin
   * @param endMax where a match must end at the latest
   */
  constructor(bytes: Uint8Array, start: number, startMax: number, endMax: number) {
    this.#bytes = bytes;
    this.#startMax = Math.min(startMax, endMax - MATCH_MIN);
    this.#endMax = endMax;
    this.#at = start;
    this.literalStart = start;
  }

  /** Finds the next match; false when only literals are left. Then call {@linkcode take}. */
  next(): boolean {
    const bytes = this.#bytes;
    let misses = 0;
    // Where nothing repeats, steps grow: incompressible bytes pass quickly.
    for (let at = this.#at; at <= this.#startMax; at += 1 + (misses++ >> 5)) {
      const hash = hashOf(bytes, at);
      const candidate = this.#positions[hash]!;
      this.#positions[hash] = at;
      if (candidate < 0 || at - candidate > DISTANCE_MAX) continue;
      let length = 0;
      while (at + length < this.#endMax && bytes[candidate + length] === bytes[at + length]) {
        length++;
      }
      if (length < MATCH_MIN) continue;
      this.matchStart = at;
      this.matchLength = length;
      this.matchDistance = at - candidate;
      return true;
    }
    return false;
  }

  /** Continues after the match. */
  take(): void {
    this.literalStart = this.matchStart + this.matchLength;
    this.#at = this.literalStart;
  }
}

function hashOf(bytes: Uint8Array, at: number): number {
  const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  return Math.imul(word, 0x9e37_79b1) >>> (32 - HASH_BITS);
}
