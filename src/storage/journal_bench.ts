/**
 * What recording costs the shard's thread: copying records into a write, framing it, starting it.
 *
 * Run with `deno bench -A src/storage/journal_bench.ts`. The disk here does nothing, so that neither
 * CRCs (the shim's work in production) nor the device are measured.
 *
 * @module
 */

import { JournalRecordType } from "./journal_format.ts";
import { Arena } from "../bytes/arena.ts";
import { wrapMemory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import type { Disk } from "../io/disk.ts";
import { Journal } from "./journal.ts";
import { JournalRoom } from "./journal_ring.ts";

const MEGABYTE = 1024 * 1024;
const RECORDS = 1000;

let waiting: Completion | null = null;
let waitingBytes = 0;
const idleDisk = {
  writeSealed(_handle: number, _at: number, _from: number, length: number, done: Completion) {
    waiting = done;
    waitingBytes = length;
  },
} as unknown as Disk;

const memory = wrapMemory(new ArrayBuffer(65 * MEGABYTE));
const journal = new Journal({
  disk: idleDisk,
  memory,
  arena: new Arena(MEGABYTE, 64 * MEGABYTE),
  extents: [0, 1, 2, 3].map((handle) => ({ handle, path: "", sizeBytes: 64 * MEGABYTE })),
  journalId: 1,
  mountEpoch: 1,
  firstLsn: 1,
  onDurable: (lsn) => journal.release(lsn),
  onFailure: () => {},
});

for (const payloadLength of [0, 100, 1024, 4000]) {
  Deno.bench(`${RECORDS} records of ${payloadLength} bytes, and a write`, () => {
    for (let i = 0; i < RECORDS; i++) {
      if (!journal.hasRoom(payloadLength, JournalRoom.ORDINARY)) throw new Error("no room");
      journal.record(JournalRecordType.APPEND, i, 1, 1, 0, i, 0, 4096, i, 0, payloadLength);
    }
    journal.flush();
    waiting!.complete(waitingBytes, 0);
  });
}
