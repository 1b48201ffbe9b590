/**
 * Records that a replica has from the others in the place of damaged ones.
 *
 * Any other member may have them, whoever leads: a REFILL_ASK names a group and offsets, a REFILL brings whole batches, or
 * says why not. Whether they are right is for the asker to say, who knows checksums and terms of its own log
 * (`src/storage/refill.ts`). Members are asked one after another, one request at a time.
 *
 * ```text
 *   REFILL_ASK                       REFILL (both on the data lane)
 *    0 i64 group                      0 i64 group
 *    8 i64 token                      8 i64 token of the request
 *   16 i64 first offset              16 u32 outcome: 0 records follow, 1 absent, 2 busy
 *   24 i64 offset after the last     20 u32 zero
 *   32 u32 bytes at most             24 record batches, as they lie in the log
 *   36 u32 zero
 * ```
 *
 * @module
 */

import { REFILL_WAIT_MS, REFILLS_SERVED_MAX } from "../base/limits.ts";
import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import type { Memory } from "../bytes/memory.ts";
import { RangeList } from "../bytes/range_list.ts";
import type { Completion } from "../io/completion.ts";
import { type Task, until } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { FrameOwner } from "../rpc/frame_queue.ts";
import { LogRead } from "../storage/log_read.ts";
import { ReadError } from "../storage/log.ts";
import { type RecordSource, Refilled, type WantedRecords } from "../storage/refill.ts";
import type { FrameSender } from "./frame_sender.ts";
import { ReplicationFrame } from "./frames.ts";
import type { GroupReplica } from "./group_replica.ts";

const ASK_SIZE = 40;
const HEAD_SIZE = 24;

const Outcome = { RECORDS: 0, ABSENT: 1, BUSY: 2 } as const;
type Outcome = typeof Outcome[keyof typeof Outcome];

const NOTHING_SENT: FrameOwner = { onFrameOver() {} };

export interface RefillHost extends FrameSender {
  readonly memory: Memory;
  replicaOf(groupId: number): GroupReplica | undefined;
  /** The largest frame that a node takes (bytes). */
  frameMaxOf(node: number): number;
}

export interface RefillOptions {
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Whether a node's program knows such requests: an older one would end the connection. */
  readonly knowsRefills: (node: number) => boolean;
}

/** A request that is not answered yet. */
interface Asked {
  readonly node: number;
  readonly wanted: WantedRecords;
  readonly accepts: (bytes: number) => boolean;
  readonly done: (result: number) => void;
}

export class Refills implements RecordSource {
  readonly host: RefillHost;
  readonly #options: RefillOptions;
  readonly #asked = new Map<number, Asked>();
  #lastToken = 0;
  /** Requests of others that are being served. */
  #serving = 0;
  /** The node whose records were accepted last, until somebody sets it to -1. */
  lastGiver = -1;

  constructor(host: RefillHost, options: RefillOptions) {
    this.host = host;
    this.#options = options;
  }

  *fetch(wanted: WantedRecords, accepts: (bytes: number) => boolean): Task<number> {
    const others = this.host.replicaOf(wanted.groupId)?.others ?? [];
    let allAnswered = others.length > 0;
    for (const node of others) {
      const result = this.#options.knowsRefills(node)
        ? yield* this.#ask(node, wanted, accepts)
        : -Refilled.UNANSWERED;
      if (result > 0) {
        this.lastGiver = node;
        return result;
      }
      if (result !== -Refilled.ABSENT) allAnswered = false;
    }
    return allAnswered ? -Refilled.ABSENT : -Refilled.UNANSWERED;
  }

