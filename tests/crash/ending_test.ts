/**
 * How a broker ends, and when it does not start: signals, launchers, and what its exit codes promise.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import {
  EXIT_CANNOT_CREATE,
  EXIT_HOST_UNFIT,
  EXIT_INVARIANT,
  EXIT_USAGE,
} from "../../src/base/exit_codes.ts";
import { Broker, gregorCommand, within } from "../harness/broker.ts";
import { FaultyBroker, SMALL_RINGS } from "./faulty_broker.ts";
import { logSays, pause } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";

const GONE_MS = 10_000;
/** Longer than a broker takes to see that its launcher has died (ms). */
const ORPHAN_SEEN_MS = 1_000;

Deno.test("SIGTERM under load: exit 0, nothing lost, nothing to replay", async () => {
  await using broker = await Broker.start({ cores: 2, flags: SMALL_RINGS });
  await using load = await PlainLoad.start(broker);
  for (let round = 0; round < 4; round++) {
    await load.ackMore(200);
    assert.deepEqual(await broker.stop(), { code: 0, signal: null }, broker.stderr);
    await broker.restart({ cores: 1 + round });
    await logSays(broker, /Serving .*replayed=0/);
  }
  await load.verify();
  // A stop is no disk error, not even to a producer whose partition lives on another shard.
  assert.equal(load.refusals.get("KAFKA_STORAGE_ERROR"), undefined);
});

Deno.test("A signal that comes twice at once is one signal", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using broker = await Broker.start({ cores: 2, flags: SMALL_RINGS });
    await using load = await PlainLoad.start(broker);
    await load.ackMore(100);
    broker.send(signal);
    await pause(5);
    broker.send(signal);
    assert.deepEqual(await broker.exited, { code: 0, signal: null }, broker.stderr);
    await broker.restart();
    await load.verify();
  }
});

Deno.test("A stop that takes too long ends with 70, and loses nothing", async () => {
  const flags = [...SMALL_RINGS, "--set=shutdown.timeout.ms=1000"];
  await using faulty = await FaultyBroker.start({ flags });
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker);
  await load.ackMore(100);
  await faulty.order([{ ops: ["Write"], file: "/journal-", delayUs: 4_000_000 }]);
  const exit = await broker.stop();
  assert.deepEqual(exit, { code: EXIT_INVARIANT, signal: null }, broker.stderr);
  await logSays(broker, /shutdown\.timeout\.ms/);
  faulty.plan([]);
  await broker.restart();
  await load.ackMore(100);
  await load.verify();
});

Deno.test("A detached broker outlives its launcher", async () => {
  await withOrphan(["--detached"], async (pid) => {
    await pause(ORPHAN_SEEN_MS);
    assert.ok(isThere(pid));
    Deno.kill(pid, "SIGTERM");
    await isGone(pid);
  });
});

Deno.test("A broker whose launcher dies stops by itself, says so, and loses nothing", async () => {
  await withOrphan([], async (pid, dataDir, log) => {
    await isGone(pid);
    assert.match(
      log(),
      /Stopping why="the process that started this broker \(pid \d+\) has ended; .*--detached/,
    );
    await using broker = await Broker.start({ dataDir, cores: 1, flags: SMALL_RINGS });
    await logSays(broker, /Serving/);
  });
});

