/**
 * A machine that is loaded four times over, and whether leaders keep their partitions on it.
 *
 * Three brokers with replication factor 3 under the load of a few producers; beside them so many processes that only
 * compute that each processor has four times as much to do as it can. Nothing fails, so nobody may be elected: the terms of all
 * groups, added up, stay the same.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../crash/link.ts";
import { type BenchContext, row, rule } from "./comparisons.ts";
import { HintedProducer } from "./hinted_producer.ts";
import { formatNumber } from "./report.ts";
import { TOPIC, WatchedCluster } from "./watched_cluster.ts";

const OVERLOAD = 4;
/** Leaders on each of the nodes, groups with work and groups without. */
const PARTITIONS = 30;
const LOOK_MS = 1_000;
/** Leadership that is moved on purpose would be counted, too. */
const UNMOVED = "--set=auto.leader.rebalance.enable=false";
const SILENT = /gives no sign of life/g;

export interface Calm {
  /** Elections that nothing called for. */
  readonly elections: number;
  /** Signs of life that were missed for so long that a node was taken for dead. */
  readonly silences: number;
  readonly table: string;
}

/**
 * Looks for false elections.
 *
 * @param flags more of them for the brokers
 */
export async function watchCalm(
  context: Pick<BenchContext, "place" | "say">,
  minutes: number,
  flags: readonly string[] = [],
): Promise<Calm> {
  const { parentDir } = context.place;
  const watched = await WatchedCluster.start({
    parentDir,
    flags: [...flags, UNMOVED],
    partitions: PARTITIONS,
  });
  const forMs = minutes * 60_000;
  try {
    const leader = await watched.settled();
    const producer = new HintedProducer(watched.addresses, TOPIC, leader);
    await producer.start();
    const before = await watched.terms();
    const acked = watched.acked;
    const fromMs = performance.now();
    const burners = burn(OVERLOAD * navigator.hardwareConcurrency, forMs);
    let elections = 0;
    let load = 0;
    while (performance.now() - fromMs < forMs) {
      await pause(LOOK_MS);
      watched.check();
      load = Math.max(load, Deno.loadavg()[0]!);
      const terms = await watched.terms();
      const begun = terms.map((term, at) => term - before[at]!);
      const now = begun.reduce((sum, each) => sum + each, 0);
      if (now > elections) {
        context.say(
          `${now - elections} elections at ${since(fromMs)}; by group ${begun.join(" ")}`,
        );
      }
      elections = now;
    }
    await Promise.all(burners.map(({ status }) => status));
    const { longestMs, usualMs, acknowledged, final } = producer;
    await producer.stop();
    assert.deepEqual(final, [], "refused for good");
    assert(acknowledged > 0 && watched.acked > acked, "the load stands still");
    const silences = watched.cluster.brokers.reduce(
      (sum, { stderr }) => sum + (stderr.match(SILENT)?.length ?? 0),
      0,
    );
    if (elections > 0) context.say(watched.cluster.stderr);
    const cells = [minutes, load, watched.acked - acked, usualMs, longestMs, silences, elections];
    const table = [
      "## False elections",
      "",
      `Three brokers, replication factor 3, ${PARTITIONS} partitions, under load, beside ${OVERLOAD} processes a processor that only compute.`,
      "",
      row([
        "Minutes",
        "Load average",
        "Records acknowledged",
        "Usual ms of a request",
        "Longest ms",
        "Nodes taken for dead",
        "Elections",
      ]),
      rule(cells.length),
      row(cells.map((value) => formatNumber(value))),
    ].join("\n");
    return { elections, silences, table };
  } finally {
    await watched.end();
  }
}

/** Processes that only compute, and end by themselves. */
function burn(count: number, forMs: number): Deno.ChildProcess[] {
  const code = `const endMs = Date.now() + ${forMs}; while (Date.now() < endMs);`;
  return Array.from(
    { length: count },
    () => new Deno.Command(Deno.execPath(), { args: ["eval", code], stdin: "null" }).spawn(),
  );
}

function since(fromMs: number): string {
  return `${formatNumber((performance.now() - fromMs) / 1000)} s`;
}
