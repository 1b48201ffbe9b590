/**
 * Clients that begin and do not go on, poll for long, or take nothing: others are served beside them, and
 * whoever only is slow, or waits his turn, keeps his connection.
 */

import { strict as assert } from "node:assert";
import {
  CREATE_TOPICS,
  FETCH,
  FIND_COORDINATOR,
  HEARTBEAT,
  JOIN_GROUP,
  METADATA,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import {
  type FetchRequest,
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { newHeartbeatRequest } from "../../src/wire/generated/heartbeat_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newJoinGroupRequest } from "../../src/wire/generated/join_group_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { ARENA_BLOCK_MIN } from "../../src/bytes/arena.ts";
import { FETCH_SESSION_PARTITIONS_MAX, REQUEST_ELEMENTS_MAX } from "../../src/base/limits.ts";
import { FETCH_PART_HEAP, HeapLane, UNKNOWN_PART_HEAP } from "../../src/kafka/request_heap.ts";
import type { Engine } from "../../src/storage/engine.ts";
import { encodeRequestFrame } from "../../src/wire/header.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

const TOPIC = "beside";
const SOON_MS = 3_000;
/** Time passes in steps of so much while nothing has to happen (ms). */
const IDLE_STEP_MS = 20;

class Bench {
  readonly node: SimNode;
  readonly clients: SimClient[] = [];
  readonly shards: number;

  constructor(seed: number, shards = 1) {
    this.shards = shards;
    this.node = new SimNode({ seed });
    assert(this.node.mount(shards));
    let error = -1;
    this.connect().send(CREATE_TOPICS, 7, topicRequest(TOPIC, 2), (response) => {
      error = response.topics[0]!.errorCode;
    });
    this.until(() => error === 0, SOON_MS, "a topic");
  }

  connect(shard = 0): SimClient {
    const client = new SimClient(this.node.connect(shard));
    this.clients.push(client);
    return client;
  }

  many(count: number): SimClient[] {
    return Array.from({ length: count }, () => this.connect());
  }

  step(ms = 0): void {
    this.node.nowMs += ms;
    this.node.step();
    for (const client of this.clients) client.poll();
  }

  until(done: () => boolean, boundMs: number, what: string): void {
    const lateMs = this.node.nowMs + boundMs;
    while (!done()) {
      assert(this.node.nowMs < lateMs, `${what}: not within ${boundMs} ms`);
      this.step();
    }
  }

  pass(ms: number, each: () => void = () => {}): void {
    const until = this.node.nowMs + ms;
    while (this.node.nowMs < until) {
      each();
      this.step(IDLE_STEP_MS);
    }
  }

  /** Asks for metadata on `client`; returns whether it has been answered. */
  askMetadata(client: SimClient): () => boolean {
    let answered = false;
    client.send(METADATA, 12, newMetadataRequest({ topics: [] }), () => answered = true);
    return () => answered;
  }

  produce(client: SimClient, records: Uint8Array, partition = 0): () => boolean {
    let answered = false;
    client.send(PRODUCE, 9, produceRequest(TOPIC, partition, records), (response) => {
      assert.equal(response.responses[0]!.partitionResponses[0]!.errorCode, 0);
      answered = true;
    });
    return () => answered;
  }

  assertServes(what: string, records = SMALL_BATCH): void {
    const client = this.connect();
    const told = this.askMetadata(client);
    const produced = this.produce(client, records);
    this.until(() => told() && produced(), SOON_MS, what);
    assert(!client.end.closed);
  }

  get waiting(): number {
    return this.node.shards[0]!.shard.fetch.waitingCount;
  }
}

function poll(maxWaitMs: number, minBytes = 1_000_000_000): FetchRequest {
  const partition = newFetchPartition({ partition: 0, partitionMaxBytes: 2 ** 30 });
  return newFetchRequest({
    maxWaitMs,
    minBytes,
    maxBytes: 2 ** 30,
    topics: [newFetchTopic({ topic: TOPIC, partitions: [partition] })],
  });
}

function batchOf(bytes: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(bytes), timestamp: 1_700_000_000_000 });
  return builder.build();
}

