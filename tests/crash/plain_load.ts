/**
 * A plain load for fault tests: one topic, some partitions, one idempotent producer in each.
 *
 * @module
 */

import { Xoshiro128 } from "../../src/base/prng.ts";
import type { Broker } from "../harness/broker.ts";
import { Lane } from "./lane.ts";
import { Ledger, Problems } from "./ledger.ts";
import { Link, LinkClosed, parseAddress, pause } from "./link.ts";
import { createTopic, newProducer } from "./side_loads.ts";
import { UNVERIFIED, verifyPartition } from "./verify.ts";

const DRAIN_MS = 30_000;

export interface PlainLoadOptions {
  readonly topic?: string;
  readonly partitions?: number;
  readonly configs?: Readonly<Record<string, string>>;
  readonly recordBytesMax?: number;
  readonly recordsMax?: number;
  readonly pauseMs?: number;
}

export class PlainLoad {
  readonly problems = new Problems();
  readonly ledgers: readonly Ledger[];
  readonly link: Link;
  readonly #lanes: Lane[];
  readonly #running: Promise<void>[];
  #stopped = false;

  private constructor(link: Link, ledgers: Ledger[], lanes: Lane[], problems: Problems) {
    this.link = link;
    this.ledgers = ledgers;
    this.problems = problems;
    this.#lanes = lanes;
    this.#running = lanes.map((lane) =>
      lane.run(() => this.#stopped).catch((error) => {
        if (!(error instanceof LinkClosed)) this.problems.add(String(error));
      })
    );
  }

  /** Makes the topic and begins to produce. */
  static async start(broker: Broker, options: PlainLoadOptions = {}): Promise<PlainLoad> {
    const { topic = "load", partitions = 3, configs = {}, pauseMs = 5 } = options;
    const { recordsMax = 10, recordBytesMax = 2000 } = options;
    const link = new Link(parseAddress(broker.kafka), "load");
    const problems = new Problems();
    await createTopic(link, topic, partitions, configs);
    const identity = await newProducer(link);
    const ledgers: Ledger[] = [];
    const lanes: Lane[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const ledger = new Ledger(topic, partition, problems);
      ledgers.push(ledger);
      const random = new Xoshiro128(partition + 1);
      lanes.push(
        new Lane({
          id: partition,
          link,
          identity,
          ledger,
          random,
          recordsMax,
          recordBytesMax,
          largePercent: 0,
          largeBytes: 0,
          pauseMs,
        }),
      );
    }
    return new PlainLoad(link, ledgers, lanes, problems);
  }

  get acked(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.acked, 0);
  }

  /** Refusals met so far, by name. */
  get refusals(): ReadonlyMap<string, number> {
    const all = new Map<string, number>();
    for (const lane of this.#lanes) {
      for (const [name, count] of lane.refusals) all.set(name, (all.get(name) ?? 0) + count);
    }
    return all;
  }

  /** Waits until `count` more records are acknowledged than now. */
  async ackMore(count: number, timeoutMs = 30_000): Promise<void> {
    const goal = this.acked + count;
    await this.until(() => this.acked >= goal, `${count} more acknowledgements`, timeoutMs);
  }

  async until(condition: () => boolean, what: string, timeoutMs = 30_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!condition()) {
      if (this.problems.any) throw new Error(this.problems.list.join("\n"));
      if (performance.now() > deadlineMs) throw new Error(`No ${what} within ${timeoutMs} ms`);
      await pause(5);
    }
  }

  /** No new batches; what was sent is still tried until it is acknowledged. */
  hold(): void {
    for (const lane of this.#lanes) lane.hold();
  }

  /** No new batches; resolves when all are acknowledged. */
  async drain(): Promise<void> {
    this.hold();
    await this.until(() => this.#lanes.every((lane) => lane.idle), "drained load", DRAIN_MS);
  }

  resume(): void {
    for (const lane of this.#lanes) lane.resume();
  }

  /** Drains, and holds every partition against what was acknowledged. */
  async verify(): Promise<void> {
    await this.drain();
    for (const ledger of this.ledgers) await verifyPartition(this.link, ledger, UNVERIFIED);
    if (this.problems.any) throw new Error(this.problems.list.slice(0, 20).join("\n"));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const lane of this.#lanes) lane.hold();
    this.link.close();
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
