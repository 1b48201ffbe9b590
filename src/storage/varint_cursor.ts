/**
 * Reads the zigzag varints inside of stored records (Kafka's varint and varlong).
 *
 * @module
 */

export class Varint {
  readonly #view: DataView<ArrayBuffer>;
  readonly #end: number;
  at: number;
  /** Something was read beyond the end, or too long. */
  bad = false;

  constructor(view: DataView<ArrayBuffer>, at: number, end: number) {
    this.#view = view;
    this.at = at;
    this.#end = end;
  }

  /** The next number; 0 once the input is bad. */
  next(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.#end || this.bad) {
        this.bad = true;
        return 0;
      }
      const byte = this.#view.getUint8(this.at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 128;
    }
    this.bad = true;
    return 0;
  }

  skip(bytes: number): void {
    this.at += bytes;
    if (this.at > this.#end) this.bad = true;
  }
}
