/**
 * @platformatic/kafka under the contract of ../README.md.
 *
 * It has no consumer without a group, so `consume` is the only member of a group of its own.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import process from "node:process";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { administrate } from "./administration.mjs";
import { headersOf, keyOf, Mismatch, timestampOf, valueOf, verify } from "../shared/records.mjs";
import { bounded, Reading, runProgram, say, untilTerminated } from "../shared/program.mjs";

const ACKS = { all: -1, 1: 1, 0: 0 };
const SEND_RECORDS = 2000;
const RUN_RECORDS_MAX = 500;

function base(options) {
  return { clientId: "gregor-tests", bootstrapBrokers: [options.brokers] };
}

async function create(options) {
  const admin = new Admin(base(options));
  await admin.createTopics({
    topics: [options.topic],
    partitions: options.partitions,
    replicas: -1,
  });
  await admin.close();
  return {};
}

async function produce(options) {
  const producer = new Producer({
    ...base(options),
    idempotent: options.acks === "all",
    acks: ACKS[options.acks],
    compression: options.codec,
  });
  const end = options.first + options.count;
  for (let first = options.first; first < end; first += SEND_RECORDS) {
    const messages = [];
    for (let i = first; i < Math.min(first + SEND_RECORDS, end); i++) {
      messages.push(messageOf(options, i));
    }
    await producer.send({ messages });
  }
  await producer.close();
  return { records: options.count };
}

function messageOf(options, i) {
  return {
    topic: options.topic,
    partition: i % options.partitions,
    key: keyOf(i),
    value: valueOf(options.seed, i),
    headers: new Map(headersOf(i).map(([name, value]) => [Buffer.from(name), value])),
    timestamp: BigInt(timestampOf(options.baseMs, i)),
  };
}

function recordOf({ key, value, headers, timestamp }) {
  return {
    key: key ?? null,
    value: value ?? null,
    headers: [...headers].map(([name, bytes]) => [String(name), bytes]),
    timestampMs: Number(timestamp),
  };
}

async function consume(options) {
  const reading = new Reading(options);
  const consumer = new Consumer({
    ...base(options),
    groupId: `${options.topic}-${process.pid}-alone`,
    autocommit: false,
    maxWaitTime: 200,
  });
  const stream = await consumer.consume({ topics: [options.topic], mode: "earliest" });
  stream.on("error", (error) => reading.fail(error));
  stream.on("data", (message) => {
    reading.take(message.partition, Number(message.offset), recordOf(message));
  });
  await reading.done;
  reading.checkEnds(await endsOf(options, consumer));
  await bounded(consumer.close(true), 10_000);
  return { records: reading.read };
}

async function endsOf(options, consumer) {
  const offsets = await consumer.listOffsets({ topics: [options.topic] });
  return offsets.get(options.topic).map(Number);
}

async function roundtrip(options) {
  await create(options);
  await produce(options);
  return await consume(options);
}

async function member(options) {
  const consumer = new Consumer({
    ...base(options),
    groupId: options.group,
    autocommit: false,
    maxWaitTime: 200,
    ...(options.protocol === "consumer" ? { groupProtocol: "consumer" } : {
      sessionTimeout: options.sessionMs,
      heartbeatInterval: Math.floor(options.sessionMs / 6),
      rebalanceTimeout: options.sessionMs,
    }),
  });
  reportAssignments(options, consumer);
  const stopped = untilTerminated();
  const stream = await consumer.consume({
    topics: [options.topic],
    mode: "committed",
    fallbackMode: "earliest",
  });
  const ended = (async () => {
    /** @type {import("@platformatic/kafka").Message[]} */
    let run = [];
    for await (const message of stream) {
      run.push(message);
      if (stream.readableLength > 0 && run.length < RUN_RECORDS_MAX) continue;
      await processRun(options, run);
      run = [];
    }
  })();
  await Promise.race([stopped, ended]);
  await bounded(consumer.close(true), 10_000);
  return {};
}

/** Looks at the assignment now and then: with the new protocol, no event tells of its changes. */
function reportAssignments({ topic }, consumer) {
  let reported = "";
  setInterval(() => {
    const own = consumer.assignments?.find((assignment) => assignment.topic === topic);
    const partitions = own?.partitions ?? [];
    if (String(partitions) === reported) return;
    reported = String(partitions);
    say({ event: "assigned", partitions });
  }, 50);
}

/** Verifies and reports a run of records, then commits the last one of each partition. */
async function processRun(options, run) {
  const spans = new Map();
  for (const message of run) {
    const { partition } = message;
    const offset = Number(message.offset);
    verify(options, partition, offset, recordOf(message));
    const span = spans.get(partition) ?? { from: offset, to: offset };
    if (span.to !== offset) {
      throw new Mismatch(`partition ${partition}: ${offset} after ${span.to - 1}`);
    }
    spans.set(partition, { from: span.from, to: offset + 1, last: message });
  }
  for (const [partition, { from, to, last }] of spans) {
    say({ event: "processed", partition, from, to });
    await last.commit();
  }
}

async function committed(options) {
  const consumer = new Consumer({ ...base(options), groupId: options.group });
  const partitions = Array.from({ length: options.partitions }, (_, p) => p);
  const offsets = await consumer.listCommittedOffsets({
    topics: [{ topic: options.topic, partitions }],
  });
  const end = await endsOf(options, consumer);
  await consumer.close(true);
  return { committed: offsets.get(options.topic).map(Number), end };
}

async function admin(options) {
  await create(options);
  await produce(options);
  const connected = new Admin(base(options));
  const result = await administrate(options, connected);
  await connected.close();
  return result;
}

await runProgram({ create, produce, consume, roundtrip, member, committed, admin });