Deno.test("requests that wait for long polls keep no receive buffer", () => {
  const bench = new Bench(1);
  const answers = bench.many(3 * bench.node.shards[0]!.sockets.bufferCount).map((client) => {
    client.send(FETCH, 12, poll(100_000), () => {});
    return bench.askMetadata(client);
  });
  bench.pass(500);
  bench.assertServes("a client beside long polls");
  assert(answers.every((answered) => !answered()), "a request overtook the one before it");
});

Deno.test("a whole request after a long poll is not an unfinished one", () => {
  const bench = new Bench(2);
  const client = bench.connect();
  let polled = false;
  client.send(FETCH, 12, poll(100_000), () => polled = true);
  const told = bench.askMetadata(client);
  bench.pass(99_000);
  assert(!polled && !client.end.closed, "the poll was ended early");
  bench.until(() => polled && told(), 3_000, "both answers");
  assert.deepEqual(bench.node.remarks, []);
});

Deno.test("a poll ends with its connection, and after five minutes", () => {
  const bench = new Bench(3);
  const clients = bench.many(20);
  for (const client of clients) client.send(FETCH, 12, poll(0x7fffffff), () => {});
  bench.until(() => bench.waiting === 20, SOON_MS, "polls");
  for (const client of clients.slice(1)) client.end.ended = true;
  bench.until(() => bench.waiting === 1, SOON_MS, "the ends of polls");
  let polled = false;
  clients[0]!.send(METADATA, 12, newMetadataRequest({ topics: [] }), () => polled = true);
  bench.pass(301_000);
  assert(polled, "a wait has no end");
});

Deno.test("announcements take no memory from who sends what it announced", () => {
  const bench = new Bench(4);
  const stalling = bench.many(100);
  for (const client of stalling) client.end.send(new Uint8Array([0, 1, 0x86, 0xa0, 0]));
  bench.pass(100);
  bench.assertServes("a frame larger than a receive buffer", batchOf(120_000));
});

Deno.test("who began a frame and stalls loses its memory to who asks for it", () => {
  const bench = new Bench(5);
  const stalling = bench.many(60);
  for (const client of stalling) {
    const begun = new Uint8Array(20_000);
    begun.set([0, 1, 0x86, 0xa0]);
    client.end.send(begun);
  }
  bench.pass(100);
  bench.assertServes("a frame larger than a receive buffer", batchOf(120_000));
  const closed = stalling.filter((client) => client.end.closed).length;
  assert(closed > 0 && closed < stalling.length, `${closed} lost their connection`);
});

Deno.test("who sends a frame slowly keeps its connection while nobody lacks memory", () => {
  const bench = new Bench(6);
  const client = bench.connect();
  const frame = new SimClient(bench.node.connect(0));
  const produced = bench.produce(frame, batchOf(1_000_000));
  const bytes = frame.end.toServer.splice(0)[0]!;
  bench.clients.push(frame);
  let at = 0;
  bench.pass(100_000, () => {
    const next = Math.min(bytes.length, at + 300);
    if (next > at) frame.end.send(bytes.subarray(at, next));
    at = next;
  });
  assert(!frame.end.closed, "cut off although it went on");
  frame.end.send(bytes.subarray(at));
  bench.until(produced, SOON_MS, "the slow produce");
  assert(!client.end.closed);
});

