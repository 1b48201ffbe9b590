/**
 * Which batches of which groups were acknowledged where, and must be there in the end, where groups may go on by force: then
 * what is beyond the log that goes on is forgotten.
 *
 * @module
 */

import { runTask } from "../../src/io/task.ts";
import { batchBaseOffset, batchBaseTimestamp, batchSize } from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { concat } from "./memory_sockets.ts";
import type { Force } from "./quorum_watch.ts";
import { readToEnd } from "./read_to_end.ts";
import { expect } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

/** The timestamp of batch number 0 (ms since the epoch). */
const BATCH_TIME_MS = 1_700_000_000_000;
const RECORDS = 2;

export class BatchLedger {
  /** Of each group: numbers of batches, by base offset. */
  readonly #batches = new Map<number, Map<number, number>>();
  #next = 0;
  lost = 0;

  /** Batches that must be there. */
  get kept(): number {
    return [...this.#batches.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Another batch, which its timestamp tells from all others. */
  next(): { readonly number: number; readonly bytes: Uint8Array } {
    const number = this.#next++;
    const builder = new RecordBatchBuilder();
    for (let at = 0; at < RECORDS; at++) {
      const value = new TextEncoder().encode(`${number}.${at}`);
      builder.add({ key: null, value, timestamp: BATCH_TIME_MS + number });
    }
    return { number, bytes: builder.build() };
  }

  acknowledged(groupId: number, offset: number, number: number): void {
    let batches = this.#batches.get(groupId);
    if (batches === undefined) this.#batches.set(groupId, batches = new Map());
    const known = batches.get(offset);
    expect(
      known === undefined,
      () => `group ${groupId}: batches ${known} and ${number} were acknowledged at ${offset}`,
    );
    batches.set(offset, number);
  }

  /** The group goes on with less. */
  forced({ groupId, keptOffset }: Force): void {
    const batches = this.#batches.get(groupId);
    for (const offset of batches?.keys() ?? []) {
      if (offset + RECORDS <= keptOffset) continue;
      batches!.delete(offset);
      this.lost++;
    }
  }

  /** Disks were lost: groups of which nobody has anything any more are forgotten. */
  keep(isThere: (groupId: number) => boolean): void {
    for (const [groupId, batches] of this.#batches) {
      if (isThere(groupId)) continue;
      this.lost += batches.size;
      batches.clear();
    }
  }

  /**
   * Reads a group on the node that leads it: every batch is where it was acknowledged.
   *
   * @param wait lets time pass until something is so
   */
  check(groupId: number, leader: SimNode, wait: (done: () => boolean) => void): void {
    const log = leader.logOf(groupId)!;
    const parts: Uint8Array[] = [];
    let stuckAt: number | null = null;
    const take = (address: number, length: number): void => {
      parts.push(leader.memory.bytes.slice(address, address + length));
    };
    runTask(readToEnd(log, log.startOffset, take), (at) => stuckAt = at);
    wait(() => stuckAt !== null);
    expect(stuckAt === -1, () => `group ${groupId} cannot be read at ${stuckAt}`);
    const bytes = concat(parts);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = new Map<number, number>();
    for (let at = 0; at < bytes.length; at += batchSize(view, at)) {
      found.set(batchBaseOffset(view, at), batchBaseTimestamp(view, at) - BATCH_TIME_MS);
    }
    for (const [offset, number] of this.#batches.get(groupId) ?? []) {
      const there = found.get(offset) ?? "nothing";
      expect(
        there === number,
        () => `group ${groupId}: batch ${number} was acknowledged at ${offset}, where ${there} is`,
      );
    }
  }
}
