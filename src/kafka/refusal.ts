/**
 * Why a batch was refused, as numbers that are sent between shards, and as text for the producer.
 *
 * Error codes, and which records are named, are Kafka's (ErrorMessage and RecordErrors of a Produce
 * response since version 8); the texts are ours.
 *
 * @module
 */

import { type RecordWalk, RefusalReason, REFUSED_LISTED_MAX } from "../io/record_walk.ts";

/** What was wrong with a batch; 0: nothing that needs words. */
export const Cause = {
  NONE: 0,
  MALFORMED: 1,
  WRONG_OFFSETS: 2,
  UNDECODABLE: 3,
  TOO_LARGE: 4,
  RECORDS: 5,
  STAMPED: 6,
  READ_ONLY: 7,
  NO_SPACE: 8,
  OVER_MEMORY: 9,
  WINDOW: 10,
} as const;

/** One refused record: its place in the batch, and why. */
export interface RecordError {
  readonly index: number;
  readonly message: string;
}

/** In words. */
export interface RefusalText {
  readonly message: string;
  readonly records: readonly RecordError[];
}

/** In numbers; one per shard and outcome, reused. */
export class Refusal {
  /** One of {@linkcode Cause}. */
  cause: number = Cause.NONE;
  /** Refused records, of which the first {@linkcode REFUSED_LISTED_MAX} are listed; of OVER_MEMORY the bytes that are taken. */
  count = 0;
  oldestMs = 0;
  newestMs = 0;
  readonly indexes = new Float64Array(REFUSED_LISTED_MAX);
  readonly reasons = new Int32Array(REFUSED_LISTED_MAX);
  readonly timestamps = new Float64Array(REFUSED_LISTED_MAX);

  get listed(): number {
    if (this.cause === Cause.OVER_MEMORY) return 0;
    return Math.min(this.count, REFUSED_LISTED_MAX);
  }

  /** Takes the findings of a walk. */
  take(walk: RecordWalk, oldestMs: number, newestMs: number): void {
    this.cause = Cause.RECORDS;
    this.count = walk.refusedCount;
    this.oldestMs = oldestMs;
    this.newestMs = newestMs;
    for (let nth = 0; nth < this.listed; nth++) {
      this.indexes[nth] = walk.refusedIndex(nth);
      this.reasons[nth] = walk.refusedReason(nth);
      this.timestamps[nth] = walk.refusedTimestampMs(nth);
    }
  }

  /** The partition's storage takes nothing, for one of its causes. */
  storage(cause: typeof Cause.READ_ONLY | typeof Cause.NO_SPACE): void {
    this.cause = cause;
    this.count = 0;
  }

  /** The batch is larger than `bytesMax`, which is what the memory of its replicas takes. */
  overMemory(bytesMax: number): void {
    this.cause = Cause.OVER_MEMORY;
    this.count = bytesMax;
  }

  /** All `records` of a batch whose producer stamped it, as only the broker may. */
  stamped(records: number): void {
    this.cause = Cause.STAMPED;
    this.count = records;
    for (let nth = 0; nth < this.listed; nth++) this.indexes[nth] = nth;
  }

  /** The same in words. */
  text(): RefusalText {
    const records: RecordError[] = [];
    if (this.cause === Cause.RECORDS || this.cause === Cause.STAMPED) {
      for (let nth = 0; nth < this.listed; nth++) {
        records.push({ index: this.indexes[nth]!, message: this.#recordText(nth) });
      }
    }
    return { message: this.#message(), records };
  }

  #message(): string {
    switch (this.cause) {
      case Cause.WRONG_OFFSETS:
        return "The offsets of the batch's records do not count up from 0";
      case Cause.UNDECODABLE:
        return "The batch's records cannot be decompressed";
      case Cause.TOO_LARGE:
        return "The batch's records are too large when they are decompressed";
      case Cause.WINDOW:
        return "The batch was compressed with a larger window than the broker has memory for: compress with a " +
          "lower level (zstd's up to 19 always fit), or raise the broker's --memory";
      case Cause.STAMPED:
        return "Only the broker may set a batch's timestamp type to LogAppendTime";
      case Cause.READ_ONLY:
        return "The partition is read-only, because damage may have taken some of its records: the broker's log " +
          "has details, and a start with --accept-loss makes it writable";
      case Cause.NO_SPACE:
        return "The broker's disk is full: unacknowledged records may be sent again when there is room";
      case Cause.OVER_MEMORY:
        return `The batch is larger than ${this.count} bytes, which is the most that the memory of all replicas of ` +
          "the partition takes (--memory)";
      case Cause.RECORDS: {
        const more = this.count > this.listed ? `; the first ${this.listed} are named` : "";
        return `${this.count} ${this.count === 1 ? "record" : "records"} refused${more}`;
      }
      default:
        return "A record is malformed, or the number of records differs from the batch's header";
    }
  }

  #recordText(nth: number): string {
    if (this.cause === Cause.STAMPED) return "The producer set the timestamp type LogAppendTime";
    if (this.reasons[nth] === RefusalReason.NO_KEY) {
      return "A compacted topic takes no record without a key";
    }
    const bounds = `[${this.oldestMs}, ${this.newestMs}]`;
    return `Timestamp ${this.timestamps[nth]} is not within ${bounds}`;
  }
}
