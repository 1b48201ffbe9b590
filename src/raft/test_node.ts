/**
 * A node of a simulated cluster: the core over a log in memory, and the least driver that it can have.
 */

import { assert } from "../base/assert.ts";
import type { Random } from "../base/prng.ts";
import { AppendRuns } from "./append_runs.ts";
import type { Configuration } from "./configuration.ts";
import type { RaftTiming } from "./limits.ts";
import { MessageKind, RaftMessage } from "./message.ts";
import { NOTHING, RaftGroup, Role } from "./raft_group.ts";
import { type RaftEffects, RaftMeta } from "./raft_log.ts";
import type { Checker } from "./test_checker.ts";
import type { EventQueue } from "./test_event_queue.ts";
import { BUSY, type Entry, MemoryLog, type Point } from "./test_memory_log.ts";

/** How long a kept append waits (ms). */
const KEPT_MS = 3;

export const ENTRY_BYTES = 100;

/** A message on its way, with what its frame would hold. */
export interface Frame {
  readonly message: RaftMessage;
  readonly entries: readonly Entry[];
  readonly point: Point | null;
}

/** What a node needs of the cluster. */
export interface NodeWorld {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly checker: Checker;
  readonly timing: RaftTiming;
  send(from: TestNode, to: number, frame: Frame): void;
  trace(line: string): void;
  /** How long a flush, a read or a cut takes (ms); Infinity while the disk is frozen. */
  flushMs(node: TestNode): number;
  readMs(node: TestNode): number;
  onServed(node: TestNode, index: number): void;
}

export class TestNode implements RaftEffects {
  readonly id: number;
  readonly incarnation: number;
  readonly #world: NodeWorld;
  log: MemoryLog;
  group: RaftGroup;
  isAlive = true;
  /** The log takes nothing. */
  isBusy = false;
  /** Cuts and resets of the log fail. */
  failsCuts = false;
  isLeading = false;
  /** It led before this input. */
  wasLeader = false;
  #wasRefused = false;
  #isFlushing = false;
  /** Changes until the cut that is under way is durable, or -1. */
  #cutPending = -1;
  #seenTerm = -1;
  #nextTickMs = Infinity;
  readonly #runs = new AppendRuns();
  readonly #reads = new Map<number, { readonly index: number; readonly served: number }>();
  readonly initial: Configuration;

  constructor(
    world: NodeWorld,
    self: { readonly id: number; readonly incarnation: number },
    log: MemoryLog,
    initial: Configuration,
    commitIndex = 0,
  ) {
    this.#world = world;
    this.id = self.id;
    this.incarnation = self.incarnation;
    this.log = log;
    this.initial = initial;
    this.group = new RaftGroup({
      self: { node: self.id, incarnation: self.incarnation },
      log,
      effects: this,
      random: world.random,
      timing: world.timing,
      configuration: initial,
      termFloor: 0,
      commitIndex,
    });
  }

  get now(): number {
    return this.#world.queue.nowMs;
  }

  start(): void {
    this.group.start(this.now);
    this.after();
  }

