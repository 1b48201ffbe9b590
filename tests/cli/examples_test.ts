/**
 * Every example of `gregor COMMAND --help` (and so of docs/CLI.md), run as a shell runs it, against a broker.
 *
 * What cannot be as it stands is put right first: the address and directory of another host, the load of a whole
 * machine, and `jq`, which may be missing. A command that waits for ever is interrupted, as a person would. What needs
 * several nodes is run by `tests/cluster`.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { COMMANDS, loadCommand } from "../../src/cli/commands.ts";
import { EXIT_HOST_UNFIT } from "../../src/cli/exit_codes.ts";
import { pause } from "../../src/cli/pause.ts";
import { Broker } from "../harness/broker.ts";
import { leaveOpen } from "./open_transaction.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const EXAMPLE_TIMEOUT_MS = 60_000;
/** How long a command that waits for ever is watched before it is interrupted (ms). */
const WATCHED_MS = 1_000;
/** Records of partition 2 of `orders`, after the offset that an example trims to. */
const RECORDS = 1100;

/** Later examples need what earlier ones made; `start` runs already, and `check` comes last. */
const ORDER = [
  "topic create",
  "topic list",
  "topic describe",
  "produce",
  "consume",
  "group list",
  "group describe",
  "group seek",
  "group delete",
  "cluster info",
  "cluster health",
  "cluster config",
  "bench",
  "topic alter",
  "topic trim",
  "topic delete",
];

/** These need other nodes, or are a cluster themselves. */
const ON_A_CLUSTER = new Set([
  "topic reassign",
  "partition transfer",
  "partition recover",
  "cluster local",
  "cluster maintenance",
  "cluster decommission",
  "cluster recommission",
  "cluster forget",
]);

interface Shell {
  readonly folder: string;
  readonly broker: Broker;
}

async function run({ folder, broker }: Shell, line: string, stdin = ""): Promise<void> {
  const replaced = line
    .replace(/ \| jq .*/, "")
    .replace("10.0.0.1:9092", broker.kafka)
    .replace("/var/lib/gregor", broker.dataDir)
    .replace("--rate 20000 --duration 60s", "--rate 500 --duration 2s");
  const waits = replaced.startsWith("consume ") && !/--count|--until-end/.test(replaced);
  const child = new Deno.Command("bash", {
    args: ["-c", `exec ${Deno.execPath()} run -A --no-lock ${ROOT}main.ts ${replaced}`],
    cwd: folder,
    env: {
      NO_COLOR: "1",
      HOME: folder,
      GREGOR_BROKERS: broker.kafka,
      GREGOR_DATA_DIR: broker.dataDir,
      GREGOR_DURATION: "500ms",
      GREGOR_WARMUP: "0",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(EXAMPLE_TIMEOUT_MS),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  if (waits) {
    await catchesInterrupts(child.pid);
    await pause(WATCHED_MS);
    child.kill("SIGINT");
  }
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  // What this host lacks is no fault of the command.
  if (line.startsWith("doctor ") && code === EXIT_HOST_UNFIT) return;
  assert.equal(code, 0, `gregor ${line}\n${text.decode(stdout)}\n${text.decode(stderr)}`);
}

/** Waits until the command, and not the shell before it, has a handler for Ctrl-C. */
async function catchesInterrupts(pid: number): Promise<void> {
  const interrupt = 1n << 1n;
  for (let waitedMs = 0; waitedMs < EXAMPLE_TIMEOUT_MS; waitedMs += 20) {
    const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
    const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
    if (/^Name:\s*deno/m.test(status) && (caught & interrupt) !== 0n) return;
    await pause(20);
  }
  throw new Error("The command never waited for Ctrl-C");
}

Deno.test("every example of the help works on a broker", async (test) => {
  const names = COMMANDS.map(({ name }) => name)
    .filter((name) => name !== "start" && !ON_A_CLUSTER.has(name));
  await using broker = await Broker.start({ cores: 1, memory: "256MiB" });
  const folder = Deno.makeTempDirSync({ prefix: "gregor-examples-" });
  try {
    const shell = { folder, broker };
    Deno.writeTextFileSync(`${folder}/app.log`, "one\ntwo\n");
    Deno.writeTextFileSync(`${folder}/orders.txt`, "1\n2\n");
    Deno.writeTextFileSync(`${folder}/users.txt`, "1:anna\n2:bert\n");
    const examplesOf = async (name: string): Promise<readonly string[]> => {
      const entry = COMMANDS.find((one) => one.name === name)!;
      return (await loadCommand(entry)).examples.map(({ line }) => line);
    };
    const rest = names.filter((name) => name !== "check" && !ORDER.includes(name));
    for (const name of [...ORDER.slice(0, -1), ...rest, ORDER.at(-1)!]) {
      if (name === "consume") {
        const lines = Array.from({ length: RECORDS }, (_, index) => `${index}\n`);
        await run(shell, "produce orders --partition 2", lines.join(""));
        await run(shell, "produce orders --partition 3", "a\nb\n");
      }
      if (name === "txn list") await run(shell, "topic create payments --partitions 4");
      for (const line of await examplesOf(name)) {
        if (name.startsWith("txn ")) await leaveOpen(broker.kafka, "payments", 3, "payments-1");
        await test.step(line, () => run(shell, line, "typed\n"));
      }
    }
    await broker.stop();
    for (const line of await examplesOf("check")) await test.step(line, () => run(shell, line));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