Deno.test("who takes an answer slowly keeps its connection", () => {
  const bench = new Bench(7);
  const writer = bench.connect();
  for (let i = 0; i < 12; i++) {
    bench.until(bench.produce(writer, batchOf(150_000)), SOON_MS, "data");
  }
  const reader = bench.connect();
  reader.end.takesBytes = 0;
  let bytes = 0;
  reader.send(FETCH, 12, poll(0, 1), (response) => {
    bytes = response.responses[0]!.partitions[0]!.records!.length;
  });
  // 18 kB/s, for two minutes.
  bench.pass(120_000, () => reader.end.takesBytes += 18 * IDLE_STEP_MS);
  assert(!reader.end.closed, "cut off although it went on");
  assert(bytes > 1_500_000 - 150_000, `${bytes} bytes in two minutes`);
});

Deno.test("consumers that never read hold no memory that producers and other consumers need", () => {
  const bench = new Bench(8);
  const writer = bench.connect();
  for (let i = 0; i < 90; i++) {
    bench.until(bench.produce(writer, batchOf(150_000)), SOON_MS, "data");
  }
  for (let i = 0; i < 6; i++) {
    const deaf = bench.connect();
    deaf.end.stalled = true;
    const request = poll(0, 1);
    request.topics[0]!.partitions[0]!.fetchOffset = 14 * i;
    deaf.send(FETCH, 12, request, () => assert.fail("it takes nothing"));
  }
  bench.pass(200);
  for (let i = 0; i < 20; i++) {
    bench.until(
      bench.produce(writer, batchOf(400_000), 1),
      SOON_MS,
      "a produce beside deaf consumers",
    );
  }
  let read = 0;
  bench.connect().send(FETCH, 12, poll(5_000, 1), (response) => {
    read = response.responses[0]!.partitions[0]!.records!.length;
  });
  bench.until(() => read > 0, SOON_MS, "a consumer beside deaf ones");
});

Deno.test("polls that lack each other's memory do not keep it from a consumer", () => {
  const bench = new Bench(11, 2);
  const writer = bench.connect();
  for (let i = 0; i < 10; i++) {
    for (const partition of [0, 1]) {
      bench.until(bench.produce(writer, batchOf(400_000), partition), SOON_MS, "data");
    }
  }
  const ask = (shard: number, minBytes: number, isDeaf: boolean): void => {
    const request = poll(minBytes === 1 ? 0 : 100_000, minBytes);
    const other = newFetchPartition({ partition: 1, partitionMaxBytes: 2 ** 30 });
    request.topics[0]!.partitions.push(other);
    const client = bench.connect(shard);
    client.end.stalled = isDeaf;
    client.send(FETCH, 12, request, () => {});
  };
  for (const shard of [0, 1]) ask(shard, 1, true);
  bench.pass(100);
  for (let i = 0; i < 20; i++) ask(i % 2, 1_000_000_000, false);
  // By then the memory of those who take nothing is free again.
  const until = bench.node.nowMs + 3_000;
  while (bench.node.nowMs < until) bench.step();
  for (const partition of [0, 1]) {
    for (const shard of [0, 1]) {
      let read = 0;
      const request = poll(0, 1);
      request.topics[0]!.partitions[0]!.partition = partition;
      bench.connect(shard).send(FETCH, 12, request, (response) => {
        read = response.responses[0]!.partitions[0]!.records!.length;
      });
      bench.until(() => read > 0, SOON_MS, `partition ${partition}, asked of shard ${shard}`);
    }
  }
});

