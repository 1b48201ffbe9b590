/**
 * A log in memory whose disk is slow: what is appended becomes durable later, in order, and a crash keeps what was
 * durable and perhaps a part of what was on its way. For tests of the core.
 *
 * It has batches: entries that were appended together have one `batch`, and are cut and sent together.
 */

import { assert } from "../base/assert.ts";
import type { Random } from "../base/prng.ts";
import { type RaftLog, RaftMeta, type StoredConfiguration } from "./raft_log.ts";

export const BUSY = -11;

export interface Entry {
  readonly term: number;
  /** 0: a record; otherwise a meta entry. */
  readonly kind: number;
  /** What a client wrote. */
  readonly value: number;
  /** Index of the first entry of its batch, and how many it has. */
  readonly first: number;
  readonly count: number;
  readonly payload: Uint8Array<ArrayBuffer>;
  /** Over this entry and all before it. */
  readonly chain: number;
}

export interface Point {
  readonly index: number;
  readonly term: number;
  readonly chain: number;
  readonly configuration: StoredConfiguration | null;
}

const START: Point = { index: 0, term: 0, chain: 0, configuration: null };

export function chainOf(before: number, term: number, kind: number, value: number): number {
  let hash = Math.imul(before ^ (term + 1), 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + kind, 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 13)) + value, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** One state of a log: what is in memory, or what the disk has. */
class Image {
  start: Point = START;
  entries: Entry[] = [];
  term = 0;
  vote = -1;
  version = 0;

  copy(): Image {
    const image = new Image();
    image.start = this.start;
    image.entries = this.entries.slice();
    image.term = this.term;
    image.vote = this.vote;
    image.version = this.version;
    return image;
  }

  get lastIndex(): number {
    return this.start.index + this.entries.length;
  }

  at(index: number): Entry | undefined {
    return this.entries[index - this.start.index - 1];
  }

  chainAt(index: number): number {
    return index === this.start.index ? this.start.chain : this.at(index)?.chain ?? -1;
  }

  configurationAt(index: number): StoredConfiguration | null {
    for (let at = Math.min(index, this.lastIndex); at > this.start.index; at--) {
      const entry = this.at(at)!;
      if (entry.kind === RaftMeta.CONFIGURATION) return { index: at, payload: entry.payload };
    }
    return this.start.configuration;
  }
}

type Change = (image: Image) => void;

export class MemoryLog implements RaftLog {
  readonly #memory: Image;
  readonly disk: Image;
  readonly #pending: Change[] = [];
  suspect = false;
  isClosed = false;

  constructor(disk = new Image()) {
    this.disk = disk;
    this.#memory = disk.copy();
  }

  /** The log as a start after a crash finds it: `random` decides how much of what was on its way arrived. */
  crashed(random: Random): MemoryLog {
    const arrived = random.nextBelow(3) === 0 ? random.nextBelow(this.#pending.length + 1) : 0;
    for (let at = 0; at < arrived; at++) this.#pending[at]!(this.disk);
    return new MemoryLog(this.disk.copy());
  }

  get lastIndex(): number {
    return this.#memory.lastIndex;
  }
  get lastTerm(): number {
    return this.termAt(this.lastIndex);
  }
  get startIndex(): number {
    return this.#memory.start.index;
  }
  get startTerm(): number {
    return this.#memory.start.term;
  }
  get durableIndex(): number {
    return Math.min(this.disk.lastIndex, this.#memory.lastIndex);
  }
  get hardTerm(): number {
    return this.#memory.term;
  }
  get hardVote(): number {
    return this.#memory.vote;
  }
  get hardVersion(): number {
    return this.#memory.version;
  }
  get durableHardVersion(): number {
    return this.disk.version;
  }

  get forcedIndex(): number {
    for (let index = this.lastIndex; index > this.startIndex; index--) {
      const { kind, payload } = this.entryAt(index);
      if (kind === RaftMeta.NO_OP && payload.length > 0) return index;
    }
    return 0;
  }

  termAt(index: number): number {
    if (index === this.startIndex) return this.startTerm;
    return this.#memory.at(index)?.term ?? -1;
  }

  configurationAt(index: number): StoredConfiguration | null {
    return this.#memory.configurationAt(index);
  }

  entryAt(index: number): Entry {
    return this.#memory.at(index)!;
  }

  chainAt(index: number): number {
    return this.#memory.chainAt(index);
  }

  /** Whether something waits to become durable. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  #change(change: Change): void {
    change(this.#memory);
    this.#pending.push(change);
  }

  /** The oldest `count` changes are durable. */
  flush(count: number): void {
    for (const change of this.#pending.splice(0, count)) change(this.disk);
  }

  setHardState(term: number, vote: number): number {
    assert(term > this.hardTerm || (term === this.hardTerm && this.hardVote === -1), "one vote");
    const version = this.hardVersion + 1;
    this.#change((image) => {
      image.term = term;
      image.vote = vote;
      image.version = version;
    });
    return version;
  }

  /** Appends a batch, as a leader. */
  append(term: number, values: readonly number[]): void {
    assert(term === this.lastTerm, "a term opens with a no-op");
    const first = this.lastIndex + 1;
    let chain = this.chainAt(this.lastIndex);
    this.take(values.map((value) => {
      chain = chainOf(chain, term, 0, value);
      return { term, kind: 0, value, first, count: values.length, payload: NO_BYTES, chain };
    }));
  }

  appendMeta(kind: number, term: number, payload: Uint8Array<ArrayBuffer>): number {
    const first = this.lastIndex + 1;
    const value = payload.reduce((sum, byte) => (sum * 31 + byte) % 0x7fffffff, 0);
    const chain = chainOf(this.chainAt(first - 1), term, kind, value);
    this.take([{ term, kind, value, first, count: 1, payload, chain }]);
    return first;
  }

  /** Appends the entries of one batch. */
  take(batch: readonly Entry[]): void {
    assert(!this.isClosed, "appended while the log is cut");
    assert(batch[0]!.first === this.lastIndex + 1, "a batch belongs elsewhere");
    assert(batch.length === batch[0]!.count, "half a batch");
    assert(batch[0]!.term >= this.lastTerm, "terms never go back");
    assert(batch[0]!.term <= this.hardTerm, "entries of a term that the hard state does not have");
    this.#change((image) => image.entries.push(...batch));
  }

  cut(index: number): void {
    const next = this.#memory.at(index + 1);
    assert(next === undefined || next.first === index + 1, "cut inside a batch");
    this.#change((image) => {
      image.entries.length = Math.min(image.entries.length, index - image.start.index);
    });
  }

  reset(point: Point): void {
    this.#change((image) => {
      image.start = point;
      image.entries = [];
    });
  }

  /** A point that begins a batch, at or before `index`. */
  pointAt(index: number): Point {
    const entry = this.#memory.at(index + 1);
    const at = entry === undefined ? index : entry.first - 1;
    if (at <= this.startIndex) return this.#memory.start;
    return {
      index: at,
      term: this.termAt(at),
      chain: this.chainAt(at),
      configuration: this.configurationAt(at),
    };
  }

  /** Forgets what `point` covers; at most what is durable. */
  trim(point: Point): void {
    if (point.index <= this.startIndex) return;
    this.#change((image) => {
      image.entries = image.entries.slice(point.index - image.start.index);
      image.start = point;
    });
  }
}

const NO_BYTES = new Uint8Array(0);
