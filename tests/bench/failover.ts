/**
 * How long producers wait when the leader of their partition goes: killed, silent, with a disk that hangs, asked to hand over,
 * or stopped.
 *
 * Three brokers with replication factor 3, all under load. Of a leader that dies it is measured when the next one
 * acknowledges its first record, by asking both survivors all the time. Of a leader that hands over it is measured what a
 * producer sees that follows hints: the longest pause between two acknowledgements, one request at a time, and by how much
 * it is longer than the usual one, which is what brokers refused or held it.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Connection } from "../../src/cli/client/connection.ts";
import { TRANSFER_LEADERSHIP } from "../../src/wire/generated/apis.ts";
import { newTransferLeadershipRequest } from "../../src/wire/generated/transfer_leadership_request.ts";
import { parseAddress, pause } from "../crash/link.ts";
import type { Broker } from "../harness/broker.ts";
import { type BenchContext, row, rule } from "./comparisons.ts";
import { firstAcknowledgement, HintedProducer } from "./hinted_producer.ts";
import { formatNumber, spreadOf } from "./report.ts";
import { NODES, TOPIC, WatchedCluster } from "./watched_cluster.ts";

const ANSWER_MS = 15_000;
/** What is usual is measured for so long before leadership is handed over (ms). */
const USUAL_MS = 300;
/** And what is not for so long behind that (ms). */
const WINDOW_MS = 1_000;
/** A write to a disk that hangs takes longer than its leader stays one (ms). */
const HANG_MS = 3_000;

/** What an event is measured by, each with a line in the table. */
interface Measure {
  readonly name: string;
  readonly target: string;
}

interface Event {
  readonly measures: readonly Measure[];
  readonly trials: number;
  /** Does it once; ms of each measure. */
  once(): Promise<readonly number[]>;
}

/** What befalls the leader of the watched partition. */
class Trials {
  readonly #watched: WatchedCluster;
  /** Refusals that producers may not repeat. */
  readonly final: string[] = [];

  constructor(watched: WatchedCluster) {
    this.#watched = watched;
  }

  /** Ends the leader by `end`, and waits for the first acknowledgement of another. */
  async lose(
    end: (leader: Broker, id: number) => Promise<unknown>,
    restore: (leader: Broker, id: number) => Promise<unknown>,
  ): Promise<number[]> {
    const { cluster } = this.#watched;
    const id = await this.#watched.settled();
    const leader = cluster.brokers[id]!;
    const survivors = await Promise.all(
      cluster.brokers.filter((broker) => broker !== leader).map((broker) =>
        Connection.open(parseAddress(broker.kafka), { timeoutMs: ANSWER_MS })
      ),
    );
    const fromMs = performance.now();
    const ended = end(leader, id);
    const atMs = await firstAcknowledgement(survivors, TOPIC);
    await ended;
    for (const connection of survivors) connection.close();
    await restore(leader, id);
    return [atMs - fromMs];
  }

