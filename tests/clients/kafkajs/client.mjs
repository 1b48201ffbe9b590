/**
 * kafkajs under the contract of ../README.md.
 *
 * It has no consumer without a group, so `consume` is the only member of a group of its own.
 *
 * @module
 */

import process from "node:process";
import zlib from "node:zlib";
import kafkajs from "kafkajs";
import SnappyCodec from "kafkajs-snappy";
import { compressFrame, decompressFrame } from "lz4-napi";
import { administrate } from "./administration.mjs";
import { transact } from "./transaction.mjs";
import { headersOf, keyOf, Mismatch, timestampOf, valueOf, verify } from "../shared/records.mjs";
import { bounded, Reading, runProgram, say, untilTerminated } from "../shared/program.mjs";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec.default ?? SnappyCodec;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => compressFrame(encoder.buffer),
  decompress: (buffer) => decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: (encoder) => Promise.resolve(zlib.zstdCompressSync(encoder.buffer)),
  decompress: (buffer) => Promise.resolve(zlib.zstdDecompressSync(buffer)),
});

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};
const ACKS = { all: -1, 1: 1, 0: 0 };
const SEND_RECORDS = 2000;
/**
 * kafkajs gives an attempt to connect up after a second by default, also where this process alone was not given the CPU
 * for that long. The late events of such a socket then end the next one, with the requests that are on their way.
 */
const CONNECT_MS = 20_000;
/** A member whose request was lost in this way holds its group up for as long. */
const SESSION_MS = 6_000;

function kafkaOf(options) {
  return new Kafka({
    clientId: "gregor-tests",
    brokers: [options.brokers],
    connectionTimeout: CONNECT_MS,
    logLevel: logLevel.NOTHING,
  });
}

async function withAdmin(options, work) {
  const admin = kafkaOf(options).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function create(options) {
  const topic = {
    topic: options.topic,
    numPartitions: options.partitions,
    replicationFactor: -1,
  };
  const made = await withAdmin(
    options,
    (admin) => admin.createTopics({ topics: [topic], waitForLeaders: true }),
  );
  if (!made) throw new Mismatch("the topic exists already");
  return {};
}

async function produce(options) {
  const all = options.acks === "all";
  const producer = kafkaOf(options).producer({
    idempotent: all,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const end = options.first + options.count;
  for (let first = options.first; first < end; first += SEND_RECORDS) {
    const messages = [];
    for (let i = first; i < Math.min(first + SEND_RECORDS, end); i++) {
      messages.push(messageOf(options, i));
    }
    await producer.send({
      topic: options.topic,
      acks: ACKS[options.acks],
      compression: CODECS[options.codec],
      messages,
    });
  }
  await producer.disconnect();
  return { records: options.count };
}

function messageOf(options, i) {
  return {
    partition: i % options.partitions,
    key: keyOf(i),
    value: valueOf(options.seed, i),
    headers: Object.fromEntries(headersOf(i)),
    timestamp: String(timestampOf(options.baseMs, i)),
  };
}

function recordOf({ key, value, headers, timestamp }) {
  return {
    key,
    value,
    headers: Object.entries(headers),
    timestampMs: Number(timestamp),
  };
}

async function consume(options) {
  const reading = new Reading(options);
  const consumer = kafkaOf(options).consumer({
    groupId: `${options.topic}-${process.pid}-alone`,
    sessionTimeout: SESSION_MS,
    heartbeatInterval: SESSION_MS / 6,
    rebalanceTimeout: SESSION_MS,
    maxWaitTimeInMs: 200,
  });
  consumer.on(
    consumer.events.CRASH,
    ({ payload }) => reading.fail(payload.error),
  );
  await consumer.connect();
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      for (const message of batch.messages) {
        reading.take(
          batch.partition,
          Number(message.offset),
          recordOf(message),
        );
      }
      return Promise.resolve();
    },
  });
  say({ event: "joined" });
  await reading.done;
  say({ event: "read" });
  reading.checkEnds(
    await withAdmin(options, (admin) => endsOf(options, admin)),
  );
  await consumer.disconnect();
  return { records: reading.read };
}

async function endsOf(options, admin) {
  const ends = new Array(options.partitions).fill(-1);
  for (
    const { partition, high } of await admin.fetchTopicOffsets(options.topic)
  ) {
    ends[partition] = Number(high);
  }
  return ends;
}

async function roundtrip(options) {
  await create(options);
  say({ event: "created" });
  await produce(options);
  say({ event: "produced" });
  return await consume(options);
}

async function member(options) {
  const consumer = kafkaOf(options).consumer({
    groupId: options.group,
    sessionTimeout: options.sessionMs,
    heartbeatInterval: Math.floor(options.sessionMs / 6),
    rebalanceTimeout: options.sessionMs,
    maxWaitTimeInMs: 200,
  });
  const crashed = new Promise((_resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) reject(payload.error);
    });
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    say({
      event: "assigned",
      partitions: payload.memberAssignment[options.topic] ?? [],
    });
  });
  const stopped = untilTerminated();
  await consumer.connect();
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat }) => {
      const { topic, partition, messages } = batch;
      const from = Number(messages[0].offset);
      messages.forEach((message, at) => {
        if (Number(message.offset) !== from + at) {
          throw new Mismatch("offsets are not contiguous");
        }
        verify(options, partition, from + at, recordOf(message));
      });
      const to = from + messages.length;
      say({ event: "processed", partition, from, to });
      await consumer.commitOffsets([{ topic, partition, offset: String(to) }]);
      await heartbeat();
    },
  });
  await Promise.race([stopped, crashed]);
  await bounded(consumer.disconnect(), 10_000);
  return {};
}

async function committed(options) {
  return await withAdmin(options, async (admin) => {
    const offsets = new Array(options.partitions).fill(-1);
    const [topic] = await admin.fetchOffsets({
      groupId: options.group,
      topics: [options.topic],
    });
    for (const { partition, offset } of topic.partitions) {
      offsets[partition] = Number(offset);
    }
    return { committed: offsets, end: await endsOf(options, admin) };
  });
}

async function admin(options) {
  await create(options);
  await produce(options);
  say({ event: "produced" });
  return await withAdmin(
    options,
    (connected) => administrate(options, connected),
  );
}

async function transaction(options) {
  await create(options);
  const messages = Array.from(
    { length: options.count },
    (_, i) => messageOf(options, i),
  );
  return await transact(options, kafkaOf(options), messages);
}

await runProgram({
  create,
  produce,
  consume,
  roundtrip,
  member,
  committed,
  admin,
  transaction,
});