  *#ask(node: number, wanted: WantedRecords, accepts: Asked["accepts"]): Task<number> {
    const token = ++this.#lastToken;
    const { timers, nowMs } = this.#options;
    const head = new Uint8Array(ASK_SIZE);
    const view = new DataView(head.buffer);
    setInt64Le(view, 0, wanted.groupId);
    setInt64Le(view, 8, token);
    setInt64Le(view, 16, wanted.offset);
    setInt64Le(view, 24, wanted.endOffset);
    view.setUint32(32, wanted.room, true);
    const type = ReplicationFrame.REFILL_ASK;
    const ranges = new RangeList(1);
    if (!this.host.sendFrame(type, wanted.groupId, node, head, ranges, NOTHING_SENT)) {
      return -Refilled.UNANSWERED;
    }
    const result = yield* until<number>((done) => {
      const late = new Timer(() => done(-Refilled.UNANSWERED));
      timers.schedule(late, nowMs() + REFILL_WAIT_MS);
      const end = (answer: number): void => {
        timers.cancel(late);
        done(answer);
      };
      this.#asked.set(token, { node, wanted, accepts, done: end });
    });
    this.#asked.delete(token);
    return result;
  }

  /** An answer; null, or what is wrong with it. */
  onRefill(node: number, address: number, length: number): string | null {
    if (length < HEAD_SIZE) return "an answer without its head";
    const { view, bytes } = this.host.memory;
    const asked = this.#asked.get(getInt64Le(view, address + 8));
    const outcome = view.getUint32(address + 16, true);
    // It came too late, or is another node's.
    if (asked === undefined || asked.node !== node) return null;
    if (outcome !== Outcome.RECORDS) {
      asked.done(outcome === Outcome.ABSENT ? -Refilled.ABSENT : -Refilled.UNANSWERED);
      return null;
    }
    const size = length - HEAD_SIZE;
    const { address: to, room } = asked.wanted;
    if (size <= 0 || size > room) return "records that were not asked for";
    const from = address + HEAD_SIZE;
    bytes.copyWithin(to, from, from + size);
    asked.done(asked.accepts(size) ? size : -Refilled.ABSENT);
    return null;
  }

  /** A request; null, or what is wrong with it. */
  onAsk(node: number, address: number, length: number): string | null {
    const { view } = this.host.memory;
    if (length !== ASK_SIZE) return "a request for records of a wrong size";
    const groupId = getInt64Le(view, address);
    const token = getInt64Le(view, address + 8);
    const offset = getInt64Le(view, address + 16);
    const endOffset = getInt64Le(view, address + 24);
    const bytesMax = view.getUint32(address + 32, true);
    if (![groupId, token, offset, endOffset].every(isCount)) return "a number that cannot be";
    const replica = this.host.replicaOf(groupId);
    if (replica === undefined || this.#serving === REFILLS_SERVED_MAX) {
      this.answer(groupId, node, token, Outcome.BUSY);
      return null;
    }
    this.#serving++;
    const room = Math.min(bytesMax, this.host.frameMaxOf(node) - HEAD_SIZE);
    new Serving(this, replica, node, token).begin(offset, endOffset, room);
    return null;
  }

  onServed(): void {
    this.#serving--;
  }

  /** False: it cannot be sent, and its owner will not be told. */
  answer(
    groupId: number,
    node: number,
    token: number,
    outcome: Outcome,
    ranges = new RangeList(1),
    owner = NOTHING_SENT,
  ): boolean {
    const head = new Uint8Array(HEAD_SIZE);
    const view = new DataView(head.buffer);
    setInt64Le(view, 0, groupId);
    setInt64Le(view, 8, token);
    view.setUint32(16, outcome, true);
    return this.host.sendFrame(ReplicationFrame.REFILL, groupId, node, head, ranges, owner);
  }
}

/** Reads what another node asked for, and sends it in place. */
class Serving implements Completion, FrameOwner {
  readonly #refills: Refills;
  readonly #replica: GroupReplica;
  readonly #node: number;
  readonly #token: number;
  readonly #read = new LogRead(this);

  constructor(refills: Refills, replica: GroupReplica, node: number, token: number) {
    this.#refills = refills;
    this.#replica = replica;
    this.#node = node;
    this.#token = token;
  }

  begin(offset: number, endOffset: number, room: number): void {
    const { log } = this.#replica;
    const read = this.#read;
    read.offset = offset;
    read.limitOffset = Math.min(endOffset, log.endOffset);
    read.maxBytes = room;
    read.minOneBatch = false;
    read.waitsForMemory = false;
    read.beforeStart = true;
    if (log.read(read)) this.complete();
  }

  complete(): void {
    const read = this.#read;
    const { log: { groupId } } = this.#replica;
    const refills = this.#refills;
    const ranges = new RangeList(Math.max(1, read.extentCount));
    const hasRecords = read.error === ReadError.NONE && read.bytesTotal > 0;
    if (hasRecords) {
      for (let i = 0; i < read.extentCount; i++) ranges.push(read.addresses[i]!, read.lengths[i]!);
      const records = Outcome.RECORDS;
      // Where it cannot be sent, the asker goes on when it has waited long enough.
      if (refills.answer(groupId, this.#node, this.#token, records, ranges, this)) return;
      return this.#end();
    }
    const outcome = read.lacksMemory ? Outcome.BUSY : Outcome.ABSENT;
    refills.answer(groupId, this.#node, this.#token, outcome);
    this.#end();
  }

  onFrameOver(): void {
    this.#end();
  }

  #end(): void {
    this.#read.release();
    this.#refills.onServed();
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
