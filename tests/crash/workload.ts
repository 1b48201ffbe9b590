/**
 * The load of the crash tests: several idempotent producers over several partitions, small and large
 * batches, offsets committed, records deleted, topics coming and going, watermarks watched.
 *
 * @module
 */

import { Xoshiro128 } from "../../src/base/prng.ts";
import type { About, Brokers } from "./brokers.ts";
import { Lane } from "./lane.ts";
import { Ledger, type Problems } from "./ledger.ts";
import { type Link, LinkClosed, pause } from "./link.ts";
import {
  ChurnLoad,
  CommitLoad,
  createTopic,
  newProducer,
  type SideLoad,
  TrimLoad,
  watchLoad,
} from "./side_loads.ts";
import { TailLoad } from "./tail_load.ts";
import { UNVERIFIED, type Verified, verifyPartition } from "./verify.ts";

const PRODUCERS = 3;
/** Lanes of the topics that come and go are numbered from here. */
const CHURN_LANES = 1_000_000;
const DRAIN_MS = 60_000;

interface TopicShape {
  readonly name: string;
  readonly partitions: number;
  readonly recordsMax: number;
  readonly recordBytesMax: number;
  readonly largePercent: number;
  readonly largeBytes: number;
  readonly pauseMs: number;
  /** Records are deleted now and then. */
  readonly trimmed: boolean;
  readonly configs: Readonly<Record<string, string>>;
}

const TOPICS: readonly TopicShape[] = [
  {
    name: "small",
    partitions: 4,
    recordsMax: 10,
    recordBytesMax: 300,
    largePercent: 0,
    largeBytes: 0,
    pauseMs: 12,
    trimmed: false,
    configs: { "segment.bytes": "1048576" },
  },
  {
    name: "mixed",
    partitions: 2,
    recordsMax: 30,
    recordBytesMax: 4000,
    largePercent: 5,
    largeBytes: 300_000,
    pauseMs: 60,
    trimmed: true,
    configs: { "segment.bytes": "1048576" },
  },
];

export interface WorkloadOptions {
  /** Producers without an id, besides the idempotent ones. */
  readonly plainProducers?: number;
  /** Pauses between batches are so many times as long. */
  readonly slowness?: number;
  /** Names under which topics come and go. */
  readonly churnNames?: number;
}

export interface WorkloadTotals {
  readonly ackedRecords: number;
  readonly resentBatches: number;
  readonly committed: number;
  /** Records that consumers read along. */
  readonly followed: number;
  readonly topicLives: number;
  readonly deletedUpTo: number;
  readonly refusals: Readonly<Record<string, number>>;
}

export class Workload {
  readonly problems: Problems;
  readonly #brokers: Brokers;
  readonly #options: WorkloadOptions;
  readonly #random: Xoshiro128;
  readonly #lanes: Lane[] = [];
  readonly #ledgers: Ledger[] = [];
  readonly #trimmed: Ledger[] = [];
  readonly #verified = new Map<Ledger, Verified>();
  readonly #commits: CommitLoad[] = [];
  readonly #tails: TailLoad[] = [];
  readonly #running: Promise<void>[] = [];
  #churn: ChurnLoad | null = null;
  #trims: TrimLoad | null = null;
  #stopped = false;

