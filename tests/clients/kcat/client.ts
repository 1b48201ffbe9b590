/**
 * kcat under the contract of ../README.md: each command is one or more runs of `kcat`.
 *
 * It has no admin API: `create` relies on the topic being made on its first use, with the broker's own
 * number of partitions; `committed` is left to other clients. `produce` runs once per partition, since
 * one run has one; all its records carry the same header and the present as their time.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type Options, Reading, runProgram, say } from "../shared/program.mjs";
import { keyOf, Mismatch, valueOf, verify } from "../shared/records.mjs";
import { type KcatMessage, readMessages } from "./messages.ts";

/** `%K` and `%S` are lengths (-1 = null), so that keys and values may hold any byte. */
const FORMAT = "%p %o %T %K %S %h\\n%k%s\\n";

async function create(options: Options): Promise<Record<string, unknown>> {
  const deadlineMs = Date.now() + 20_000;
  while (Date.now() < deadlineMs) {
    const { stdout } = await kcat(options, ["-L", "-t", options.topic, "-X", AUTO_CREATE]).output();
    const listed = new TextDecoder().decode(stdout);
    if (/with [1-9]\d* partitions/.test(listed) && !/not available/i.test(listed)) return {};
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Mismatch("the topic was not created by its use");
}

const AUTO_CREATE = "allow.auto.create.topics=true";

async function produce(options: Options): Promise<Record<string, unknown>> {
  for (let partition = 0; partition < options.partitions; partition++) {
    const lines: Buffer[] = [];
    for (let i = options.first; i < options.first + options.count; i++) {
      if (i % options.partitions === partition) lines.push(lineOf(options, i));
    }
    const child = kcat(options, [
      "-P",
      // It waits for brokers that are away; what it cannot deliver it still says.
      "-E",
      ...["-t", options.topic, "-p", String(partition), "-z", options.codec],
      ...["-K", "\t", "-D", "\n", "-Z", "-H", "origin=kcat"],
      ...["-X", `acks=${options.acks}`, "-X", `enable.idempotence=${options.acks === "all"}`],
      ...["-X", "message.timeout.ms=60000"],
    ], "piped").spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new Uint8Array(Buffer.concat(lines)));
    await writer.close();
    const { code, stderr } = await child.output();
    const said = new TextDecoder().decode(stderr);
    if (code !== 0 || /delivery failed/i.test(said)) {
      throw new Mismatch(`kcat exit ${code}: ${said}`);
    }
  }
  return { records: options.count };
}

const TAB = Buffer.from("\t");
const NEWLINE = Buffer.from("\n");
const EMPTY = Buffer.alloc(0);

/** kcat's input: an empty key or value is a null one, by `-Z`. */
function lineOf(options: Options, i: number): Buffer {
  return Buffer.concat([keyOf(i) ?? EMPTY, TAB, valueOf(options.seed, i) ?? EMPTY, NEWLINE]);
}

async function consume(options: Options): Promise<Record<string, unknown>> {
  const reading = new Reading(options);
  const work = (async () => {
    for (let partition = 0; partition < options.partitions; partition++) {
      await readPartition(options, partition, reading);
    }
  })();
  await Promise.race([reading.done.then(() => work), work.then(() => reading.done)]);
  return { records: reading.read };
}

/** Reads to the end that the broker has now: records too many are found as well as missing ones. */
async function readPartition(options: Options, partition: number, reading: Reading): Promise<void> {
  const wanted = reading.wanted[partition]!;
  const child = kcat(options, [
    "-C",
    ...["-t", options.topic, "-p", String(partition), "-o", "beginning", "-e", "-f", FORMAT],
    ...["-X", "check.crcs=true", "-X", "fetch.wait.max.ms=100"],
  ]).spawn();
  let last = -1;
  for await (const message of readMessages(child.stdout)) {
    reading.take(message.partition, message.offset, recordOf(message));
    last = message.offset;
  }
  const { code, signal } = await child.status;
  if (code !== 0) throw new Mismatch(`kcat exit ${code} ${signal}`);
  if (last + 1 !== wanted) {
    throw new Mismatch(`partition ${partition} ends at ${last + 1}, not ${wanted}`);
  }
}

function recordOf(
  { key, value, headers, timestampMs }: KcatMessage,
): Parameters<Reading["take"]>[2] {
  return { key, value, headers, timestampMs };
}

async function roundtrip(options: Options): Promise<Record<string, unknown>> {
  await create(options);
  await produce(options);
  return await consume({ ...options, shape: "plain" });
}

async function member(options: Options): Promise<Record<string, unknown>> {
  const child = kcat(options, [
    "-G",
    options.group,
    ...["-u", "-f", FORMAT],
    ...["-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=200"],
    ...["-X", `session.timeout.ms=${options.sessionMs}`],
    ...["-X", `heartbeat.interval.ms=${Math.floor(options.sessionMs / 6)}`],
    ...["-X", "fetch.wait.max.ms=100"],
    options.topic,
  ]).spawn();
  Deno.addSignalListener("SIGTERM", () => child.kill("SIGTERM"));
  const assignments = reportAssignments(child.stderr);
  for await (const message of readMessages(child.stdout)) {
    verify(options, message.partition, message.offset, recordOf(message));
    const { partition, offset } = message;
    say({ event: "processed", partition, from: offset, to: offset + 1 });
  }
  await assignments;
  const { code } = await child.status;
  if (code !== 0) throw new Mismatch(`kcat exit ${code}`);
  return {};
}

/** kcat says `% Group NAME rebalanced (memberid ID): assigned: TOPIC [0], TOPIC [1]` on stderr. */
async function reportAssignments(stderr: ReadableStream<Uint8Array>): Promise<void> {
  let rest = "";
  for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      console.error(line);
      const change = /rebalanced.*?: (assigned|revoked): (.*)/.exec(line);
      if (change === null) continue;
      const named = [...change[2]!.matchAll(/\[(\d+)\]/g)].map(([, number]) => Number(number));
      say({ event: "assigned", partitions: change[1] === "assigned" ? named : [] });
    }
  }
}

function kcat(
  options: Options,
  args: readonly string[],
  stdin: "null" | "piped" = "null",
): Deno.Command {
  const stderr = args[0] === "-C" ? "inherit" : "piped";
  return new Deno.Command("kcat", {
    args: ["-b", options.brokers, "-q", ...args].filter((arg) => arg !== "-q" || args[0] === "-C"),
    stdin,
    stdout: "piped",
    stderr,
  });
}

await runProgram({ create, produce, consume, roundtrip, member });
