/**
 * The benchmark's parts work together: a second of load on the minimal loop and on the broker, every
 * answer checked by the generator. How fast they are is no matter here.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { watchCalm } from "./calm.ts";
import { measureCatchUp } from "./catch_up.ts";
import { measureForming } from "./group_forming.ts";
import { measureMany } from "./many_partitions.ts";
import { compareFailover } from "./failover.ts";
import { withMeasured } from "./page.ts";
import { formatSpread, parseReport, spreadOf } from "./report.ts";
import {
  buildLoadgen,
  type Load,
  runLoad,
  type Server,
  type ServerPlace,
  startBroker,
  startCluster,
  startMinimalLoop,
} from "./servers.ts";

const LOADS: readonly Partial<Load>[] = [
  { batchBytes: 1024, connections: 4, depth: 16 },
  { batchBytes: 64 * 1024, connections: 2, depth: 4 },
  { batchBytes: 1024, connections: 2, depth: 1, rate: 200, partitions: 50, topic: "spread" },
];

const LOAD: Load = {
  topic: "smoke",
  partitions: 1,
  connections: 1,
  depth: 1,
  batchBytes: 1024,
  rate: 0,
  largeBytes: 0,
  warmupS: 0.1,
  seconds: 0.5,
};

async function loadAll(start: (place: ServerPlace) => Promise<Server>): Promise<void> {
  await buildLoadgen();
  const parentDir = await Deno.makeTempDir({ prefix: "gregor-bench-" });
  const server = await start({ processor: null, parentDir });
  try {
    for (const changes of LOADS) {
      const load: Load = { ...LOAD, ...changes };
      const report = await runLoad(server, load, null);
      assert(report.requests > 0, `${server.name} answered nothing`);
      assert(report.latencyUs.p50 > 0 && report.latencyUs.p50 <= report.latencyUs.max);
      if (load.rate > 0) assert(report.requests <= load.rate, "an open loop sends what is due");
    }
  } finally {
    await server.stop();
    await Deno.remove(parentDir, { recursive: true });
  }
}

Deno.test("the generator and the minimal loop understand each other", () =>
  loadAll((place) => startMinimalLoop(place, 16)));

Deno.test("the generator loads the broker without an error", () =>
  loadAll((place) => startBroker(place, { memory: "128MiB", flags: ["--mode=dev"] })));

Deno.test("the generator loads three brokers without an error, and their leader goes in every way", async () => {
  await buildLoadgen();
  const parentDir = await Deno.makeTempDir({ prefix: "gregor-bench-" });
  const place = { processor: null, parentDir };
  try {
    const options = { memory: "128MiB", flags: ["--mode=dev"], topic: "smoke" };
    const cluster = await startCluster(place, options);
    try {
      const load = { ...LOAD, ...LOADS[0] };
      const report = await runLoad(cluster, load, null);
      assert(report.requests > 0, "nothing was answered");
    } finally {
      await cluster.stop();
    }
    const table = await compareFailover({ place, cells: "", say: () => {} }, 1, ["--mode=dev"]);
    assert.equal(table.split("\n").filter((line) => /^\| Leader/.test(line)).length, 7, table);
  } finally {
    await Deno.remove(parentDir, { recursive: true });
  }
});

Deno.test("a broker that returns catches up while producers load its leader", async () => {
  await buildLoadgen();
  const parentDir = await Deno.makeTempDir({ prefix: "gregor-bench-" });
  const context = {
    plan: { rounds: 1, seconds: 0.5, warmupS: 0.1 },
    place: { processor: null, parentDir },
    loadProcessor: null,
    say: () => {},
  };
  try {
    const table = await measureCatchUp(context, { minutes: 0.02, flags: ["--mode=dev"] });
    assert.equal(
      table.split("\n").filter((line) => /^\| (all|one|it) /.test(line)).length,
      4,
      table,
    );
  } finally {
    await Deno.remove(parentDir, { recursive: true });
  }
});

Deno.test("nobody is elected because the machine is loaded four times over", async () => {
  const parentDir = await Deno.makeTempDir({ prefix: "gregor-bench-" });
  try {
    const context = { place: { processor: null, parentDir }, say: () => {} };
    const { elections, table } = await watchCalm(context, 0.25, ["--mode=dev"]);
    assert.equal(elections, 0, table);
  } finally {
    await Deno.remove(parentDir, { recursive: true });
  }
});

Deno.test("quiet partitions stay quiet while a broker comes and goes", async () => {
  const parentDir = await Deno.makeTempDir({ prefix: "gregor-bench-" });
  try {
    const context = { place: { processor: null, parentDir }, say: () => {} };
    const plan = {
      partitions: 1_500,
      seconds: 1,
      restMs: 500,
      memory: "256MiB",
      flags: ["--mode=dev"],
    };
    const { phases, table } = await measureMany(context, plan);
    assert.deepEqual(phases.map(({ elections }) => elections), [0, 0, 0, 0], table);
  } finally {
    await Deno.remove(parentDir, { recursive: true });
  }
});

Deno.test("measureForming() forms groups of both protocols", async () => {
  const { joinedMs, assignedMs, classicMs } = await measureForming(12);
  assert.ok(joinedMs > 0 && assignedMs >= joinedMs && classicMs > 0);
});

Deno.test("runLoad() reports a missing server", async () => {
  await buildLoadgen();
  const gone: Server = {
    name: "nobody",
    pid: Deno.pid,
    address: "127.0.0.1:1",
    wantsTopics: false,
    stop: () => Promise.resolve(),
  };
  const load: Load = {
    topic: "none",
    partitions: 1,
    connections: 1,
    depth: 1,
    batchBytes: 1024,
    rate: 0,
    largeBytes: 0,
    warmupS: 0,
    seconds: 0.1,
  };
  await assert.rejects(runLoad(gone, load, null), /nobody: loadgen: 127.0.0.1:1: /);
});

Deno.test("reports are read, spread and put into the page", () => {
  assert.throws(() => parseReport("{}", 0), /load generator said/);
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.equal(spreadOf([1, 2]).median, 1.5);
  assert.equal(formatSpread(spreadOf([1234.5, 1000, 2000])), "1,235 (1,000-2,000)");
  const page = Deno.readTextFileSync(new URL("../../docs/BENCHMARKS.md", import.meta.url));
  const once = withMeasured(page, "Host A.", ["## One\n\nfirst", "## Two\n\nkept"]);
  const written = withMeasured(once, "Host B.", ["## One\n\nsecond"]);
  assert(written.includes("## One\n\nHost B.\n\nsecond\n\n## Two\n\nHost A.\n\nkept\n\n<!--"));
  assert.equal(withMeasured(written, "Host C.", []), written);
  assert.throws(() => withMeasured("no marks", "x", []), /marks are missing/);
});
