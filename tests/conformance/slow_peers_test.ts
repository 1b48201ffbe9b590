/**
 * Peers that take or give bytes slowly, and a kernel that moves fewer than it was asked for: every byte
 * arrives once and in its place, and no peer is worth a thread.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { API_VERSIONS, CREATE_TOPICS, FETCH, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newApiVersionsRequest } from "../../src/wire/generated/api_versions_request.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { encodeRequestFrame } from "../../src/wire/header.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { FaultyBroker } from "../crash/faulty_broker.ts";
import { parseAddress, pause } from "../crash/link.ts";
import { Broker, within } from "../harness/broker.ts";
import { PlainSocket } from "../harness/plain_socket.ts";
import { produceRequest, topicRequest } from "../sim/sim_requests.ts";

/** The last versions of Produce and Fetch in which topics go by name. */
const PRODUCE_NAMES = 12;
const FETCH_NAMES = 12;
const TOPIC = "bytes";
const MIB = 2 ** 20;
const TIMEOUT_MS = 60_000;
const THREAD_LIMITS = "/sys/fs/cgroup/pids";

/** A batch of one record whose bytes encode their place. */
function batch(seed: number, valueBytes: number): Uint8Array {
  const value = new Uint8Array(valueBytes);
  for (let i = 0; i < valueBytes; i++) value[i] = (i * 31 + (i >> 8) + seed) & 0xff;
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value, timestamp: 1_700_000_000_000 + seed });
  return builder.build();
}

async function fill(broker: Broker, batches: readonly Uint8Array[]): Promise<void> {
  const connection = await Connection.open(parseAddress(broker.kafka), { timeoutMs: TIMEOUT_MS });
  try {
    const created = await connection.call(CREATE_TOPICS, topicRequest(TOPIC, 1));
    assert.equal(created.topics[0]!.errorCode, ErrorCode.NONE);
    for (const records of batches) {
      const request = produceRequest(TOPIC, 0, records);
      const response = await connection.call(PRODUCE, request, { maxVersion: PRODUCE_NAMES });
      assert.equal(response.responses[0]!.partitionResponses[0]!.errorCode, ErrorCode.NONE);
    }
  } finally {
    connection.close();
  }
}