  /** Its next run. What the disk has not got is lost. */
  restarted(): TestNode {
    assert(!this.isAlive, "it runs");
    const log = this.log.crashed(this.#world.random);
    return new TestNode(this.#world, this, log, this.initial);
  }

  /** The node without its disk: another member, with the log of a newcomer. */
  wiped(): TestNode {
    const self = { id: this.id, incarnation: this.incarnation + 1 };
    return new TestNode(this.#world, self, new MemoryLog(), this.initial);
  }

  /** Runs an input later, if this run has not ended by then. */
  later(delayMs: number, run: () => void): void {
    if (delayMs === Infinity) return;
    this.#world.queue.at(this.now + delayMs, () => {
      if (this.isAlive) run();
    });
  }

  /** What must hold after every input. */
  after(): void {
    const { group, log } = this;
    if (group.role === Role.LEADER && group.term !== this.#seenTerm) {
      this.#seenTerm = group.term;
      this.#world.checker.onLeader(this);
      this.#world.trace(`${this.id} leads ${group.term}`);
    }
    this.wasLeader = group.role === Role.LEADER;
    if (!this.wasLeader) this.isLeading = false;
    assert(group.commitIndex <= log.lastIndex, "committed beyond the end");
    this.flush();
  }

  /** Begins to make changes durable, if any wait. */
  flush(): void {
    if (this.#isFlushing || this.log.pendingCount === 0) return;
    const count = this.log.pendingCount;
    const flushMs = this.#world.flushMs(this);
    if (flushMs === Infinity) return;
    this.#isFlushing = true;
    this.later(flushMs, () => {
      this.#isFlushing = false;
      this.log.flush(count);
      this.#world.trace(`${this.id} durable ${this.log.durableIndex}`);
      this.group.durable(this.now);
      if (this.#cutPending >= 0 && (this.#cutPending -= count) <= 0) {
        this.#cutPending = -1;
        this.log.isClosed = false;
        this.group.truncated(this.now);
      }
      this.after();
    });
  }

  setBusy(isBusy: boolean): void {
    this.isBusy = isBusy;
    if (isBusy || !this.#wasRefused) return;
    this.#wasRefused = false;
    this.group.writable(this.now);
    this.after();
  }

  #refuses(): boolean {
    const refuses = this.isBusy || this.log.isClosed;
    if (refuses) this.#wasRefused = true;
    return refuses;
  }

  /** Appends a batch of records, as a client asks; returns its last index, or 0. */
  propose(values: readonly number[]): number {
    if (!this.group.accepts || this.#refuses()) return 0;
    this.log.append(this.group.term, values);
    this.group.appended(this.now);
    this.after();
    return this.log.lastIndex;
  }

  read(): void {
    const ticket = this.group.requestRead(this.now);
    if (ticket < 0) return this.after();
    const { checker } = this.#world;
    // A group of one confirms at once.
    const served = checker.servedIndex;
    if (ticket > this.#confirmedTicket) {
      this.#reads.set(ticket, { index: this.group.commitIndex, served });
    } else checker.onRead(this.group.commitIndex, served);
    this.after();
  }

  #confirmedTicket = 0;
  confirmedReads = 0;

  onRead(ticket: number): void {
    this.#confirmedTicket = ticket;
    for (const [each, { index, served }] of this.#reads) {
      if (each > ticket) continue;
      this.#reads.delete(each);
      this.confirmedReads++;
      this.#world.checker.onRead(index, served);
    }
  }

  deliver(frame: Frame): void {
    const { message } = frame;
    if (message.kind === MessageKind.APPEND) this.#onAppend(frame);
    else if (message.kind === MessageKind.SNAPSHOT) this.#onSnapshot(frame);
    else this.group.step(message, this.now);
    this.after();
  }

  #onAppend(frame: Frame): void {
    const { message, entries } = frame;
    const { group, log } = this;
    this.#runs.begin(message.index);
    for (const { term, kind } of entries) {
      if (!this.#runs.add(1, term)) return;
      if (kind === RaftMeta.CONFIGURATION) this.#runs.hasConfiguration = true;
    }
    const from = group.stepAppend(message, this.#runs, this.now);
    if (from === NOTHING) return;
    const skipped = from - message.index - 1;
    let isKept = false;
    for (let at = skipped; at < entries.length; at += entries[at]!.count) {
      if (this.#refuses()) {
        // Dropped, or handed over again, as a link does that waits.
        isKept = message.index % 2 === 0;
        break;
      }
      log.take(entries.slice(at, at + entries[at]!.count));
      for (let each = 0; each < entries[at]!.count; each++) {
        this.#world.checker.onEntry(this, message.index + 1 + at + each);
      }
    }
    group.received(this.now, false, isKept);
    if (isKept) this.later(KEPT_MS, () => this.deliver(frame));
  }

  #onSnapshot({ message, point }: Frame): void {
    if (!this.group.stepSnapshot(message, this.now)) return;
    this.#world.trace(`${this.id} resets to ${point!.index}`);
    this.#cutLater(() => this.log.reset(point!));
  }

  /** A cut: the log is closed at once, changes later, and opens when that is durable. */
  #cutLater(cut: () => void): void {
    this.log.isClosed = true;
    this.later(this.#world.readMs(this), () => {
      if (this.failsCuts) return this.#failCut();
      cut();
      this.#cutPending = this.log.pendingCount;
      this.after();
    });
  }

  #failCut(): void {
    this.log.isClosed = false;
    this.#world.trace(`${this.id} fails to cut`);
    this.group.failed(this.now);
    this.after();
    this.later(20, () => {
      this.group.writable(this.now);
      this.after();
    });
  }

  // The effects.

