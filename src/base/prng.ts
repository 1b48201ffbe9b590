/**
 * The only source of randomness: everything that needs chance (election jitter, member ids, fault
 * injection) is handed a {@linkcode Random}, so that a seed reproduces a whole run.
 *
 * @module
 */

/** A stream of pseudo-random numbers; not for secrets. */
export interface Random {
  /** Uniform in [0, 2^32). */
  nextUint32(): number;
  /** Uniform in [0, bound); `bound` is from 1 to 2^32. */
  nextBelow(bound: number): number;
}

/** xoshiro128** (Blackman and Vigna, 2018), seeded through SplitMix32. */
export class Xoshiro128 implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    let state = seed >>> 0;
    const splitMix = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = splitMix();
    this.#b = splitMix();
    this.#c = splitMix();
    this.#d = splitMix() | 1;
  }

  nextUint32(): number {
    const scaled = Math.imul(this.#b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  nextBelow(bound: number): number {
    return Math.floor((this.nextUint32() / 0x1_0000_0000) * bound);
  }
}