/** A broker that serves, and whose launcher has been killed. */
async function withOrphan(
  flags: readonly string[],
  act: (pid: number, dataDir: string, log: () => string) => Promise<void>,
): Promise<void> {
  const dataDir = Deno.makeTempDirSync({ prefix: "gregor-test-" });
  try {
    const command = [...gregorCommand(), "start", "--mode=dev", "--cores=1", ...SMALL_RINGS];
    command.push(`--data-dir=${dataDir}`, "--kafka-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0");
    const log = `${dataDir}/stderr`;
    const launcher = new Deno.Command("sh", {
      args: ["-c", '"$@" 2>"$LOG" & echo "pid $!"; wait', "sh", ...command, ...flags],
      env: { LOG: log },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const pid = await readUntilReady(launcher.stdout);
    launcher.kill("SIGKILL");
    await launcher.status;
    await act(pid, dataDir, () => Deno.readTextFileSync(log));
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

Deno.test("A data directory or a port in use: 73, and the running broker is not disturbed", async () => {
  await using broker = await Broker.start({ cores: 1, flags: SMALL_RINGS });
  await using load = await PlainLoad.start(broker);
  const other = Deno.makeTempDirSync({ prefix: "gregor-test-" });
  const free = ["--kafka-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];
  try {
    const sameDirectory = await startAndFail([`--data-dir=${broker.dataDir}`, ...free]);
    assert.equal(sameDirectory.code, EXIT_CANNOT_CREATE, sameDirectory.stderr);
    assert.match(sameDirectory.stderr, /in use/);
    const { kafka, admin } = broker.ready;
    const kafkaPort = await startAndFail([`--data-dir=${other}`, ...free, `--kafka-addr=${kafka}`]);
    assert.equal(kafkaPort.code, EXIT_CANNOT_CREATE, kafkaPort.stderr);
    assert.ok(kafkaPort.stderr.includes(kafka), kafkaPort.stderr);
    const adminPort = await startAndFail([`--data-dir=${other}`, ...free, `--admin-addr=${admin}`]);
    assert.equal(adminPort.code, EXIT_CANNOT_CREATE, adminPort.stderr);
    assert.ok(adminPort.stderr.includes(admin), adminPort.stderr);
  } finally {
    await Deno.remove(other, { recursive: true });
  }
  await load.ackMore(50);
  await load.verify();
});

Deno.test("An unknown flag: 64, with the one that was meant", async () => {
  const { code, stderr } = await startAndFail(["--data-dri=/nowhere"]);
  assert.equal(code, EXIT_USAGE, stderr);
  assert.match(stderr, /--data-dir\b/);
});

Deno.test({
  name: "Memory that cannot be locked: 71 in production mode, with advice",
  ignore: !hasProgram("setpriv") || !hasProgram("prlimit") || Deno.uid() !== 0,
  fn: async () => {
    const dataDir = Deno.makeTempDirSync({ prefix: "gregor-test-" });
    try {
      const { code, stderr } = await startAndFail(
        [`--data-dir=${dataDir}`, "--mode=production", "--memory=128MiB", "--cores=1"],
        // Root without the right to lock more than its limit, which is none.
        [
          ...["prlimit", "--memlock=65536:65536"],
          ...["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"],
        ],
      );
      assert.equal(code, EXIT_HOST_UNFIT, stderr);
      assert.match(stderr, /lock/i);
      assert.match(stderr, /LimitMEMLOCK|ulimit|memlock/);
    } finally {
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});

interface Failed {
  readonly code: number;
  readonly stderr: string;
}

/** Runs `gregor start` with these flags to its end, which must come by itself. */
async function startAndFail(flags: string[], wrapper: string[] = []): Promise<Failed> {
  const mode = flags.some((flag) => flag.startsWith("--mode")) ? [] : ["--mode=dev"];
  const [program, ...args] = [...wrapper, ...gregorCommand(), "start", ...mode, ...flags];
  const child = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const ended = await within(output, GONE_MS);
  if (ended === null) {
    child.kill("SIGKILL");
    await output;
    throw new Error(`It runs: gregor start ${flags.join(" ")}`);
  }
  return { code: ended.code, stderr: new TextDecoder().decode(ended.stderr) };
}

/** The pid that the launcher prints; returns once the broker serves. */
async function readUntilReady(output: ReadableStream<Uint8Array>): Promise<number> {
  let text = "";
  for await (const chunk of output) {
    text += new TextDecoder().decode(chunk);
    if (!text.includes("ready kafka=")) continue;
    return Number(/^pid (\d+)$/m.exec(text)![1]);
  }
  throw new Error(`No broker: ${text}`);
}

async function isGone(pid: number): Promise<void> {
  const deadlineMs = performance.now() + GONE_MS;
  while (isThere(pid)) {
    if (performance.now() > deadlineMs) {
      Deno.kill(pid, "SIGKILL");
      throw new Error("The broker runs on without its launcher");
    }
    await pause(20);
  }
}

/** Whether the process runs; one that only waits to be reaped, all of whose threads have ended, does not. */
function isThere(pid: number): boolean {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return !/^State:\s+Z/m.test(status) || !/^Threads:\s+1$/m.test(status);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function hasProgram(name: string): boolean {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
