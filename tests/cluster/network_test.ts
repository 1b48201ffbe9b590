/**
 * Three real brokers whose network fails: the leader is cut off, in both directions or in one, two nodes hear only the
 * third, a link comes and goes, a leader is stopped and continues. A majority goes on within a few seconds, and what
 * producers and readers were told, all the time and by every broker, is linearizable for each partition.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { SMALL_RINGS } from "../crash/faulty_broker.ts";
import { parseAddress, pause } from "../crash/link.ts";
import { createTopic } from "../crash/side_loads.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { ClusterLinks } from "./cluster_links.ts";
import { History, type PartitionHistory } from "./history.ts";
import { RpcProxy } from "./rpc_proxy.ts";

const SEED = Number(Deno.env.get("GREGOR_CRASH_SEED") ?? Date.now() % 2 ** 31);
const PARTITIONS = 2;
/** Before a fault, and after it (ms). */
const CALM_MS = 1_000;
const FAULT_MS = 5_000;
/** A majority goes on within this time (ms). */
const AVAILABLE_MS = 4_000;
const FLAP_MS = 250;
const CHECKER = new URL("linearizable/", import.meta.url).pathname;
const CI = Deno.env.get("CI") === "true";

interface Site {
  readonly cluster: LocalCluster;
  readonly network: RpcProxy;
  /** Of partition 0. */
  readonly leader: number;
  readonly others: readonly [number, number];
}

interface Fault {
  readonly name: string;
  /** Causes it; what ends it, unless the network is only to be healed. */
  begin(site: Site): void | (() => Promise<void>);
  readonly forMs?: number;
  /** Another node must lead by the end. */
  readonly moves: boolean;
}

const FAULTS: readonly Fault[] = [
  {
    name: "the leader is cut off",
    moves: true,
    begin: ({ network, leader, others }) => others.forEach((other) => network.part(leader, other)),
  },
  {
    name: "nobody hears the leader",
    moves: true,
    begin: ({ network, leader, others }) => others.forEach((other) => network.cut(leader, other)),
  },
  {
    name: "the leader hears nobody",
    moves: true,
    begin: ({ network, leader, others }) => others.forEach((other) => network.cut(other, leader)),
  },
  {
    name: "the leader and a follower hear only the third",
    moves: false,
    begin: ({ network, leader, others }) => network.part(leader, others[0]),
  },
  {
    name: "a link of the leader comes and goes",
    moves: false,
    begin: ({ network, leader, others }) => {
      let isOver = false;
      const flaps = (async () => {
        while (!isOver) {
          network.part(leader, others[0]);
          await pause(FLAP_MS);
          network.heal(false);
          network.break(leader, others[0]);
          await pause(FLAP_MS);
        }
      })();
      return async () => {
        isOver = true;
        await flaps;
      };
    },
  },
  {
    name: "the leader is stopped for 10 s, and continues",
    moves: true,
    forMs: 10_000,
    begin: ({ cluster, leader }) => {
      cluster.brokers[leader]!.send("SIGSTOP");
      return () => Promise.resolve(cluster.brokers[leader]!.send("SIGCONT"));
    },
  },
];

/** The checker, built; null: there is no Go. */
async function buildChecker(directory: string): Promise<string | null> {
  const program = `${directory}/linearizable`;
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", program, "."],
      cwd: CHECKER,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      signal: AbortSignal.timeout(300_000),
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return program;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && !CI) return null;
    throw error;
  }
}

interface Verdict {
  readonly ok: boolean;
  readonly operations: number;
  readonly problems: readonly string[];
}

async function check(program: string, partitions: readonly PartitionHistory[]): Promise<Verdict> {
  const child = new Deno.Command(program, { stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify({ partitions })));
  await writer.close();
  const { stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout);
  assert.ok(said !== "", new TextDecoder().decode(stderr));
  return JSON.parse(said);
}

/** A fault, with clients before, while and after it happens. */
async function suffer(
  cluster: LocalCluster,
  network: RpcProxy,
  fault: Fault,
  number: number,
): Promise<PartitionHistory[]> {
  const random = new Xoshiro128(SEED + number);
  const addresses = cluster.brokers.map(({ kafka }) => parseAddress(kafka));
  const links = new ClusterLinks(addresses);
  const topic = `history-${number}`;
  await createTopic(links.link("control", null), topic, PARTITIONS);
  for (const link of links.links) link.close();
  const history = new History(topic, PARTITIONS, addresses, random);
  history.start();
  let end: void | (() => Promise<void>) = undefined;
  try {
    await pause(CALM_MS);
    const leader = await links.leaderOf(topic, 0);
    assert.ok(leader >= 0, "nobody leads");
    const [first, second] = [0, 1, 2].filter((node) => node !== leader);
    const isFirst = random.nextBelow(2) === 0;
    const others = isFirst ? [first!, second!] as const : [second!, first!] as const;
    const beganMs = performance.now();
    end = fault.begin({ cluster, network, leader, others });
    await pause(fault.forMs ?? FAULT_MS);
    const next = await new ClusterLinks([addresses[others[0]]!]).leaderOf(topic, 0);
    if (fault.moves) assert.ok(next >= 0 && next !== leader, `node ${next} leads`);
    for (const [partition, atMs] of history.acknowledgedMs.entries()) {
      const forMs = Math.round(atMs - beganMs);
      assert.ok(
        forMs > AVAILABLE_MS,
        `${topic}-${partition}: nothing is acknowledged ${forMs} ms on`,
      );
    }
  } finally {
    await end?.();
    network.heal(random.nextBelow(2) === 0);
    await pause(CALM_MS);
    await history.stop();
  }
  assert.ok(history.acknowledged > 50 && history.fetched > 50, "hardly any load");
  return await history.collect();
}

Deno.test("Three brokers whose network fails go on with a majority, and what they say is linearizable", async (t) => {
  console.log(`GREGOR_CRASH_SEED=${SEED}`);
  const directory = await Deno.makeTempDir({ prefix: "gregor-checker-" });
  const checker = await buildChecker(directory);
  const network = new RpcProxy();
  const cluster = await LocalCluster.start({
    nodes: 3,
    memory: "128MiB",
    flags: [...SMALL_RINGS, "--set=default.replication.factor=3"],
    reachedAt: (ports) => network.listen(ports),
  });
  const histories: PartitionHistory[] = [];
  try {
    for (const [number, fault] of FAULTS.entries()) {
      await t.step(fault.name, async () => {
        histories.push(...await suffer(cluster, network, fault, number));
      });
    }
    await t.step({
      name: "all of it is linearizable",
      ignore: checker === null,
      fn: async () => {
        const { ok, operations, problems } = await check(checker!, histories);
        console.log(`${operations} operations`);
        assert.ok(ok, problems.join("\n"));
        assert.ok(operations > 1_000, "hardly any operations");
        // The checker finds what is wrong: a fetch that saw what was not there yet, or no more.
        const [one] = histories;
        const late = one!.operations.find(({ kind, known }) => kind === "produce" && known)!;
        const early = { ...late, kind: "fetch" as const, call: 0, return: 1 };
        const wrong = { ...one!, operations: [...one!.operations, early] };
        assert.equal((await check(checker!, [wrong])).ok, false);
        const lost = { ...one!, log: one!.log.filter((value) => value !== late.values[0]) };
        assert.equal((await check(checker!, [lost])).ok, false);
      },
    });
  } catch (error) {
    console.log(cluster.stderr);
    throw error;
  } finally {
    network.close();
    await cluster.dispose();
    await Deno.remove(directory, { recursive: true });
  }
});