Deno.test("a fetch holds no records while it waits for memory to read others", () => {
  const bench = new Bench(16);
  const { shard, arena } = bench.node.shards[0]!;
  const writer = bench.connect();
  for (let i = 0; i < 3; i++) {
    bench.until(bench.produce(writer, batchOf(150_000), 1), SOON_MS, "data");
  }
  (shard.storage as Engine).checkpoint();
  bench.pass(1_000);
  bench.until(bench.produce(writer, SMALL_BATCH), SOON_MS, "data that is not on the disk alone");
  const spare = Array.from({ length: 8 }, () => arena.allocate(ARENA_BLOCK_MIN));
  const taken: number[] = [];
  const fill = (smallest: number): void => {
    for (let size = arena.blockSizeMax; size >= smallest; size /= 2) {
      for (let at = arena.allocate(size); at >= 0; at = arena.allocate(size)) taken.push(at);
    }
  };
  // Enough is left for answers, and nothing for what is on the disk alone.
  fill(ARENA_BLOCK_MIN);
  for (const address of spare) arena.release(address);
  const ask = (partitions: readonly number[], minBytes: number): () => readonly number[] => {
    let sizes: number[] = [];
    const request = poll(1_000, minBytes);
    request.topics[0]!.partitions = partitions.map((partition) =>
      newFetchPartition({ partition, partitionMaxBytes: 2 ** 30 })
    );
    bench.connect().send(FETCH, 12, request, ({ responses }) => {
      sizes = responses[0]!.partitions.map(({ errorCode, records }) =>
        errorCode === 0 ? records?.length ?? 0 : -1
      );
    });
    return () => sizes;
  };
  const both = ask([0, 1], 1);
  bench.until(() => both().length > 0, SOON_MS, "what is in memory");
  assert.deepEqual(both(), [SMALL_BATCH.length, 0]);
  // Who waits for much does not keep what there is until then.
  const much = ask([0, 1], 1_000_000_000);
  bench.until(() => much().length > 0, SOON_MS, "what is in memory");
  assert.deepEqual(much(), [SMALL_BATCH.length, 0]);
  const last = ask([1], 1);
  bench.pass(500, () => fill(16 * ARENA_BLOCK_MIN));
  assert.equal(last().length, 0);
  assert.equal(shard.storage.stats().pinnedBytes, 0);
  for (const address of taken) arena.release(address);
  bench.until(() => last().length > 0, SOON_MS, "what is on the disk");
  assert(last()[0]! > 150_000, `${last()} bytes`);
});

Deno.test("a partition named often in a fetch is read once, as the last naming says", () => {
  const bench = new Bench(9, 2);
  const writer = bench.connect();
  for (const partition of [0, 1]) {
    bench.until(bench.produce(writer, SMALL_BATCH, partition), SOON_MS, "data");
  }
  const named = (partition: number, fetchOffset: number) =>
    newFetchPartition({ partition, fetchOffset, partitionMaxBytes: 1_000_000 });
  const many = Array.from({ length: 20_000 }, (_, i) => named(i % 2, i < 19_990 ? 7 : 0));
  const request = newFetchRequest({
    maxWaitMs: 1000,
    minBytes: 1,
    maxBytes: 1_000_000,
    topics: [
      newFetchTopic({ topic: TOPIC, partitions: many.slice(0, 10) }),
      newFetchTopic({ topic: "nobody has it", partitions: many }),
      newFetchTopic({ topic: TOPIC, partitions: many.slice(10) }),
    ],
  });
  let answered: string[] = [];
  bench.connect().send(FETCH, 12, request, ({ responses }) => {
    answered = responses.flatMap(({ topic, partitions }) =>
      partitions.map((p) => `${topic} ${p.partitionIndex} ${p.errorCode} ${p.records?.length}`)
    );
  });
  bench.until(() => answered.length > 0, SOON_MS, "a fetch");
  assert.deepEqual(answered, [
    `${TOPIC} 0 0 ${SMALL_BATCH.length}`,
    `${TOPIC} 1 0 ${SMALL_BATCH.length}`,
    "nobody has it 0 3 0",
    "nobody has it 1 3 0",
  ]);
});

Deno.test("fetch sessions of a shard hold no more partitions than they may, and who gets none is served", () => {
  const bench = new Bench(10);
  const { sessions } = bench.node.shards[0]!.shard;
  const partitions = Array.from(
    { length: 10_000 },
    (_, partition) => newFetchPartition({ partition, partitionMaxBytes: 1000 }),
  );
  const ids: number[] = [];
  for (let i = 0; i < 22; i++) {
    const request = newFetchRequest({
      sessionEpoch: 0,
      topics: [newFetchTopic({ topic: `nobody ${i}`, partitions })],
    });
    bench.connect().send(FETCH, 12, request, (response) => ids.push(response.sessionId));
    bench.until(() => ids.length > i, SOON_MS, "a fetch");
  }
  assert(ids.slice(0, 20).every((id) => id !== 0));
  assert.deepEqual(ids.slice(20), [0, 0]);
  assert.equal(sessions.partitionCount, FETCH_SESSION_PARTITIONS_MAX);
});

