/**
 * A consumer that reads a partition along while it is written: what it read must be what the partition holds in the end,
 * whoever leads by then.
 *
 * @module
 */

import { type Ledger, LedgerCheck } from "./ledger.ts";
import { type Link, pause } from "./link.ts";
import { readPayload } from "./payload.ts";
import { fetchRecords, type Verified } from "./verify.ts";

const RETRY_MS = 20;
/** To read what a verification has just read. */
const CATCH_UP_MS = 30_000;

export class TailLoad {
  readonly ledger: Ledger;
  readonly #link: Link;
  readonly #check: LedgerCheck;

  constructor(link: Link, ledger: Ledger) {
    this.#link = link;
    this.ledger = ledger;
    this.#check = new LedgerCheck(ledger, 0, new Map());
  }

  /** The first offset that it has not read. */
  get next(): number {
    return this.#check.next;
  }

  async run(stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      const records = await fetchRecords(this.#link, this.ledger, this.next);
      if (records === null) {
        await pause(RETRY_MS);
        continue;
      }
      for (const { offset, value } of records) {
        this.#check.record(offset, value === null ? null : readPayload(value));
      }
    }
  }

  /**
   * Nobody writes, and `verified` was read to the end: it is waited until as much was read here.
   *
   * @param whole `verified` was read from the beginning, and its records are compared
   */
  async check(verified: Verified, whole: boolean): Promise<void> {
    const deadlineMs = performance.now() + CATCH_UP_MS;
    while (this.next < verified.offset && performance.now() < deadlineMs) await pause(RETRY_MS);
    if (this.next !== verified.offset) {
      this.ledger.complain(`follower: read up to ${this.next} of ${verified.offset}`);
      return;
    }
    this.#check.end();
    if (whole && this.#check.digest !== verified.digest) {
      this.ledger.complain("follower: read other records than there are now");
    }
  }
}
