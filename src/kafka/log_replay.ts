/**
 * Reads a partition's committed records from the log start, for the state machines that live on it
 * (the controller on group 0, coordinators on `__consumer_offsets`).
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { type Task, until } from "../io/task.ts";
import { ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import type { Partition } from "./partition.ts";

/** Bytes read at once. */
const READ_SIZE = 1024 * 1024;
/** Length of a batch as its header gives it does not count the base offset and the length itself. */
const BATCH_PREFIX_SIZE = 12;
const BATCH_LENGTH_AT = 8;

/** Takes one record batch that lies in the region; valid during the call. */
export type BatchVisitor = (address: number, length: number) => void;

/**
 * Hands every batch below the high watermark to `visit`, in order; a batch committed while this runs is
 * included.
 *
 * @returns the offset behind the last batch, or -1 when storage failed or the partition went away
 */
export function* replayCommitted(
  partition: Partition,
  memory: Memory,
  visit: BatchVisitor,
): Task<number> {
  let resume: (result: number) => void = () => {};
  const read = new LogRead({ complete: (result) => resume(result) });
  let offset = partition.startOffset;
  while (offset < partition.highWatermark) {
    if (partition.gone) return -1;
    read.offset = offset;
    read.maxBytes = READ_SIZE;
    read.limitOffset = partition.highWatermark;
    read.minOneBatch = true;
    const waited = !partition.log.read(read);
    if (waited) yield* until<number>((done) => resume = done);
    if (read.error !== ReadError.NONE || read.extentCount === 0) {
      read.release();
      return -1;
    }
    for (let i = 0; i < read.extentCount; i++) {
      visitExtent(memory, read.addresses[i]!, read.lengths[i]!, visit);
    }
    offset = read.nextOffset;
    read.release();
  }
  return offset;
}

function visitExtent(memory: Memory, address: number, length: number, visit: BatchVisitor): void {
  const end = address + length;
  let at = address;
  while (at < end) {
    const size = BATCH_PREFIX_SIZE + memory.view.getInt32(at + BATCH_LENGTH_AT, false);
    visit(at, size);
    at += size;
  }
}
