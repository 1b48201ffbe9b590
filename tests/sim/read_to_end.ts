/**
 * Reading a whole log, as a consumer would that goes on.
 *
 * @module
 */

import { type Task, until } from "../../src/io/task.ts";
import type { Log } from "../../src/storage/log.ts";
import { LogRead } from "../../src/storage/log_read.ts";

/** Read at once (bytes). */
const READ_BYTES = 100_000;

/**
 * The offset where a reader can go no further, or -1.
 *
 * @param take given each extent that was read, while it is there
 * @param end where to stop: a batch's beginning; the log's end when absent, also if that moves meanwhile
 */
export function* readToEnd(
  log: Log,
  from = log.startOffset,
  take: (address: number, length: number) => void = () => {},
  end = Infinity,
): Task<number> {
  let resume: (bytes: number) => void = () => {};
  const read = new LogRead({ complete: (bytes) => resume(bytes) });
  for (let offset = from; offset < Math.min(end, log.endOffset);) {
    read.offset = offset;
    read.maxBytes = READ_BYTES;
    read.limitOffset = Math.min(end, log.endOffset);
    if (!log.read(read)) yield* until<number>((done) => resume = done);
    for (let i = 0; i < read.extentCount; i++) take(read.addresses[i]!, read.lengths[i]!);
    const stuck = read.error !== 0 || read.nextOffset === offset;
    read.release();
    if (stuck) return offset;
    offset = read.nextOffset;
  }
  return -1;
}
