/**
 * `deno task cluster`, run as a person runs it: three brokers, kcat in and out, one Ctrl-C, the same folder again.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { parseReadyLine, within } from "../harness/broker.ts";
import { freePortRow } from "../harness/free_ports.ts";
import { run } from "../harness/program_output.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const READY_MS = 90_000;
const STOP_MS = 60_000;
const RUN_MS = 60_000;
const NODES = 3;

const hasKcat = new Deno.Command("bash", { args: ["-c", "command -v kcat"] }).outputSync().success;
const mayBeSkipped = Deno.env.get("CI") !== "true";

/** The task and its brokers, as one person's terminal has them. */
class Task {
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<Deno.CommandStatus>;
  out = "";
  remarks = "";

  constructor(flags: readonly string[]) {
    // The shell's own process group is the terminal's foreground: Ctrl-C reaches all of it.
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["task", "cluster", ...flags],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    const read = async (
      stream: ReadableStream<Uint8Array>,
      take: (text: string) => void,
    ): Promise<void> => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
    };
    const output = Promise.all([
      read(this.#child.stdout, (text) => this.out += text),
      read(this.#child.stderr, (text) => this.remarks += text),
    ]);
    this.#ended = this.#child.status.then(async (status) => {
      await output;
      return status;
    });
  }

  /** Until `out` or `remarks` say it. */
  async says(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      // Of one that has ended, all that it wrote was read.
      const hasEnded = await within(this.#ended, 50) !== null;
      const found = pattern.exec(this.out) ?? pattern.exec(this.remarks);
      if (found !== null) return found;
      const isLate = performance.now() > deadlineMs;
      assert.ok(!hasEnded && !isLate, `never says ${pattern}\n${this.out}\n${this.remarks}`);
    }
  }

  /** Ctrl-C, then the exit code. */
  async interrupt(): Promise<number> {
    Deno.kill(-this.#child.pid, "SIGINT");
    const status = await within(this.#ended, STOP_MS);
    assert.ok(status !== null, `still there after ${STOP_MS} ms\n${this.remarks}`);
    return status.code;
  }

  /** Ends it, whatever it does. */
  async dispose(): Promise<void> {
    try {
      // Its brokers notice, and stop.
      Deno.kill(-this.#child.pid, "SIGKILL");
    } catch (error) {
      if (
        !(error instanceof Deno.errors.NotFound) && (error as { code?: string }).code !== "ESRCH"
      ) {
        throw error;
      }
    }
    await within(this.#ended, STOP_MS);
  }
}

function isAlive(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

function brokerPids(dataDir: string): number[] {
  return Array.from(
    { length: NODES },
    (_, node) => Number(Deno.readTextFileSync(`${dataDir}/node-${node}/gregor.lock`).trim()),
  );
}

Deno.test({
  name: `one command runs three brokers, one Ctrl-C ends them, and the folder keeps what they held${
    hasKcat ? "" : " (kcat is not installed)"
  }`,
  ignore: !hasKcat && mayBeSkipped,
  fn: async () => {
    const folder = Deno.makeTempDirSync({ prefix: "gregor-cluster-" });
    const dataDir = `${folder}/data`;
    const flags = [
      `--data-dir=${dataDir}`,
      `--kafka-port=${freePortRow(NODES)}`,
      `--rpc-port=${freePortRow(NODES)}`,
      `--admin-port=${freePortRow(NODES)}`,
      "--start-flag=--cores=1",
    ];
    const records = Array.from({ length: 500 }, (_, i) => `record ${i}`);
    let task = new Task(flags);
    try {
      const [, bootstrap] = await task.says(/^bootstrap (\S+)$/m, READY_MS);
      const ready = task.out.split("\n").flatMap((line) => parseReadyLine(line) ?? []);
      assert.deepEqual(ready.map(({ fields }) => fields["node"]).sort(), ["0", "1", "2"]);
      assert.deepEqual(ready.map(({ kafka }) => kafka).sort(), bootstrap!.split(",").sort());
      const produced = await run(
        ["kcat", "-P", "-b", bootstrap!, "-t", "greetings", "-p", "0", "-X", "acks=all"],
        records.join("\n"),
      );
      assert.equal(produced.code, 0, `${produced.stderr}\n${task.remarks}`);
      const described = await run(["kcat", "-L", "-J", "-b", bootstrap!, "-t", "greetings"]);
      const [topic] = JSON.parse(described.stdout).topics;
      assert.equal(topic.partitions[0].replicas.length, NODES);
      const read = ["kcat", "-C", "-e", "-q", "-b", bootstrap!, "-t", "greetings", "-p", "0"];
      assert.deepEqual((await run(read)).stdout.trimEnd().split("\n"), records);

      const pids = brokerPids(dataDir);
      assert.equal(await task.interrupt(), 0, task.remarks);
      assert.deepEqual(pids.filter(isAlive), [], "brokers that are left");
      // The last one first, each after the one before it had ended.
      const stops = [...task.remarks.matchAll(/^node (\d) \| .*(Stopping why|Stopped)/gm)];
      assert.deepEqual(
        stops.map(([, node, what]) => `${node} ${what}`),
        ["2", "1", "0"].flatMap((node) => [`${node} Stopping why`, `${node} Stopped`]),
        task.remarks,
      );

      task = new Task(flags);
      await task.says(/^bootstrap (\S+)$/m, READY_MS);
      assert.deepEqual((await run(read)).stdout.trimEnd().split("\n"), records);

      // A broker that dies is missed; the others serve on.
      const [, doomed] = brokerPids(dataDir);
      Deno.kill(doomed!, "SIGKILL");
      const [told] = await task.says(/^Node 1 .*\n.*\n.*$/m, RUN_MS);
      assert.match(
        told,
        new RegExp(
          `^Node 1 \\(pid ${doomed}\\) has ended: killed by SIGKILL\\. The other 2 go on\\.`,
        ),
      );
      assert.match(told, /gregor start --mode=dev --node-id=1 .*--seeds=/);
      const more = await run(
        ["kcat", "-P", "-b", bootstrap!, "-t", "greetings", "-p", "0", "-X", "acks=all"],
        "one more",
      );
      assert.equal(more.code, 0, `${more.stderr}\n${task.remarks}`);
      assert.deepEqual((await run(read)).stdout.trimEnd().split("\n"), [...records, "one more"]);
      assert.equal(await task.interrupt(), 1, "one of them was missing");

      // Everybody has moved: they find each other by the seeds of today.
      const moved = flags.map((flag) =>
        /-port=/.test(flag) ? flag.replace(/\d+$/, `${freePortRow(NODES)}`) : flag
      );
      task = new Task(moved);
      const [, elsewhere] = await task.says(/^bootstrap (\S+)$/m, READY_MS);
      assert.notEqual(elsewhere, bootstrap);
      const there = read.map((word) => word === bootstrap ? elsewhere! : word);
      assert.deepEqual((await run(there)).stdout.trimEnd().split("\n"), [...records, "one more"]);
      assert.equal(await task.interrupt(), 0, task.remarks);

      const other = new Task([...flags, "--nodes=2"]);
      await other.says(/holds a cluster of 3 nodes, not of 2[^]*Say --nodes 3/, RUN_MS);
      await other.dispose();
    } finally {
      await task.dispose();
      Deno.removeSync(folder, { recursive: true });
    }
  },
});

Deno.test("brokers whose task was killed end by themselves", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "gregor-cluster-" });
  const task = new Task([
    `--data-dir=${folder}`,
    `--kafka-port=${freePortRow(1)}`,
    `--rpc-port=${freePortRow(1)}`,
    `--admin-port=${freePortRow(1)}`,
    "--nodes=1",
    "--start-flag=--cores=1",
  ]);
  try {
    await task.says(/^bootstrap (\S+)$/m, READY_MS);
    const pid = Number(Deno.readTextFileSync(`${folder}/node-0/gregor.lock`).trim());
    await task.dispose();
    const deadlineMs = performance.now() + STOP_MS;
    while (isAlive(pid)) {
      assert.ok(performance.now() < deadlineMs, "the broker outlives its task");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    await task.dispose();
    Deno.removeSync(folder, { recursive: true });
  }
});
