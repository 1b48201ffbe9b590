/**
 * A host that is short of something, for tests: temporary failures below a patient disk, its pauses, its reports.
 *
 * @module
 */

import type { Disk } from "./disk.ts";
import { EAGAIN, ECANCELED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM } from "./errno.ts";
import type { DiskOperation, MemoryDisk } from "./memory_disk.ts";
import { type DiskHiccup, PatientDisk } from "./patient_disk.ts";
import { Timer, Timers } from "./timers.ts";

/** Everything that can fail. */
export const DISK_OPERATIONS: readonly DiskOperation[] = [
  "open",
  "read",
  "write",
  "sync",
  "syncFileSystem",
  "syncDirectory",
  "allocate",
  "truncate",
  "rename",
  "unlink",
  "makeDirectory",
  "removeDirectory",
];

/** What passes. */
export const PASSING_ERRNOS: readonly number[] = [
  EINTR,
  EAGAIN,
  ENOMEM,
  ENFILE,
  EMFILE,
  ENOBUFS,
  ECANCELED,
];

/** The `nth` next operation of this kind fails with `errno`. */
export function failOnce(
  disk: MemoryDisk,
  operation: DiskOperation,
  errno: number,
  nth = 1,
): void {
  disk.inject({ operation, nth, fault: { kind: "error", errno } });
}

/** Patient disks that share a clock. */
export class TestPatience {
  readonly #nowMs: () => number;
  readonly #timers = new Timers();
  /** Hiccups that were reported, and after how many retries they were over. */
  readonly hiccups: DiskHiccup[] = [];
  readonly over: number[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Patience on top of `disk`. */
  wrap(disk: Disk): PatientDisk {
    return new PatientDisk(disk, {
      later: (delayMs, again) => this.#timers.schedule(new Timer(again), this.#nowMs() + delayMs),
      nowMs: this.#nowMs,
      onHiccup: (hiccup) => this.hiccups.push(hiccup),
      onOver: (_tookMs, retries) => this.over.push(retries),
    });
  }

  /** When the next operation is tried again, or Infinity. */
  get nextMs(): number {
    return this.#timers.nextDeadlineMs();
  }

  /** Tries again what is due. */
  run(): void {
    this.#timers.run(this.#nowMs());
  }
}
