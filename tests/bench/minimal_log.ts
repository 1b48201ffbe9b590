/**
 * The minimal loop's durable log: batches one after the other in an aligned buffer, one O_DIRECT durable
 * write in flight, into a prewritten file that is used as a ring.
 *
 * The least that can be called durable: no headers, no checks, nothing that could be read back. Two
 * buffers take turns; whatever was added while a write was in flight leaves with the next.
 *
 * @module
 */

import type { Memory } from "../../src/bytes/memory.ts";
import type { Completion } from "../../src/io/completion.ts";
import { BLOCK_SIZE, type Disk } from "../../src/io/disk.ts";
import type { Shim } from "../../src/io/shim.ts";

/** Copies from this size on go through the shim, as the broker's would. */
const NATIVE_COPY_MIN = 8 * 1024;

export interface MinimalLogOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly shim: Shim;
  readonly handle: number;
  /** Bytes of the file, all of them written before. */
  readonly fileBytes: number;
  /** Two aligned buffers. */
  readonly buffers: readonly [number, number];
  readonly bufferBytes: number;
  /** What was added before the last but one flush is durable. */
  readonly onDurable: () => void;
  readonly onFailure: (errno: number) => void;
}

export class MinimalLog {
  readonly #options: MinimalLogOptions;
  readonly #onWritten: Completion;
  #fill: number;
  #flight: number;
  #filled = 0;
  #inFlight = 0;
  #position = 0;
  writes = 0;

  constructor(options: MinimalLogOptions) {
    this.#options = options;
    [this.#fill, this.#flight] = options.buffers;
    this.#onWritten = { complete: (result) => this.#written(result) };
  }

  /** Adds a batch; false when the buffer has no room until the write in flight is done. */
  add(address: number, length: number): boolean {
    const { bufferBytes, memory, shim } = this.#options;
    if (this.#filled + length > bufferBytes) return false;
    const at = this.#fill + this.#filled;
    if (length < NATIVE_COPY_MIN) memory.bytes.copyWithin(at, address, address + length);
    else shim.gregor_copy(at, address, length);
    this.#filled += length;
    return true;
  }

  /** Starts the next write, if there is something to write and none in flight. */
  flush(): boolean {
    if (this.#filled === 0 || this.#inFlight > 0) return false;
    const { disk, handle, fileBytes } = this.#options;
    const bytes = Math.ceil(this.#filled / BLOCK_SIZE) * BLOCK_SIZE;
    if (this.#position + bytes > fileBytes) this.#position = 0;
    const address = this.#fill;
    this.#fill = this.#flight;
    this.#flight = address;
    this.#filled = 0;
    this.#inFlight = bytes;
    disk.write(handle, this.#position, address, bytes, true, this.#onWritten);
    this.#position += bytes;
    this.writes++;
    return true;
  }

  #written(result: number): void {
    const expected = this.#inFlight;
    this.#inFlight = 0;
    if (result !== expected) this.#options.onFailure(-result);
    else this.#options.onDurable();
  }
}
