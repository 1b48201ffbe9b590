/**
 * Gathers on the control thread what the shards tell for a page of metrics.
 *
 * Whoever asks while a round is under way gets that round's rows: however many ask, the shards do the work once. A shard
 * that does not answer in time is left out.
 *
 * @module
 */

import { COLLECT_TIMEOUT_MS } from "../metrics/limits.ts";
import type { MetricRows } from "./metric_rows.ts";

/** What all shards told. */
export interface CollectedRows {
  /** The parts of each shard, as they came. */
  readonly shards: readonly (readonly MetricRows[])[];
  /** Shards that did not answer whole. */
  readonly silent: number;
}

/** A part of a shard's answer. */
export interface MetricsMessage {
  readonly round: number;
  readonly rows: MetricRows;
  readonly isLast: boolean;
}

interface Round {
  readonly number: number;
  readonly shards: MetricRows[][];
  readonly missing: Set<number>;
  readonly end: () => void;
}

export class MetricCollector {
  readonly #ask: (shard: number, round: number) => void;
  readonly #timeoutMs: number;
  #rounds = 0;
  #round: Round | null = null;
  #result: Promise<CollectedRows> | null = null;

  /** @param ask sends the question to a shard */
  constructor(ask: (shard: number, round: number) => void, timeoutMs = COLLECT_TIMEOUT_MS) {
    this.#ask = ask;
    this.#timeoutMs = timeoutMs;
  }

  collect(shardCount: number): Promise<CollectedRows> {
    return this.#result ??= this.#collect(shardCount).finally(() => this.#result = null);
  }

  /** A shard answered. */
  take(shard: number, { round, rows, isLast }: MetricsMessage): void {
    if (this.#round?.number !== round) return;
    this.#round.shards[shard]!.push(rows);
    if (!isLast) return;
    this.#round.missing.delete(shard);
    if (this.#round.missing.size === 0) this.#round.end();
  }

  async #collect(shardCount: number): Promise<CollectedRows> {
    const shards = Array.from({ length: shardCount }, () => [] as MetricRows[]);
    const missing = new Set(shards.keys());
    if (shardCount > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#timeoutMs);
        const end = (): void => {
          clearTimeout(timer);
          resolve();
        };
        this.#round = { number: ++this.#rounds, shards, missing, end };
        for (let shard = 0; shard < shardCount; shard++) this.#ask(shard, this.#rounds);
      });
      this.#round = null;
    }
    return { shards, silent: missing.size };
  }
}
