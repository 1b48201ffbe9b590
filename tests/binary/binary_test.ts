/**
 * The one file alone in an empty, read-only root, as a user without rights: what it says, how fast it starts, that
 * clients use it, and that it keeps what it acknowledged when it is killed.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { VERSION } from "../../src/cli/version.ts";
import { OneBroker } from "../crash/brokers.ts";
import { checkData } from "../crash/check_data.ts";
import { SMALL_RINGS } from "../crash/faulty_broker.ts";
import { Problems } from "../crash/ledger.ts";
import { parseAddress, pause } from "../crash/link.ts";
import { Workload } from "../crash/workload.ts";
import { Broker, within } from "../harness/broker.ts";
import { compiled, EmptyRoot } from "./compiled.ts";

const SIZE_MAX = 60 * 10 ** 6;
/**
 * Processor time of a whole `gregor --version`: it takes no longer where a core is free, and what else runs on
 * the machine does not count.
 */
const START_CPU_MS_MAX = 500;
const KILLS = 3;

Deno.test("the file is small, and starts fast", async () => {
  const binary = await compiled();
  const { size } = await Deno.stat(binary);
  const runs: { readonly ms: number; readonly cpuMs: number }[] = [];
  for (let run = 0; run < 5; run++) {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", 'TIMEFORMAT="%R %U %S"; time "$0" --version', binary],
    }).output();
    assert.deepEqual([code, new TextDecoder().decode(stdout)], [0, `gregor ${VERSION}\n`]);
    const [real, user, system] = new TextDecoder().decode(stderr).trim().split(" ").map(Number);
    runs.push({ ms: real! * 1000, cpuMs: (user! + system!) * 1000 });
  }
  const best = (of: (run: { ms: number; cpuMs: number }) => number): number =>
    Math.round(Math.min(...runs.map(of)));
  const bestCpuMs = best(({ cpuMs }) => cpuMs);
  console.log(
    `dist/gregor: ${size} bytes; gregor --version takes ${best(({ ms }) => ms)} ms, ` +
      `${bestCpuMs} ms of processor time, at best`,
  );
  assert.ok(size <= SIZE_MAX, `${size} bytes`);
  assert.ok(bestCpuMs <= START_CPU_MS_MAX, `${bestCpuMs} ms`);
});

Deno.test("gregor version says what it is, in an empty root", async () => {
  using root = new EmptyRoot(await compiled());
  const { code, out, remarks } = await root.run("version", "--format=json");
  assert.deepEqual([code, remarks], [0, ""]);
  const report = JSON.parse(out);
  assert.equal(report.version, VERSION);
  assert.match(report.commit, /^[0-9a-f]{40}\+?$/);
  assert.match(report.built, /^one file, by (launcher|deno compile)$/);
  assert.equal(report.deno, Deno.version.deno);
  assert.equal(report.v8, Deno.version.v8);
  assert.equal(report.ioUring, "usable");
  assert.match(report.kernel, /^Linux \d+\.\d+/);
});

Deno.test("what a person mistypes is answered in an empty root as anywhere", async () => {
  using root = new EmptyRoot(await compiled());
  const { code, out, remarks } = await root.run("strat");
  assert.deepEqual([code, out], [64, ""]);
  assert.match(remarks, /nearest is "start"/);
});

Deno.test("kcat produces to the file in an empty root and consumes, over a SIGKILL", async () => {
  using root = new EmptyRoot(await compiled());
  await using broker = await startIn(root);
  const lines = Array.from({ length: 500 }, (_, at) => `line ${at}`);
  await kcat(broker, ["-P", "-t", "hello", "-X", "acks=all"], lines.join("\n") + "\n");
  assert.deepEqual(await consumed(broker), lines);
  assert.equal((await broker.kill()).signal, "SIGKILL");
  await broker.restart();
  assert.deepEqual(await consumed(broker), lines);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
});

Deno.test(`killed ${KILLS} times under load in an empty root, it keeps all that it acknowledged`, async () => {
  using root = new EmptyRoot(await compiled());
  await using broker = await startIn(root);
  const problems = new Problems();
  const workload = new Workload(new OneBroker(parseAddress(broker.kafka)), 7, problems);
  await workload.start();
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      await pause(1500);
      await broker.kill();
      const startedMs = performance.now();
      await broker.restart();
      console.log(`ready after ${(performance.now() - startedMs).toFixed(0)} ms`);
    }
    await pause(500);
    await workload.verify({ end: true });
  } finally {
    await workload.stop();
  }
  assert.deepEqual(problems.list, [], broker.stderr);
  assert.ok(workload.totals.ackedRecords > 100, JSON.stringify(workload.totals));
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  const check = await checkData(broker.dataDir);
  assert.equal(check.code, 0, check.output);
});

