/**
 * Ranges of the region in order: what one or several sends are made of.
 *
 * @module
 */

/** Ranges of the region to send, in order; neighbours are joined. */
export class RangeList {
  #addresses: Float64Array;
  #lengths: Float64Array;
  count = 0;
  /** Sum of all lengths (bytes). */
  bytes = 0;

  constructor(capacity: number) {
    this.#addresses = new Float64Array(capacity);
    this.#lengths = new Float64Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.bytes = 0;
  }

  push(address: number, length: number): void {
    if (length === 0) return;
    this.bytes += length;
    const last = this.count - 1;
    if (last >= 0 && this.#addresses[last]! + this.#lengths[last]! === address) {
      this.#lengths[last]! += length;
      return;
    }
    if (this.count === this.#addresses.length) this.#grow();
    this.#addresses[this.count] = address;
    this.#lengths[this.count] = length;
    this.count++;
  }

  address(index: number): number {
    return this.#addresses[index]!;
  }

  length(index: number): number {
    return this.#lengths[index]!;
  }

  #grow(): void {
    const addresses = new Float64Array(this.#addresses.length * 2);
    const lengths = new Float64Array(this.#addresses.length * 2);
    addresses.set(this.#addresses);
    lengths.set(this.#lengths);
    this.#addresses = addresses;
    this.#lengths = lengths;
  }
}
