/**
 * Messages of many groups to one shard of another node, gathered for one frame.
 *
 * @module
 */

import type { RaftMessage } from "../raft/message.ts";
import { encodeRow, ROW_SIZE } from "./frames.ts";

/** Rows in one frame. */
export const ROWS_PER_FRAME_MAX = 200;
const ROWS_AT_FIRST = 8;

export class RowQueue {
  readonly node: number;
  readonly shard: number;
  #view = new DataView(new ArrayBuffer(ROWS_AT_FIRST * ROW_SIZE));
  #bytes = new Uint8Array(this.#view.buffer);
  count = 0;

  constructor(node: number, shard: number) {
    this.node = node;
    this.shard = shard;
  }

  get isFull(): boolean {
    return this.count === ROWS_PER_FRAME_MAX;
  }

  /** Bytes of the rows. */
  get length(): number {
    return this.count * ROW_SIZE;
  }

  push(groupId: number, message: RaftMessage): void {
    const at = this.length;
    if (at === this.#bytes.length) this.#grow();
    encodeRow(this.#view, at, groupId, message);
    this.count++;
  }

  /** Writes the rows to `target` and forgets them. */
  take(target: Uint8Array, at: number): void {
    target.set(this.#bytes.subarray(0, this.length), at);
    this.count = 0;
  }

  #grow(): void {
    const rows = Math.min(ROWS_PER_FRAME_MAX, 2 * this.count);
    const larger = new Uint8Array(rows * ROW_SIZE);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
