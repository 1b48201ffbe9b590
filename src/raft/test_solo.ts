/**
 * One group whose world is the test: messages are put in by hand, what comes out is kept as lines, and the disk
 * does what it is told.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { AppendRuns } from "./append_runs.ts";
import type { Configuration } from "./configuration.ts";
import { RAFT_TIMING } from "./limits.ts";
import { MessageKind, RaftMessage } from "./message.ts";
import { NOTHING, RaftGroup } from "./raft_group.ts";
import type { RaftEffects, RaftMeta } from "./raft_log.ts";
import { describe, simple } from "./test_cluster.ts";
import { BUSY, chainOf, type Entry, MemoryLog } from "./test_memory_log.ts";

/** What a test sets of a message. */
export type Fields = Partial<Omit<RaftMessage, "clear" | "copyFrom" | "kind" | "from">>;

export class Solo implements RaftEffects {
  readonly log: MemoryLog;
  readonly group: RaftGroup;
  nowMs = 0;
  /** What the group did, since it was taken last. */
  #lines: string[] = [];
  /** Every call of `replicate` is answered at once. */
  sendsAtOnce = true;
  isBusy = false;

  /**
   * Node 1 of a group; its log has an entry of each of `terms`, and what `prepare` adds, all durable.
   *
   * @param isActedUpon what is committed has effects outside the log
   */
  constructor(
    configuration: Configuration = simple(1, 2, 3),
    terms: readonly number[] = [],
    prepare: (log: MemoryLog) => void = () => {},
    isActedUpon = false,
  ) {
    this.log = new MemoryLog();
    const term = terms[terms.length - 1] ?? 0;
    if (term > 0) this.log.setHardState(term, -1);
    for (const each of terms) this.#take(each);
    prepare(this.log);
    this.log.flush(100);
    this.group = new RaftGroup({
      self: { node: 1, incarnation: 0 },
      log: this.log,
      effects: this,
      random: new Xoshiro128(1),
      timing: RAFT_TIMING,
      configuration,
      termFloor: 0,
      commitIndex: 0,
      isActedUpon,
    });
    this.group.start(0);
    this.#lines = [];
  }

  #take(term: number): void {
    const first = this.log.lastIndex + 1;
    this.log.take([entryOf(this.log.chainAt(first - 1), first, term)]);
  }

  /** The lines since the last call. */
  take(): string[] {
    return this.#lines.splice(0);
  }

  /** The disk has everything. */
  flush(): string[] {
    this.log.flush(1000);
    this.group.durable(this.nowMs);
    return this.take();
  }

  /** Time passes, with a tick whenever one is due. */
  pass(forMs: number): string[] {
    const endMs = this.nowMs + forMs;
    while (this.group.deadlineMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.group.deadlineMs);
      this.group.tick(this.nowMs);
    }
    this.nowMs = endMs;
    return this.take();
  }

  step(from: number, kind: MessageKind, fields: Fields): string[] {
    this.group.step(messageOf(from, kind, fields), this.nowMs);
    return this.take();
  }

  /** An APPEND with an entry of each of `terms`, which the log takes as far as it is not busy. */
  append(from: number, fields: Fields, terms: readonly number[]): string[] {
    const message = messageOf(from, MessageKind.APPEND, fields);
    const runs = new AppendRuns();
    runs.begin(message.index);
    for (const term of terms) assert.ok(runs.add(1, term));
    const first = this.group.stepAppend(message, runs, this.nowMs);
    if (first !== NOTHING) {
      for (const term of terms.slice(first - message.index - 1)) {
        if (this.isBusy) break;
        this.#take(term);
      }
      this.group.received(this.nowMs);
    }
    return this.take();
  }

  /** A SNAPSHOT; whether the log is to be reset to it. */
  snapshot(from: number, fields: Fields): boolean {
    return this.group.stepSnapshot(messageOf(from, MessageKind.SNAPSHOT, fields), this.nowMs);
  }

  /** Wins an election with the votes of `voters`, and has its no-op durable here. */
  lead(...voters: number[]): void {
    this.pass(2_000);
    for (const node of voters) {
      const term = this.group.term + 1;
      this.step(node, MessageKind.VOTE_REPLY, { term, granted: true, pre: true });
    }
    this.flush();
    for (const node of voters) {
      this.step(node, MessageKind.VOTE_REPLY, { term: this.group.term, granted: true });
    }
    this.flush();
  }

  /** The leader appends records. */
  propose(count: number): string[] {
    for (let at = 0; at < count; at++) this.log.append(this.group.term, [at]);
    this.group.appended(this.nowMs);
    return this.take();
  }

  /** A peer acknowledges everything up to `match`. */
  acknowledge(node: number, match: number): string[] {
    const { term } = this.group;
    return this.step(node, MessageKind.APPEND_REPLY, { term, match, accepted: match });
  }

  setHardState(term: number, vote: number): number {
    if (this.isBusy) return BUSY;
    this.#lines.push(`hard ${term} ${vote}`);
    return this.log.setHardState(term, vote);
  }

  appendMeta(kind: RaftMeta, term: number, payload: Uint8Array<ArrayBuffer>): number {
    if (this.isBusy) return BUSY;
    this.#lines.push(`meta ${kind} ${term}`);
    return this.log.appendMeta(kind, term, payload);
  }

  truncate(index: number): void {
    this.#lines.push(`cut ${index}`);
    this.log.isClosed = true;
  }

  /** The cut that was asked for is done. */
  finishCut(index: number): string[] {
    this.log.cut(index);
    this.log.flush(1000);
    this.log.isClosed = false;
    this.group.durable(this.nowMs);
    this.group.truncated(this.nowMs);
    return this.take();
  }

  send(node: number, message: RaftMessage): void {
    this.#lines.push(`>${node} ${describe(message, 0)}`);
  }

  replicate(node: number, fromIndex: number, bytesMax: number): void {
    this.#lines.push(`replicate ${node} from ${fromIndex}`);
    if (!this.sendsAtOnce) return;
    const lastIndex = this.log.lastIndex;
    assert.ok(bytesMax > 0);
    this.group.sent(node, this.group.term, fromIndex, lastIndex, 100 * (lastIndex - fromIndex + 1));
  }

  sendSnapshot(node: number): void {
    this.#lines.push(`snapshot ${node}`);
  }

  onCommit(index: number): void {
    this.#lines.push(`commit ${index}`);
  }

  onLeading(term: number): void {
    this.#lines.push(`leading ${term}`);
  }

  onFollowing(term: number, leaderId: number): void {
    this.#lines.push(`following ${term} ${leaderId}`);
  }

  onRead(ticket: number): void {
    this.#lines.push(`read ${ticket}`);
  }

  onConfiguration({ voters, outgoing, learners }: Configuration): void {
    const names = [voters, outgoing, learners].map((set) => set.map(({ node }) => node).join(" "));
    this.#lines.push(`configuration ${names.join("/")}`);
  }

  onDeadline(_atMs: number): void {}
}

function entryOf(before: number, first: number, term: number): Entry {
  const chain = chainOf(before, term, 0, first);
  return { term, kind: 0, value: first, first, count: 1, payload: new Uint8Array(0), chain };
}

/** A message from a node. */
export function messageOf(from: number, kind: MessageKind, fields: Fields): RaftMessage {
  const message = new RaftMessage();
  message.clear(kind);
  message.from = from;
  return Object.assign(message, fields);
}
