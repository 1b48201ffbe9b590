/**
 * Every client's round trip against the one file in an empty root, and a cluster that the file makes of itself.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { cell } from "../clients/chosen.ts";
import { CLIENTS, CODECS, flags } from "../clients/clients.ts";
import { Broker, parseReadyLine, within } from "../harness/broker.ts";
import { freePortRow } from "../harness/free_ports.ts";
import { runProgram } from "../harness/program.ts";
import { compiled, EmptyRoot } from "./compiled.ts";

const RECORDS = 1000;
const ROUND_TRIP_MS = 120_000;
const READY_MS = 90_000;
const STOP_MS = 60_000;
const NODES = 3;
/** Old enough to differ from the present, young enough for any retention. */
const BASE_MS = Date.now() - 3_600_000;

CLIENTS.forEach((client, index) => {
  const codec = CODECS[index % CODECS.length]!;
  cell(`the file in an empty root: ${client.name} round trip, ${codec}`, [client], async () => {
    using root = new EmptyRoot(await compiled());
    await using broker = await Broker.start({
      program: root.program,
      dataDir: root.dataDir,
      flags: ["--detached"],
    });
    const topic = `roundtrip-${client.name}`;
    const partitions = client.hasAdmin ? 3 : 1;
    const brokers = broker.kafka;
    await runProgram([
      ...client.program(codec),
      "roundtrip",
      ...flags({ brokers, topic, partitions, count: RECORDS, codec, acks: "all", baseMs: BASE_MS }),
    ], ROUND_TRIP_MS);
    assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  });
});

Deno.test("gregor cluster local starts brokers by starting the file again", async () => {
  const binary = await compiled();
  const folder = Deno.makeTempDirSync({ prefix: "gregor-binary-cluster-" });
  const port = freePortRow(NODES * 3);
  const child = new Deno.Command(binary, {
    args: [
      "cluster",
      "local",
      `--nodes=${NODES}`,
      `--data-dir=${folder}`,
      `--kafka-port=${port}`,
      `--rpc-port=${port + NODES}`,
      `--admin-port=${port + NODES * 2}`,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  try {
    let out = "";
    let remarks = "";
    const reading = Promise.all([
      read(child.stdout, (text) => out += text),
      read(child.stderr, (text) => remarks += text),
    ]);
    const deadlineMs = performance.now() + READY_MS;
    while (!out.includes("bootstrap ")) {
      const ended = await within(child.status, 50);
      assert.ok(ended === null && performance.now() < deadlineMs, out + remarks);
    }
    const ready = out.split("\n").map(parseReadyLine).filter((line) => line !== null);
    assert.equal(ready.length, NODES);
    for (let node = 0; node < NODES; node++) {
      const pid = Deno.readTextFileSync(`${folder}/node-${node}/gregor.lock`).trim();
      assert.equal(Deno.readLinkSync(`/proc/${pid}/exe`), Deno.realPathSync(binary));
      const words = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      assert.deepEqual(words.slice(1, 4), ["start", "--mode=dev", `--node-id=${node}`]);
    }
    Deno.kill(child.pid, "SIGINT");
    const ended = await within(child.status, STOP_MS);
    assert.equal(ended?.code, 0, remarks);
    await reading;
  } finally {
    if (!hasEnded) Deno.kill(-child.pid, "SIGKILL");
    Deno.removeSync(folder, { recursive: true });
  }
});

async function read(
  stream: ReadableStream<Uint8Array>,
  take: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
}
