/**
 * What a log should be: the plain list of its recorded operations, and the state they amount to.
 *
 * A recovered log says how many records it reflects; its state must be that of exactly so many
 * operations, and no fewer than were durable.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import type { MetaKind } from "../../src/storage/log.ts";

export type ModelOperation =
  | { readonly kind: "create" }
  | {
    readonly kind: "append";
    readonly bytes: Uint8Array;
    readonly recordCount: number;
    readonly producerId: number;
    readonly firstSequence: number;
  }
  | { readonly kind: "meta"; readonly meta: MetaKind; readonly term: number; readonly mark: number }
  | { readonly kind: "hard"; readonly term: number; readonly vote: number }
  | { readonly kind: "truncate"; readonly index: number }
  | { readonly kind: "trim"; readonly offset: number }
  | { readonly kind: "accept" }
  | { readonly kind: "delete" };

export interface ModelBatch {
  readonly offset: number;
  readonly endOffset: number;
  readonly bytes: Uint8Array;
  readonly producerId: number;
  readonly firstSequence: number;
}

interface ModelEntry {
  readonly lastIndex: number;
  readonly batch: ModelBatch | null;
  readonly meta: { kind: MetaKind; term: number; mark: number; offset: number } | null;
}

/** The state after some operations. */
export class ModelState {
  entries: ModelEntry[] = [];
  startOffset = 0;
  hardTerm = 0;
  hardVote = -1;
  deleted = false;
  /** It was cut back to its start: the segment that ends there stays until the start moves again. */
  cutToStart = false;

  constructor(operations: readonly ModelOperation[], count: number) {
    for (let i = 0; i < count; i++) this.apply(operations[i]!);
  }

  get lastIndex(): number {
    return this.entries.at(-1)?.lastIndex ?? 0;
  }

  get endOffset(): number {
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const entry = this.entries[i]!;
      return entry.batch !== null ? entry.batch.endOffset : entry.meta!.offset;
    }
    return 0;
  }

  get lastTerm(): number {
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const meta = this.entries[i]!.meta;
      if (meta !== null) return meta.term;
    }
    return 0;
  }

  apply(operation: ModelOperation): void {
    switch (operation.kind) {
      case "create":
      case "accept":
        return;
      case "append": {
        const offset = this.endOffset;
        const endOffset = offset + operation.recordCount;
        const { bytes, producerId, firstSequence } = operation;
        const lastIndex = this.lastIndex + operation.recordCount;
        const batch = { offset, endOffset, bytes, producerId, firstSequence };
        this.entries.push({ lastIndex, batch, meta: null });
        return;
      }
      case "meta": {
        const { meta: kind, term, mark } = operation;
        const meta = { kind, term, mark, offset: this.endOffset };
        this.entries.push({ lastIndex: this.lastIndex + 1, batch: null, meta });
        return;
      }
      case "hard":
        this.hardTerm = operation.term;
        this.hardVote = operation.vote;
        return;
      case "truncate":
        this.entries = this.entries.filter((entry) => entry.lastIndex <= operation.index);
        assert(this.lastIndex === operation.index, "the model cut inside a batch");
        this.cutToStart ||= this.endOffset === this.startOffset;
        return;
      case "trim":
        this.startOffset = operation.offset;
        this.cutToStart = false;
        return;
      case "delete":
        this.deleted = true;
    }
  }

  /** The newest batch of a producer, or null. */
  lastBatchOf(producerId: number): ModelBatch | null {
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const { batch } = this.entries[i]!;
      if (batch !== null && batch.producerId === producerId) return batch;
    }
    return null;
  }

  batches(): ModelBatch[] {
    return this.entries.flatMap((entry) => entry.batch === null ? [] : [entry.batch]);
  }

  /** The bytes that a reader from `offset` on gets. */
  bytesFrom(offset: number): Uint8Array {
    const kept = this.batches().filter((batch) => batch.endOffset > offset);
    const whole = new Uint8Array(kept.reduce((sum, batch) => sum + batch.bytes.length, 0));
    let at = 0;
    for (const batch of kept) {
      whole.set(batch.bytes, at);
      at += batch.bytes.length;
    }
    return whole;
  }
}

/** Whether a group's operations end its life. */
export function isDeleted(
  { operations }: { readonly operations: readonly ModelOperation[] },
): boolean {
  return operations.some(({ kind }) => kind === "delete");
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
