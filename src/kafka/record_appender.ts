/**
 * Appends batches of the broker's own records to a partition: the controller's commands, coordinators'
 * state. In order; each is answered once it is committed.
 *
 * A full journal or a shortage of memory makes the queue wait; a full disk, or a partition that is gone or led
 * elsewhere, refuses everything queued, because what follows a refused record may depend on it.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { EIO, ENOBUFS } from "../io/errno.ts";
import { LOG_BUSY, LOG_TOO_LARGE } from "../storage/log.ts";
import { NOT_LEADER } from "../replication/replica.ts";
import { type AppendWaiter, Loss } from "./append_waits.ts";
import type { Partition } from "./partition.ts";

/** Batches queued or uncommitted at one partition. */
export const APPENDS_QUEUED_MAX = 100_000;

/** Receives the base offset once the batch is committed, or a refusal (`storage/log.ts`, NOT_LEADER). */
export type AppendDone = (result: number) => void;

/** Where the bytes of a batch lie while they are appended. */
export interface AppendMemory {
  /** The largest size that can ever be allocated (bytes). */
  readonly responseSizeMax: number;
  allocateResponse(size: number): number;
  releaseResponse(address: number): void;
  /** Calls `again` once, when an allocation that failed may be tried again. */
  whenReleased(again: () => void): void;
}

interface Queued {
  readonly batch: Uint8Array;
  readonly done: AppendDone;
}

interface Waiting {
  readonly baseOffset: number;
  readonly done: AppendDone;
}

export class RecordAppender implements AppendWaiter {
  readonly partition: Partition;
  readonly #memory: Memory;
  readonly #blocks: AppendMemory;
  readonly #wallMs: () => number;
  readonly #queue: Queued[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #nextToken = 0;
  /** Memory was short, and who gives some back will call. */
  #awaitsMemory = false;

  constructor(
    partition: Partition,
    memory: Memory,
    blocks: AppendMemory,
    wallMs: () => number,
  ) {
    this.partition = partition;
    this.#memory = memory;
    this.#blocks = blocks;
    this.#wallMs = wallMs;
  }

  /** @param batch one encoded record batch (v2) with its CRC */
  append(batch: Uint8Array, done: AppendDone): void {
    if (batch.length > this.#blocks.responseSizeMax) {
      done(LOG_TOO_LARGE);
      return;
    }
    if (this.#queue.length >= APPENDS_QUEUED_MAX) {
      done(-ENOBUFS);
      return;
    }
    this.#queue.push({ batch, done });
    if (this.#queue.length === 1) this.retry();
  }

  /** Goes on with the queue; call it when the log is writable again, or memory came back. */
  retry(): void {
    while (this.#queue.length > 0) {
      const { batch, done } = this.#queue[0]!;
      const baseOffset = this.#tryAppend(batch);
      if (baseOffset === LOG_BUSY) return;
      if (baseOffset === LOG_TOO_LARGE) {
        // By itself it can never be appended; its sender learns that before anything depends on it.
        this.#queue.shift();
        done(baseOffset);
        continue;
      }
      if (baseOffset < 0) {
        this.#refuseAll(baseOffset);
        return;
      }
      this.#queue.shift();
      const token = this.#nextToken++ & 0x7fffffff;
      this.#waiting.set(token, { baseOffset, done });
      this.partition.awaitCommit(this.partition.log.endOffset, this, token);
    }
  }

  onReached(token: number): void {
    const { baseOffset, done } = this.#take(token);
    done(baseOffset);
  }

  onLost(token: number, loss: Loss): void {
    this.#take(token).done(loss === Loss.GONE ? -EIO : NOT_LEADER);
  }

  #take(token: number): Waiting {
    const waiting = this.#waiting.get(token)!;
    this.#waiting.delete(token);
    return waiting;
  }

  #tryAppend(batch: Uint8Array): number {
    const { partition } = this;
    if (partition.gone || partition.replica.readOnly) return -EIO;
    if (batch.length > partition.replica.batchBytesMax) return LOG_TOO_LARGE;
    if (!partition.leading) return NOT_LEADER;
    const address = this.#blocks.allocateResponse(batch.length);
    if (address < 0) {
      // No log refused an append here, so none will report that it is writable again.
      this.#awaitMemory();
      return LOG_BUSY;
    }
    this.#memory.bytes.set(batch, address);
    const baseOffset = partition.append(address, batch.length, this.#wallMs());
    this.#blocks.releaseResponse(address);
    return baseOffset;
  }

  #awaitMemory(): void {
    if (this.#awaitsMemory) return;
    this.#awaitsMemory = true;
    this.#blocks.whenReleased(() => {
      this.#awaitsMemory = false;
      this.retry();
    });
  }

  #refuseAll(result: number): void {
    const queue = this.#queue.splice(0);
    for (const { done } of queue) done(result);
  }
}