  setHardState(term: number, vote: number): number {
    if (this.isBusy) {
      this.#wasRefused = true;
      return BUSY;
    }
    return this.log.setHardState(term, vote);
  }

  appendMeta(kind: RaftMeta, term: number, payload: Uint8Array<ArrayBuffer>): number {
    if (this.#refuses()) return BUSY;
    const index = this.log.appendMeta(kind, term, payload);
    this.#world.trace(`${this.id} appends ${kind} at ${index} in ${term}`);
    return index;
  }

  truncate(index: number): void {
    this.#world.checker.onTruncate(this, index);
    this.#world.trace(`${this.id} cuts to ${index}`);
    this.#cutLater(() => this.log.cut(index));
  }

  send(node: number, message: RaftMessage): void {
    this.#world.checker.onSend(this, node, message);
    const copy = new RaftMessage().copyFrom(message);
    this.#world.send(this, node, { message: copy, entries: [], point: null });
  }

  replicate(node: number, fromIndex: number, bytesMax: number): void {
    const { term } = this.group;
    const readMs = this.#world.readMs(this);
    if (readMs === 0) this.#sendAppend(node, term, fromIndex, bytesMax);
    else this.later(readMs, () => this.#sendAppend(node, term, fromIndex, bytesMax));
  }

  #sendAppend(node: number, term: number, fromIndex: number, bytesMax: number): void {
    const { group, log } = this;
    if (group.term !== term || group.role !== Role.LEADER) {
      return group.unsent(node, term, fromIndex, false);
    }
    if (fromIndex <= log.startIndex) return group.unsent(node, term, fromIndex, true);
    const first = log.entryAt(fromIndex).first;
    if (first <= log.startIndex) return group.unsent(node, term, fromIndex, true);
    const entries: Entry[] = [];
    for (let at = first; at <= log.lastIndex;) {
      const { count } = log.entryAt(at);
      if (entries.length > 0 && (entries.length + count) * ENTRY_BYTES > bytesMax) break;
      for (let each = 0; each < count; each++) {
        this.#world.checker.onEntry(this, at + each);
        entries.push(log.entryAt(at + each));
      }
      at += count;
    }
    const message = new RaftMessage().copyFrom(group.appendHeader(first - 1));
    this.#world.send(this, node, { message, entries, point: null });
    const bytes = entries.length * ENTRY_BYTES;
    group.sent(node, term, fromIndex, first + entries.length - 1, bytes);
  }

  sendSnapshot(node: number): void {
    const { term } = this.group;
    this.later(this.#world.readMs(this), () => {
      const { group, log } = this;
      const point = log.pointAt(log.startIndex);
      const header = group.snapshotHeader(point.index, point.term);
      const message = new RaftMessage().copyFrom(header);
      if (group.term === term && group.role === Role.LEADER) {
        this.#world.send(this, node, { message, entries: [], point });
      }
      group.snapshotSent(node, term, point.index, this.now);
    });
  }

  onCommit(index: number): void {
    this.#world.trace(`${this.id} commits ${index}`);
    this.#world.checker.onCommit(this, index);
    this.#world.onServed(this, index);
  }

  onLeading(term: number): void {
    assert(term === this.group.term && this.group.isLeading, "leading another term");
    this.isLeading = true;
    this.#world.trace(`${this.id} serves ${term}`);
  }

  onFollowing(term: number, leaderId: number): void {
    assert(this.group.role !== Role.LEADER, "a leader follows");
    this.isLeading = false;
    this.#reads.clear();
    this.#world.trace(`${this.id} follows ${leaderId} in ${term}`);
  }

  onConfiguration({ voters, outgoing, learners }: Configuration): void {
    const names = [voters, outgoing, learners].map((set) => set.map(({ node }) => node).join(" "));
    this.#world.trace(`${this.id} configuration ${names.join(" / ")}`);
  }

  onDeadline(atMs: number): void {
    if (atMs >= this.#nextTickMs && this.#nextTickMs > this.now) return;
    this.#nextTickMs = atMs;
    this.later(atMs - this.now, () => {
      if (this.now < this.group.deadlineMs) {
        if (this.#nextTickMs <= this.now) this.#nextTickMs = Infinity;
        if (this.group.deadlineMs < Infinity) this.onDeadline(this.group.deadlineMs);
        return;
      }
      this.#nextTickMs = Infinity;
      this.group.tick(this.now);
      this.after();
    });
  }
}
