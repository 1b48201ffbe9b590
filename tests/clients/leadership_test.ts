/**
 * What real clients see of a cluster of three whose leaders change as planned, and of its racks.
 */

import { strict as assert } from "node:assert";
import { gregorCommand } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { OutputLines } from "../harness/output_lines.ts";
import { CACHE } from "./clients.ts";

const TOPIC = "orders";
const PARTITIONS = 3;
const RECORDS = 500;
/** More partitions, which make the stop long. */
const OTHERS = 150;
/** Bound of one run of a program. */
const RUN_MS = 60_000;
/** A record that is produced while its leader stops: what a loaded machine of the tests allows (ms). */
const WORST_MS = 500;
/** Where a record takes long anyway, the slowest may take so many times as long besides. */
const SLOWNESS = 10;
const SELECTOR = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(command: readonly string[]): Promise<Output> {
  const [program, ...args] = command;
  const { code, stdout, stderr } = await new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(RUN_MS),
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

interface View {
  readonly controllerid: number;
  readonly topics: readonly {
    readonly partitions: readonly {
      readonly partition: number;
      readonly leader: number;
      readonly isrs: readonly { readonly id: number }[];
    }[];
  }[];
}

/** What one node says. */
async function view(kafka: string): Promise<View> {
  const { stdout } = await run(["kcat", "-L", "-J", "-b", kafka, "-t", TOPIC]);
  return JSON.parse(stdout) as View;
}

async function leaders(kafka: string): Promise<number[]> {
  const [topic] = (await view(kafka)).topics;
  return topic!.partitions.map(({ leader }) => leader);
}

async function create(
  cluster: LocalCluster,
  topic = TOPIC,
  partitions = PARTITIONS,
): Promise<void> {
  // A loaded machine may change its controller meanwhile.
  await eventually(async () => {
    const { code } = await run([
      ...gregorCommand(),
      ...["topic", "create", topic, "--partitions", `${partitions}`, "--replication-factor", "3"],
      ...["--if-not-exists", "--brokers", cluster.brokers[0]!.kafka],
    ]);
    return code === 0;
  }, `the topic ${topic}`);
}

/** Calls `done` now and then until it is so. */
async function eventually(done: () => Promise<boolean>, what: string): Promise<void> {
  const lateMs = performance.now() + RUN_MS;
  while (!await done()) {
    assert(performance.now() < lateMs, `${what} does not come`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

Deno.test("every node names the same controller and replicas; a node that stops costs producers little, and gets its partitions back", async (t) => {
  const flags = ["--set=leader.imbalance.check.interval.seconds=3"];
  // Two cores: shards of other nodes that have had nothing to say to the one that stops connect while it does.
  const cluster = await LocalCluster.start({ nodes: 3, cores: 2, flags });
  try {
    await create(cluster);
    await create(cluster, "others", OTHERS);
    await t.step("kcat is told the same by every node", async () => {
      const sameViews = async (): Promise<boolean> => {
        const views = await Promise.all(cluster.brokers.map(({ kafka }) => view(kafka)));
        const told = views.map(({ controllerid, topics }) =>
          JSON.stringify([
            controllerid,
            topics[0]!.partitions.map(({ leader, isrs }) => [leader, isrs.length]),
          ])
        );
        const inSync = views.every(({ topics }) =>
          topics[0]!.partitions.every(({ leader, isrs }) => leader >= 0 && isrs.length === 3)
        );
        return inSync && new Set(told).size === 1 && views[0]!.controllerid >= 0;
      };
      await eventually(sameViews, "agreement");
    });

    await t.step("a node that is stopped hands over, and librdkafka hardly waits", async () => {
      const [leader] = await leaders(cluster.brokers[0]!.kafka);
      const stopped = cluster.brokers[leader!]!;
      const producer = new Deno.Command(`${CACHE}python/bin/python`, {
        args: [
          new URL("python/steady.py", import.meta.url).pathname,
          ...["--brokers", cluster.bootstrap, "--topic", TOPIC],
          ...["--partitions", `${PARTITIONS}`],
        ],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const stdout = new OutputLines(producer.stdout);
      const stderr = new OutputLines(producer.stderr);
      try {
        await eventually(
          () => Promise.resolve(stdout.text.includes("steady")),
          "a steady producer",
        );
        const exit = await stopped.stop();
        assert.equal(exit.code, 0, stopped.stderr);
        const handed = stopped.stderr.split("\n").filter((line) => /Handed leadership/.test(line));
        assert(handed.length === 2 && handed.every((line) => / left=0 /.test(line)), `${handed}`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        const writer = producer.stdin.getWriter();
        await writer.write(new TextEncoder().encode("stop\n"));
        await writer.close();
        await producer.status;
        await stdout.ended;
        const line = stdout.text.split("\n").find((one) => one.includes("worstMs")) ?? "{}";
        const result = JSON.parse(line) as {
          ok: boolean;
          records: number;
          worstMs: number;
          medianMs: number;
          failures: string[];
        };
        console.log(`librdkafka through a graceful stop: ${line}`);
        assert(result.ok, `${line}\n${stderr.text}`);
        assert(
          result.worstMs < WORST_MS + SLOWNESS * result.medianMs,
          `${line}\n${cluster.stderr}`,
        );
      } finally {
        try {
          producer.kill("SIGKILL");
        } catch {
          // It has ended.
        }
        await producer.status;
      }
      const left = cluster.brokers[(leader! + 1) % 3]!.kafka;
      assert(!(await leaders(left)).includes(leader!));
      await stopped.restart();
      const isBack = async (): Promise<boolean> => (await leaders(left)).includes(leader!);
      await eventually(isBack, "the preferred leader");
    });
  } finally {
    await cluster.dispose();
  }
});

Deno.test("a consumer with a rack reads from the replica there, and goes on when that is gone", async () => {
  const cluster = await LocalCluster.start({
    nodes: 3,
    flags: [`--set=replica.selector.class=${SELECTOR}`],
    flagsOf: (node) => [`--rack=rack-${node}`],
  });
  try {
    await create(cluster);
    const [leader] = await leaders(cluster.brokers[0]!.kafka);
    const near = (leader! + 1) % 3;
    const produce = async (from: number): Promise<void> => {
      const child = new Deno.Command("kcat", {
        args: ["-P", "-b", cluster.bootstrap, "-t", TOPIC, "-p", "0", "-X", "acks=all"],
        stdin: "piped",
        stdout: "null",
        stderr: "piped",
        signal: AbortSignal.timeout(RUN_MS),
      }).spawn();
      const writer = child.stdin.getWriter();
      const lines = Array.from({ length: RECORDS }, (_, i) => `record ${from + i}\n`).join("");
      await writer.write(new TextEncoder().encode(lines));
      await writer.close();
      assert.equal((await child.output()).code, 0);
    };
    const expected = (count: number): string[] =>
      Array.from({ length: count }, (_, i) => `record ${i}`);
    await produce(0);
    const consumer = new Deno.Command(`${CACHE}python/bin/python`, {
      args: [
        new URL("python/near.py", import.meta.url).pathname,
        ...["--brokers", cluster.bootstrap, "--topic", TOPIC, "--rack", `rack-${near}`],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stdout = new OutputLines(consumer.stdout);
    const stderr = new OutputLines(consumer.stderr);
    const lines = (): { readonly value?: string; readonly broker?: number }[] =>
      stdout.text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    const values = (): string[] => lines().flatMap(({ value }) => value ?? []);
    const hasRead = (count: number) => () => Promise.resolve(values().length >= count);
    const broker = (): number => lines().findLast(({ broker }) => broker !== undefined)!.broker!;
    try {
      await eventually(hasRead(RECORDS), "what was there");
      await eventually(() => Promise.resolve(broker() === near), "reading near by");
      await produce(RECORDS);
      await eventually(hasRead(2 * RECORDS), "what came");
      assert.equal(broker(), near);
      await cluster.brokers[near]!.kill();
      await produce(2 * RECORDS);
      await eventually(hasRead(3 * RECORDS), "what came when the replica was gone");
      assert.deepEqual(values(), expected(3 * RECORDS));
      await eventually(() => Promise.resolve(broker() !== near), "another broker");
    } catch (error) {
      throw new Error(`${stderr.text}\n${cluster.stderr}`, { cause: error });
    } finally {
      consumer.kill("SIGKILL");
      await consumer.status;
    }
  } finally {
    await cluster.dispose();
  }
});
