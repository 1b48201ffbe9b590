/**
 * What a partition's clients were promised, and whether a log that was read keeps it.
 *
 * A promise is an acknowledged batch (lane, sequence numbers, offset), an acknowledged deletion of
 * records, a high watermark that a client has seen. What was sent and never acknowledged may be there or
 * not, but once, whole and in order.
 *
 * @module
 */

import type { Payload } from "./payload.ts";

interface AckedBatch {
  readonly lane: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly baseOffset: number;
}

/** Collects what went wrong; a run ends as soon as it is noticed. */
export class Problems {
  readonly list: string[] = [];
  #onFirst: () => void = () => {};

  add(problem: string): void {
    this.list.push(problem);
    if (this.list.length === 1) this.#onFirst();
  }

  /** Calls `ended` at the first problem, so that nobody goes on waiting for what will not come. */
  whenAny(ended: () => void): void {
    this.#onFirst = ended;
    if (this.any) ended();
  }

  get any(): boolean {
    return this.list.length > 0;
  }
}

export class Ledger {
  readonly topic: string;
  readonly partition: number;
  readonly #problems: Problems;
  readonly #acked: AckedBatch[] = [];
  /** Index into `#acked` by end offset would be sorted by arrival, not by offset: sorted when read. */
  #sorted = true;
  readonly #ackedEndByLane = new Map<number, number>();
  /** Lanes that send nothing twice: what was not acknowledged may be missing. */
  readonly #onceLanes = new Set<number>();
  highWatermark = 0;
  /** Records below are deleted for certain; those from `trimSent` on are not. */
  trimAcked = 0;
  trimSent = 0;
  ackedRecords = 0;

  constructor(topic: string, partition: number, problems: Problems) {
    this.topic = topic;
    this.partition = partition;
    this.#problems = problems;
  }

  get name(): string {
    return `${this.topic}/${this.partition}`;
  }

  acknowledge(lane: number, firstSequence: number, count: number, baseOffset: number): void {
    if (baseOffset < 0) {
      this.complain(`lane ${lane}: sequence ${firstSequence} acknowledged at offset ${baseOffset}`);
      return;
    }
    this.#acked.push({ lane, firstSequence, count, baseOffset });
    this.#sorted = false;
    this.ackedRecords += count;
    this.#ackedEndByLane.set(lane, firstSequence + count);
    // acks=all: committed, hence below the high watermark for everybody.
    this.noteHighWatermark(Math.max(this.highWatermark, baseOffset + count), "acknowledgement");
  }

  /** The lane sends nothing twice. */
  noteOnce(lane: number): void {
    this.#onceLanes.add(lane);
  }

  sendsOnce(lane: number): boolean {
    return this.#onceLanes.has(lane);
  }

  noteHighWatermark(offset: number, who: string): void {
    if (offset < this.highWatermark) {
      this.complain(`${who}: high watermark ${offset} after ${this.highWatermark}`);
    }
    this.highWatermark = Math.max(this.highWatermark, offset);
  }

  noteStart(offset: number, who: string): void {
    if (offset >= this.trimAcked && offset <= Math.max(this.trimAcked, this.trimSent)) return;
    this.complain(
      `${who}: log start ${offset}, deleted up to ${this.trimAcked} (asked for ${this.trimSent})`,
    );
  }

  complain(problem: string): void {
    this.#problems.add(`${this.name}: ${problem}`);
  }

  /** The acknowledged batches with records in [from, to), by offset. */
  ackedBetween(from: number, to: number): readonly AckedBatch[] {
    if (!this.#sorted) this.#acked.sort((a, b) => a.baseOffset - b.baseOffset);
    this.#sorted = true;
    return this.#acked.filter((one) => one.baseOffset + one.count > from && one.baseOffset < to);
  }

  ackedEnd(lane: number): number {
    return this.#ackedEndByLane.get(lane) ?? 0;
  }

  get lanes(): readonly number[] {
    return [...this.#ackedEndByLane.keys()];
  }
}

/** Reads a partition's records in order of offset and holds them against the ledger. */
export class LedgerCheck {
  readonly #ledger: Ledger;
  readonly #from: number;
  readonly #nextByLane: Map<number, number>;
  readonly #records: Payload[] = [];
  #next: number;
  #digest = 0;

  /**
   * @param from the first offset that will be read
   * @param nextByLane from an earlier check that ended at `from`: the sequence that each lane goes on with
   */
  constructor(ledger: Ledger, from: number, nextByLane: ReadonlyMap<number, number>) {
    this.#ledger = ledger;
    this.#from = from;
    this.#next = from;
    this.#nextByLane = new Map(nextByLane);
  }

  record(offset: number, payload: Payload | null): void {
    const ledger = this.#ledger;
    if (offset !== this.#next) ledger.complain(`offset ${offset} where ${this.#next} belongs`);
    this.#next = offset + 1;
    if (payload === null) {
      ledger.complain(`changed record at offset ${offset}`);
      this.#records.push({ lane: -1, sequence: -1 });
      return;
    }
    const { lane, sequence } = payload;
    const expected = this.#nextByLane.get(lane) ?? (this.#from === 0 ? 0 : sequence);
    this.#digest = (Math.imul(this.#digest, 31) + Math.imul(lane, 0x9e3779b1) + sequence) | 0;
    const isRight = ledger.sendsOnce(lane) ? sequence >= expected : sequence === expected;
    if (!isRight) {
      const what = sequence < expected ? "again" : "too early";
      ledger.complain(`lane ${lane}: sequence ${sequence} ${what}, at ${offset}, not ${expected}`);
    }
    this.#nextByLane.set(lane, sequence + 1);
    this.#records.push(payload);
  }

  /** The first offset that was not read. */
  get next(): number {
    return this.#next;
  }

  /** Equal for two readers of the same records, from the same offset on. */
  get digest(): number {
    return this.#digest;
  }

  /** To be called at the log's end; returns where each lane goes on. */
  end(): ReadonlyMap<number, number> {
    const ledger = this.#ledger;
    for (const batch of ledger.ackedBetween(this.#from, Infinity)) {
      for (let i = 0; i < batch.count; i++) {
        const at = batch.baseOffset + i - this.#from;
        if (at < 0) continue;
        const found = this.#records[at];
        if (found?.lane === batch.lane && found.sequence === batch.firstSequence + i) continue;
        const said = found === undefined ? "nothing" : `lane ${found.lane}, ${found.sequence}`;
        ledger.complain(
          `lane ${batch.lane}: acknowledged sequence ${batch.firstSequence + i} is not at ` +
            `${batch.baseOffset + i}; there is ${said} (log [${this.#from}, ${this.#next}))`,
        );
        break;
      }
    }
    return this.#nextByLane;
  }
}