  constructor(brokers: Brokers, seed: number, problems: Problems, options: WorkloadOptions = {}) {
    this.#brokers = brokers;
    this.#options = options;
    this.#random = new Xoshiro128(seed);
    this.problems = problems;
    problems.whenAny(() => this.#close());
  }

  /** Makes topics and producers, and starts the load. */
  async start(): Promise<void> {
    for (const shape of TOPICS) {
      await createTopic(this.#link("control", null), shape.name, shape.partitions, shape.configs);
      for (let partition = 0; partition < shape.partitions; partition++) {
        const ledger = new Ledger(shape.name, partition, this.problems);
        this.#ledgers.push(ledger);
        if (shape.trimmed) this.#trimmed.push(ledger);
      }
    }
    const { plainProducers = 0, slowness = 1, churnNames = 3 } = this.#options;
    for (let producer = 0; producer < PRODUCERS + plainProducers; producer++) {
      const name = `producer-${producer}`;
      const identity = producer < PRODUCERS ? await newProducer(this.#link(name, null)) : null;
      for (const ledger of this.#ledgers) {
        const shape = TOPICS.find((one) => one.name === ledger.topic)!;
        const id = this.#lanes.length;
        const link = this.#link(name, ledger);
        const pauseMs = shape.pauseMs * slowness;
        const random = this.#fork();
        this.#lanes.push(new Lane({ ...shape, id, link, identity, ledger, random, pauseMs }));
      }
    }
    for (const ledger of this.#ledgers) {
      if (this.#trimmed.includes(ledger)) continue;
      const tail = new TailLoad(this.#link("follower", ledger), ledger);
      this.#tails.push(tail);
      this.#run((stopped) => tail.run(stopped));
    }
    for (const lane of this.#lanes) this.#run((stopped) => lane.run(stopped));
    for (const group of ["readers-a", "readers-b"]) {
      const commits = new CommitLoad(this.#link(group, { group }), group, "small", this.problems);
      this.#commits.push(commits);
      this.#run((stopped) => commits.run(stopped));
    }
    const linksOf = (client: string) => (about: About) => this.#link(client, about);
    this.#run(watchLoad(linksOf("watcher"), this.#ledgers));
    const trims = new TrimLoad(linksOf("trimmer"), this.#trimmed, this.#fork());
    this.#trims = trims;
    this.#run((stopped) => trims.run(stopped));
    const churn = new ChurnLoad(
      linksOf("churn"),
      this.#fork(),
      CHURN_LANES,
      this.problems,
      churnNames,
    );
    this.#churn = churn;
    this.#run((stopped) => churn.run(stopped));
  }

  /**
   * Lets everything unacknowledged be acknowledged and reads what is new in all partitions (or all that
   * there is, with `whole`). Producing goes on afterwards unless `end`. Throws {@linkcode LinkClosed} when
   * a problem has ended the load.
   */
  async verify(options: { readonly whole?: boolean; readonly end?: boolean } = {}): Promise<void> {
    for (const lane of this.#lanes) lane.hold();
    await this.#trims!.hold();
    const deadlineMs = performance.now() + DRAIN_MS;
    while (!this.problems.any && this.#lanes.some((lane) => !lane.idle)) {
      if (performance.now() > deadlineMs) {
        const stuck = this.#lanes.filter((lane) => !lane.idle).map((lane) => lane.ledger.name);
        this.problems.add(`not acknowledged within ${DRAIN_MS} ms: ${stuck.join(" ")}`);
      }
      await pause(10);
    }
    for (const ledger of this.#ledgers) {
      const from = options.whole ? UNVERIFIED : this.#verified.get(ledger) ?? UNVERIFIED;
      const verified = await verifyPartition(this.#link("control", ledger), ledger, from);
      this.#verified.set(ledger, verified);
      const tail = this.#tails.find((one) => one.ledger === ledger);
      if (tail !== undefined) await tail.check(verified, from === UNVERIFIED);
    }
    for (const commits of this.#commits) await commits.check();
    if (options.end) return;
    this.#trims!.resume();
    for (const lane of this.#lanes) lane.resume();
  }

  /** Ends all load; connections are closed, so that nothing waits for a broker that is away. */
  async stop(): Promise<void> {
    this.#close();
    await Promise.all(this.#running);
  }

  /** What everybody is at: the first thing to look at when something does not come to its end. */
  get state(): string {
    return [
      ...this.#lanes.map((lane) => `${lane.ledger.name}: ${lane.state}`),
      ...this.#brokers.links.map((link) => `${link.name}: ${link.state}`),
    ].join("\n");
  }

  get totals(): WorkloadTotals {
    const refusals: Record<string, number> = {};
    for (const lane of this.#lanes) {
      for (const [name, count] of lane.refusals) refusals[name] = (refusals[name] ?? 0) + count;
    }
    return {
      ackedRecords: this.#lanes.reduce((sum, lane) => sum + lane.acked, this.#churn?.acked ?? 0),
      resentBatches: this.#lanes.reduce((sum, lane) => sum + lane.resent, 0),
      followed: this.#tails.reduce((sum, one) => sum + one.next, 0),
      committed: this.#commits.reduce((sum, one) => sum + one.acked, 0),
      topicLives: this.#churn?.lives ?? 0,
      deletedUpTo: this.#trimmed.reduce((sum, one) => sum + one.trimAcked, 0),
      refusals,
    };
  }

  #close(): void {
    this.#stopped = true;
    for (const lane of this.#lanes) lane.hold();
    for (const link of this.#brokers.links) link.close();
  }

  #run(load: SideLoad): void {
    this.#running.push(
      load(() => this.#stopped).catch((error) => {
        if (!(error instanceof LinkClosed)) this.problems.add(String(error));
      }),
    );
  }

  #link(client: string, about: About): Link {
    return this.#brokers.link(client, about);
  }

  /** The partitions, with what was promised of each. */
  get ledgers(): readonly Ledger[] {
    return this.#ledgers;
  }

  #fork(): Xoshiro128 {
    return new Xoshiro128(this.#random.nextUint32());
  }
}