Deno.test("a file that is damaged or cut says so", async () => {
  const binary = await compiled();
  const folder = Deno.makeTempDirSync({ prefix: "gregor-damaged-" });
  try {
    const whole = Deno.readFileSync(binary);
    const path = `${folder}/gregor`;
    const flipped = whole.slice();
    flipped[Math.floor(whole.length / 2)]! ^= 1;
    for (const bytes of [whole.subarray(0, whole.length - 100), flipped]) {
      Deno.writeFileSync(path, bytes, { mode: 0o755 });
      const { code, stdout, stderr } = await new Deno.Command(path, { args: ["version"] }).output();
      assert.deepEqual([code, stdout.length], [71, 0]);
      assert.match(new TextDecoder().decode(stderr), /^gregor: this file is damaged: .*\n$/);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("variables that would change the runtime or the loader change nothing", async () => {
  const { code, stdout, stderr } = await new Deno.Command(await compiled(), {
    args: ["--version"],
    env: {
      LD_PRELOAD: "/nowhere/missing.so",
      LD_LIBRARY_PATH: "/nowhere",
      DENO_V8_FLAGS: "--no-such-flag",
      DENO_DIR: "/nowhere/deno",
      NODE_OPTIONS: "--no-such-option",
      GLIBC_TUNABLES: "glibc.malloc.check=3",
    },
  }).output();
  const decoder = new TextDecoder();
  assert.deepEqual([code, decoder.decode(stdout), decoder.decode(stderr)], [
    0,
    `gregor ${VERSION}\n`,
    "",
  ]);
});

Deno.test("as the first process of a container it obeys SIGTERM", async () => {
  using root = new EmptyRoot(await compiled());
  const { program } = root;
  // The first process of a namespace ignores signals that it has no handler for; its own starter says how it ended.
  const at = program.indexOf("unshare") + 1;
  await using broker = await Broker.start({
    program: [...program.slice(0, at), "--pid", "--fork", ...program.slice(at)],
    dataDir: root.dataDir,
    cores: 1,
  });
  const starter = broker.pid;
  const children = Deno.readTextFileSync(`/proc/${starter}/task/${starter}/children`);
  Deno.kill(Number(children.trim()), "SIGTERM");
  assert.deepEqual(await within(broker.exited, 60_000), { code: 0, signal: null });
  assert.match(broker.stderr, /Stopped\n/);
});

Deno.test("without /proc it says what is missing", async () => {
  using root = new EmptyRoot(await compiled());
  const program = root.program.map((word) => word.replace(/^mount --rbind .*$/m, ""));
  const { code, stderr } = await new Deno.Command(program[0]!, {
    args: [...program.slice(1), "version"],
  }).output();
  assert.equal(code, 71);
  assert.match(
    new TextDecoder().decode(stderr),
    /^gregor: cannot read its own file .* is \/proc mounted\?\n$/,
  );
});

function startIn(root: EmptyRoot): Promise<Broker> {
  return Broker.start({
    program: root.program,
    dataDir: root.dataDir,
    cores: 2,
    flags: [...SMALL_RINGS, "--detached"],
  });
}

async function consumed(broker: Broker): Promise<string[]> {
  const out = await kcat(broker, ["-C", "-t", "hello", "-e", "-q", "-o", "beginning"], "");
  return out.split("\n").filter((line) => line !== "").sort((a, b) => {
    return Number(a.slice(5)) - Number(b.slice(5));
  });
}

/** From outside the root, through loopback. */
async function kcat(broker: Broker, args: readonly string[], input: string): Promise<string> {
  const child = new Deno.Command("kcat", {
    args: ["-b", broker.kafka, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(60_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert.ok(success, `${new TextDecoder().decode(stderr)}\n${broker.stderr}`);
  return new TextDecoder().decode(stdout);
}

Deno.test("a base for deno compile that is none is found out by what it makes", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "gregor-base-" });
  try {
    // The whole of Deno as the base makes a file that behaves as Deno.
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "scripts/compile.ts",
        "--way",
        "deno-compile",
        "--output",
        `${folder}/gregor`,
      ],
      cwd: new URL("../../", import.meta.url),
      env: { DENORT_BIN: Deno.execPath(), NO_COLOR: "1" },
      signal: AbortSignal.timeout(120_000),
    }).output();
    assert.equal(code, 1);
    assert.match(
      new TextDecoder().decode(stderr),
      /^Not by deno compile: what it made does not answer/m,
    );
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