Deno.test("long polls of very many partitions are not started beyond what their objects may take", () => {
  const bench = new Bench(13);
  const { heap } = bench.node.shards[0]!.shard.server;
  // One that there is, which is waited for, and many that there are not.
  const partitions = Array.from(
    { length: 5_000 },
    (_, i) => newFetchPartition({ partition: i === 0 ? 0 : i + 100, partitionMaxBytes: 1000 }),
  );
  const request = { ...poll(5_000), topics: [newFetchTopic({ topic: TOPIC, partitions })] };
  const cost = UNKNOWN_PART_HEAP * (partitions.length - 1) + FETCH_PART_HEAP;
  const startable = Math.floor(heap.limit / cost) + 1;
  let answered = 0;
  const clients = bench.many(2 * startable);
  for (const client of clients) client.send(FETCH, 12, request, () => answered++);
  bench.until(() => bench.waiting === startable, SOON_MS, "as many polls as may be");
  assert.equal(heap.used(HeapLane.FETCH), startable * cost);
  bench.assertServes("others beside them");
  assert.equal(bench.waiting, startable);
  bench.until(() => answered === clients.length, 20_000, "those that had to wait");
  assert.equal(heap.used(HeapLane.FETCH), 0);
});

Deno.test("a closed connection is named with its peer, its client, what it asked for last and why it ended", () => {
  const bench = new Bench(15);
  const partitions = Array.from(
    { length: 60_000 },
    (_, partition) => newFetchPartition({ partition, partitionMaxBytes: 1000 }),
  );
  const client = bench.connect();
  const request = { ...poll(0), topics: [newFetchTopic({ topic: TOPIC, partitions })] };
  client.send(FETCH, 12, request, () => assert.fail("the answer has no room"));
  bench.until(() => client.end.closed, SOON_MS, "its end");
  const said = bench.node.remarks.filter((each) => each.includes("Closed a connection"));
  assert.equal(said.length, 1);
  assert.match(
    said[0]!,
    /"peer":"127.*"client":.*"why":"it asked for an answer.*"lastRequest":"Fetch"/,
  );
  // A request that makes no sense is named with its version.
  const strange = encodeRequestFrame(METADATA, 12, 1, "strange", newMetadataRequest());
  strange.fill(0xff, strange.length - 3);
  const other = bench.connect();
  other.end.send(strange);
  bench.until(() => other.end.closed, SOON_MS, "its end");
  bench.pass(15_000);
  bench.connect().end.send(strange);
  bench.pass(500);
  const named = bench.node.remarks.filter((each) => each.includes("(Metadata, version 12)"));
  assert.match(named.at(-1)!, /"client":"strange","why":"it sent a request whose/);
});

Deno.test("a request of more elements than may be made objects of ends its connection, and nothing else", () => {
  const bench = new Bench(14);
  const topics = (count: number) =>
    Array.from({ length: count }, () => ({ name: "", topicId: ZERO_UUID }));
  const client = bench.connect();
  const request = newMetadataRequest({ topics: topics(REQUEST_ELEMENTS_MAX + 1) });
  client.send(METADATA, 4, request, () => assert.fail("it was served"));
  bench.until(() => client.end.closed, SOON_MS, "its end");
  bench.assertServes("a client after it");
});

Deno.test("responses that nobody takes hold up further requests, not further memory", () => {
  const bench = new Bench(11);
  const { heap } = bench.node.shards[0]!.shard.server;
  const topics = Array.from({ length: 9_000 }, (_, i) => ({
    name: `${"t".repeat(200)}${i}`,
    topicId: ZERO_UUID,
  }));
  const request = newMetadataRequest({ topics, allowAutoTopicCreation: false });
  const deaf = bench.many(30);
  for (const client of deaf) {
    client.end.stalled = true;
    client.send(METADATA, 12, request, () => {});
  }
  let most = 0;
  // Such a request takes many turns.
  for (const lateMs = bench.node.nowMs + 600; bench.node.nowMs < lateMs; bench.step()) {
    most = Math.max(most, heap.used(HeapLane.RESPONSES));
  }
  const beat = bench.connect();
  let beaten = false;
  beat.send(
    HEARTBEAT,
    4,
    newHeartbeatRequest({ groupId: "g", memberId: "m" }),
    () => beaten = true,
  );
  bench.until(() => beaten, 200, "a heartbeat beside them");
  // Requests that began while there was room end later; their own lane bounds how many there are.
  assert(most > heap.limit / 2 && most < 2 * heap.limit, `${most} bytes of answers`);
  // Nor do requests that have to wait for that keep the buffers that others receive into.
  for (const client of bench.many(40)) bench.askMetadata(client);
  const producer = bench.connect();
  bench.until(bench.produce(producer, SMALL_BATCH), 200, "a produce beside them");
  // They stall, so they lose it; others are served then.
  const told = bench.askMetadata(bench.connect());
  bench.until(told, 10_000, "metadata beside them");
});

for (const [begunBytes, count] of [[20_000, 80], [10, 160]] as const) {
  Deno.test(`${begunBytes} bytes of a frame after a request that waited its turn hold nobody up`, () => {
    const bench = new Bench(12);
    const polling = bench.many(count);
    for (const client of polling) {
      client.send(FETCH, 12, poll(1_000), () => {});
      const told = bench.askMetadata(client);
      const begun = new Uint8Array(begunBytes);
      begun.set([0, 1, 0x86, 0xa0]);
      client.end.send(begun);
      assert(!told());
    }
    // The polls end, and the requests after them are answered.
    bench.pass(10_000);
    bench.assertServes("a frame larger than a receive buffer", batchOf(120_000));
  });
}

Deno.test("members of a large group that wait for one another hold nobody up", () => {
  const bench = new Bench(13);
  const finder = bench.connect();
  let coordinator = -1;
  bench.until(
    () => {
      if (finder.open > 0) return coordinator === 0;
      finder.send(FIND_COORDINATOR, 3, newFindCoordinatorRequest({ key: "large" }), (answer) => {
        coordinator = answer.errorCode;
      });
      return false;
    },
    SOON_MS,
    "a coordinator",
  );
  bench.pass(500);
  // In all more than requests may cost.
  const metadata = new Uint8Array(60_000);
  let joined = 0;
  const join = (client: SimClient, memberId: string, then: (memberId: string) => void): void => {
    const request = newJoinGroupRequest({
      groupId: "large",
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
      memberId,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata }],
    });
    client.send(JOIN_GROUP, 3, request, (answer) => {
      assert.equal(answer.errorCode, 0);
      joined++;
      then(answer.memberId);
    });
  };
  const first = bench.connect();
  let firstId = "";
  join(first, "", (memberId) => firstId = memberId);
  bench.until(() => firstId !== "", SOON_MS, "the first member");
  const members = bench.many(120);
  for (const client of members) join(client, "", () => {});
  bench.pass(20_000);
  assert.equal(joined, 1);
  bench.until(bench.askMetadata(bench.connect()), SOON_MS, "metadata beside them");
  join(first, firstId, () => {});
  // The simulated network may starve a connection until the memory of its frame is needed.
  const starved = members.filter(({ end }) => end.closed).length;
  assert(starved <= 5, `${starved} members were closed`);
  bench.until(() => joined === 122 - starved, SOON_MS, "the whole group");
});