  /** The longest pause of a producer while the leader hands over, and what of it is unusual. */
  async handOver(
    hand: (leader: Broker, id: number) => Promise<unknown>,
    restore: (leader: Broker) => Promise<unknown>,
  ): Promise<number[]> {
    const id = await this.#watched.settled();
    const leader = this.#watched.cluster.brokers[id]!;
    const producer = new HintedProducer(this.#watched.addresses, TOPIC, id);
    await producer.start();
    await pause(USUAL_MS);
    const { usualMs } = producer;
    producer.begin();
    const handed = hand(leader, id);
    await pause(WINDOW_MS);
    await handed;
    // A pause counts when it is over.
    const { acknowledged } = producer;
    const lateMs = performance.now() + ANSWER_MS;
    while (producer.acknowledged === acknowledged && performance.now() < lateMs) await pause(10);
    const { longestMs } = producer;
    await producer.stop();
    assert(producer.acknowledged > acknowledged, "nothing is acknowledged");
    this.final.push(...producer.final);
    await restore(leader);
    assert(await this.#watched.settled() !== id || leader.pid === 0, "the leader leads still");
    return [longestMs, longestMs - usualMs];
  }

  async transferFrom(leader: Broker, id: number): Promise<void> {
    const connection = await Connection.open(parseAddress(leader.kafka), { timeoutMs: ANSWER_MS });
    const nodeId = (id + 1) % NODES;
    const request = newTransferLeadershipRequest({ topic: TOPIC, partition: 0, nodeId });
    const { errorCode } = await connection.call(TRANSFER_LEADERSHIP, request);
    connection.close();
    assert.equal(errorCode, 0, "the transfer was refused");
  }

  /** The journal of a node does not get on with its writes, or does again; its network lives. */
  async setHanging(id: number, hangs: boolean): Promise<void> {
    const fault = { ops: ["Write"], file: "/journal-", delayUs: 1_000 * HANG_MS };
    await this.#watched.faults[id]!.order(hangs ? [fault] : []);
    // The last such write.
    if (!hangs) await pause(HANG_MS);
  }
}

const NOTHING = (): Promise<void> => Promise.resolve();

/**
 * The events, each as lines of a table.
 *
 * @param flags more of them for the brokers
 */
export async function compareFailover(
  context: Pick<BenchContext, "place" | "cells" | "say">,
  trials: number,
  flags: readonly string[] = [],
): Promise<string> {
  const { parentDir } = context.place;
  const watched = await WatchedCluster.start({ parentDir, flags, partitions: 1 });
  const did = new Trials(watched);
  const restart = (broker: Broker): Promise<void> => broker.restart();
  const some = Math.ceil(trials / 2);
  const few = Math.ceil(trials / 4);
  const events: readonly Event[] = [
    {
      measures: [{
        name: "Leader killed (SIGKILL): first acknowledgement of the next",
        target: "300 (median)",
      }],
      trials,
      once: () => did.lose((leader) => leader.kill(), restart),
    },
    {
      measures: [{
        name: "Leader silent (SIGSTOP): first acknowledgement of the next",
        target: "1,500",
      }],
      trials: some,
      once: () =>
        did.lose(
          (leader) => Promise.resolve(leader.send("SIGSTOP")),
          (leader) => Promise.resolve(leader.send("SIGCONT")),
        ),
    },
    {
      measures: [{
        name: "Leader's disk hangs: first acknowledgement of the next",
        target: "2,000 (it steps down)",
      }],
      trials: few,
      once: () =>
        did.lose(
          (_, id) => did.setHanging(id, true),
          (_, id) => did.setHanging(id, false),
        ),
    },
    {
      measures: [
        { name: "Leadership transferred: longest pause of a producer", target: "" },
        { name: "Leadership transferred: refused or held (what of it is unusual)", target: "10" },
      ],
      trials,
      once: () => did.handOver((leader, id) => did.transferFrom(leader, id), NOTHING),
    },
    {
      measures: [
        { name: "Leader stopped (SIGTERM): longest pause of a producer", target: "200" },
        { name: "Leader stopped (SIGTERM): refused or held (what of it is unusual)", target: "" },
      ],
      trials: some,
      once: () => did.handOver((leader) => leader.stop(), restart),
    },
  ];
  const lines: string[] = [];
  try {
    for (const { measures, trials, once } of events) {
      if (!measures[0]!.name.includes(context.cells)) continue;
      const results: (readonly number[])[] = [];
      for (let trial = 1; trial <= trials; trial++) {
        results.push(await once());
        const said = results.at(-1)!.map((ms) => formatNumber(ms)).join(", ");
        context.say(`${measures[0]!.name}, trial ${trial}: ${said} ms`);
      }
      for (const [at, { name, target }] of measures.entries()) {
        const { min, median, max } = spreadOf(results.map((result) => result[at]!));
        const cells = [min, median, max].map((value) => formatNumber(value));
        lines.push(row([name, String(trials), ...cells, target]));
      }
    }
  } finally {
    await watched.end();
  }
  const final = did.final.length === 0 ? "none" : [...new Set(did.final)].join(", ");
  return [
    "## When a leader goes",
    "",
    "Three brokers, replication factor 3, under load; milliseconds.",
    "",
    row(["Event", "Trials", "Best", "Median", "Worst", "Target"]),
    rule(6),
    ...lines,
    "",
    `Refusals that a producer may not repeat: ${final}.`,
  ].join("\n");
}