/** A fetch of everything, and a later request whose answer must follow at the right byte. */
function requests(): Uint8Array {
  const fetch = newFetchRequest({
    maxWaitMs: 0,
    maxBytes: 100 * MIB,
    topics: [newFetchTopic({
      topic: TOPIC,
      partitions: [newFetchPartition({ partition: 0, partitionMaxBytes: 100 * MIB })],
    })],
  });
  const first = encodeRequestFrame(FETCH, FETCH_NAMES, 1, "slow", fetch);
  const second = encodeRequestFrame(API_VERSIONS, 3, 2, "slow", newApiVersionsRequest());
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Reads two frames, at most `pieceBytes` at a time with `pauseMs` between. */
async function readFrames(socket: PlainSocket, pieceBytes: number, pauseMs: number) {
  let bytes = new Uint8Array(MIB);
  let length = 0;
  const frames: Uint8Array[] = [];
  let from = 0;
  while (frames.length < 2) {
    const piece = await socket.read(pieceBytes);
    assert(piece.length > 0, `the broker ended the connection after ${length} bytes`);
    if (length + piece.length > bytes.length) {
      const larger = new Uint8Array(2 * (length + piece.length));
      larger.set(bytes.subarray(0, length));
      bytes = larger;
    }
    bytes.set(piece, length);
    length += piece.length;
    while (frames.length < 2 && length - from >= 4) {
      const size = new DataView(bytes.buffer).getInt32(from, false);
      assert(
        size > 0 && size < 100 * MIB,
        `a frame of ${size} bytes at ${from}: bytes are missing`,
      );
      if (length - from < 4 + size) break;
      frames.push(bytes.slice(from, from + 4 + size));
      from += 4 + size;
    }
    if (pauseMs > 0) await pause(pauseMs);
  }
  assert.equal(from, length, "nothing follows the last frame");
  return frames;
}

async function readQuickly(broker: Broker): Promise<Uint8Array[]> {
  using socket = await PlainSocket.connect(broker.kafka);
  await socket.write(requests());
  return await readFrames(socket, MIB, 0);
}

function assertSame(slow: readonly Uint8Array[], quick: readonly Uint8Array[]): void {
  assert.deepEqual(slow.map(({ length }) => length), quick.map(({ length }) => length));
  slow.forEach((frame, at) => assert.equal(Buffer.compare(frame, quick[at]!), 0, `frame ${at}`));
}

Deno.test("a slow reader of a large answer gets every byte, however often the broker is stopped", async () => {
  await using broker = await Broker.start({ cores: 1 });
  await fill(broker, Array.from({ length: 8 }, (_, i) => batch(i, 900_000)));
  const quick = await readQuickly(broker);
  using socket = await PlainSocket.connect(broker.kafka, { segmentBytes: 536, receiveBytes: 4096 });
  await socket.write(requests());
  let done = false;
  const stops = (async () => {
    let count = 0;
    for (; !done; count++) {
      broker.send("SIGSTOP");
      await pause(5);
      broker.send("SIGCONT");
      await pause(40);
    }
    return count;
  })();
  try {
    const slow = await within(readFrames(socket, 4096, 1), TIMEOUT_MS);
    assert(slow !== null, "the answer does not end");
    assertSame(slow, quick);
  } finally {
    done = true;
    await stops;
  }
});

Deno.test("sends and receives that end short are gone on with, in both directions", async () => {
  await using faulty = await FaultyBroker.start({ cores: 1 });
  const { broker } = faulty;
  const batches = Array.from({ length: 4 }, (_, i) => batch(i, 700_000 + i));
  const ops = ["Send", "SendVector", "RecvInto"];
  await faulty.order([{ ops, short: true }]);
  await fill(broker, batches);
  const cut = await readQuickly(broker);
  await faulty.order([]);
  const whole = await readQuickly(broker);
  assertSame(cut, whole);
  for (const bytes of batches) {
    // Behind the base offset, length and leader epoch, which the broker writes.
    const sent = Buffer.from(bytes.subarray(16));
    assert(Buffer.from(whole[0]!).includes(sent), "the records are those that were produced");
  }
});

Deno.test("slow senders cost no threads, and their frames arrive whole", async () => {
  const connections = 200;
  const pieces = 150;
  await using broker = await Broker.start({ cores: 1 });
  // One that is too large for a receive buffer's rest: it gets a block, byte by byte.
  const request = newApiVersionsRequest({ clientSoftwareName: "s".repeat(4000) });
  const frame = encodeRequestFrame(API_VERSIONS, 3, 7, "slow", request);
  const { hostname, port } = hostOf(broker.kafka);
  const open = await Promise.all(
    Array.from({ length: connections }, () => Deno.connect({ hostname, port })),
  );
  try {
    for (const connection of open) connection.setNoDelay();
    let threadsMax = 0;
    for (let at = 0; at < pieces; at++) {
      await Promise.all(open.map((connection) => connection.write(frame.subarray(at, at + 1))));
      await pause(1);
      threadsMax = Math.max(threadsMax, threadsOf(broker.pid));
    }
    assert(threadsMax < 40, `${threadsMax} threads`);
    const rest = frame.subarray(pieces);
    await Promise.all(open.map((connection) => connection.write(rest)));
    const answered = await within(Promise.all(open.map(correlationIdOf)), TIMEOUT_MS);
    assert(answered !== null && answered.every((id) => id === 7), "every frame is answered");
  } finally {
    for (const connection of open) connection.close();
  }
});

Deno.test({
  name: "where threads are limited, slow senders neither stop the disk nor end the broker",
  ignore: !canLimitThreads(),
  fn: async () => {
    await using broker = await Broker.start({ cores: 1 });
    using limit = new ThreadLimit(broker.pid, 20);
    const request = newApiVersionsRequest({ clientSoftwareName: "s".repeat(4000) });
    const frame = encodeRequestFrame(API_VERSIONS, 3, 7, "slow", request);
    const { hostname, port } = hostOf(broker.kafka);
    const open = await Promise.all(
      Array.from({ length: 100 }, () => Deno.connect({ hostname, port })),
    );
    try {
      for (const connection of open) connection.setNoDelay();
      for (let at = 0; at < 200; at++) {
        await Promise.all(open.map((connection) => connection.write(frame.subarray(at, at + 1))));
        await pause(1);
      }
      await fill(broker, [batch(1, 1000)]);
      assert.equal(limit.refusals, 0, "nobody asked for a thread in vain");
    } finally {
      for (const connection of open) connection.close();
    }
    assert.deepEqual(await broker.stop(), { code: 0, signal: null }, broker.stderr);
  },
});

/** A control group that lets a process have `more` threads than it has now. */
class ThreadLimit implements Disposable {
  readonly #path: string;

  constructor(pid: number, more: number) {
    this.#path = `${THREAD_LIMITS}/gregor-test-${pid}`;
    Deno.mkdirSync(this.#path);
    Deno.writeTextFileSync(`${this.#path}/cgroup.procs`, String(pid));
    Deno.writeTextFileSync(`${this.#path}/pids.max`, String(threadsOf(pid) + more));
  }

  /** Threads that could not be made. */
  get refusals(): number {
    return Number(Deno.readTextFileSync(`${this.#path}/pids.events`).split(" ")[1]);
  }

  [Symbol.dispose](): void {
    // The process may be there still: its group cannot go before it.
    for (const pid of Deno.readTextFileSync(`${this.#path}/cgroup.procs`).split("\n")) {
      if (pid !== "") Deno.writeTextFileSync(`${THREAD_LIMITS}/cgroup.procs`, pid);
    }
    Deno.removeSync(this.#path);
  }
}

/** Whether this is root on a host with control groups of its own (version 1 of them). */
function canLimitThreads(): boolean {
  const probe = `${THREAD_LIMITS}/gregor-test-probe`;
  try {
    Deno.mkdirSync(probe);
    Deno.removeSync(probe);
    return true;
  } catch {
    return false;
  }
}

function hostOf(address: string): { readonly hostname: string; readonly port: number } {
  const { host, port } = parseAddress(address);
  return { hostname: host, port };
}

function threadsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].length;
}

async function correlationIdOf(connection: Deno.Conn): Promise<number> {
  const bytes = new Uint8Array(64 * 1024);
  let length = 0;
  while (length < 8) {
    const read = await connection.read(bytes.subarray(length));
    assert(read !== null, "the broker ended the connection");
    length += read;
  }
  return new DataView(bytes.buffer).getInt32(4, false);
}
