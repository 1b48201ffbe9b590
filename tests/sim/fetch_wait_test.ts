import { strict as assert } from "node:assert";
import { CREATE_TOPICS, DELETE_TOPICS, FETCH, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newFetchRequest } from "../../src/wire/generated/fetch_request.ts";
import type { FetchResponse } from "../../src/wire/generated/fetch_response.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

/** A fetch waits so long when nothing wakes it (ms). */
const WAIT_MS = 60_000;
/** And is answered within this when something does (ms). */
const SOON_MS = 100;
/** With topic names, and with ids. */
const NAMES = 12;
const IDS = 13;

interface Session {
  readonly id: number;
  readonly epoch: number;
}

const NO_SESSION: Session = { id: 0, epoch: -1 };

/** A node of two shards, with clients of the first; partition `p` of a new topic `i` is on shard `(p + 1) % 2`. */
class Bench {
  readonly node: SimNode;
  readonly client: SimClient;
  readonly others: SimClient[] = [];

  constructor(seed: number) {
    this.node = new SimNode({ seed });
    assert(this.node.mount(2));
    this.client = new SimClient(this.node.connect(0));
  }

  connect(): SimClient {
    const client = new SimClient(this.node.connect(0));
    this.others.push(client);
    return client;
  }

  step(): void {
    this.node.step();
    this.client.poll();
    for (const other of this.others) other.poll();
  }

  /** Steps until `done`, which must be within `boundMs` of the node's time. */
  until(done: () => boolean, boundMs: number, what: string): void {
    const lateMs = this.node.nowMs + boundMs;
    while (!done()) {
      assert(this.node.nowMs < lateMs, `${what}: not within ${boundMs} ms`);
      this.step();
    }
  }

  /** Makes a topic; returns its id. */
  create(name: string, partitions: number): string {
    let id = "";
    this.client.send(CREATE_TOPICS, 7, topicRequest(name, partitions), ({ topics }) => {
      assert.equal(topics[0]!.errorCode, 0);
      id = topics[0]!.topicId;
    });
    this.until(() => id !== "", 5000, "create");
    return id;
  }

  delete(name: string): void {
    let deleted = false;
    const request = newDeleteTopicsRequest({ topicNames: [name], timeoutMs: 1000 });
    this.connect().send(DELETE_TOPICS, 5, request, () => deleted = true);
    this.until(() => deleted, 5000, "delete");
  }

  produce(name: string, partition: number): void {
    let acked = false;
    this.connect().send(PRODUCE, 9, produceRequest(name, partition, SMALL_BATCH), (r) => {
      assert.equal(r.responses[0]!.partitionResponses[0]!.errorCode, 0);
      acked = true;
    });
    this.until(() => acked, 5000, "produce");
  }
}

/** A fetch from the offsets given by partition; those without stay out. */
function fetchRequest(
  topic: { readonly name?: string; readonly id?: string },
  offsets: readonly (number | null)[],
  session: Session = NO_SESSION,
  maxWaitMs = WAIT_MS,
): ReturnType<typeof newFetchRequest> {
  const partitions = offsets.flatMap((fetchOffset, partition) =>
    fetchOffset === null ? [] : [{
      partition,
      currentLeaderEpoch: -1,
      fetchOffset,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      partitionMaxBytes: 100_000,
      replicaDirectoryId: ZERO_UUID,
      highWatermark: 0,
    }]
  );
  return newFetchRequest({
    maxWaitMs,
    minBytes: 1,
    maxBytes: 1_000_000,
    sessionId: session.id,
    sessionEpoch: session.epoch,
    topics: partitions.length === 0
      ? []
      : [{ topic: topic.name ?? "", topicId: topic.id ?? ZERO_UUID, partitions }],
  });
}

function errors(response: FetchResponse): number[] {
  return response.responses.flatMap((topic) => topic.partitions.map((each) => each.errorCode));
}

function sizes(response: FetchResponse): number[] {
  return response.responses.flatMap((topic) =>
    topic.partitions.map(({ records }) => records?.length ?? 0)
  );
}

Deno.test("what comes while another shard is still being read ends a fetch's wait", () => {
  // Partition 1 is on the connection's shard, partition 0 on the other one. At some distance between the
  // two requests the commit falls between the read of the one and the answer of the other.
  for (let distance = 0; distance < 24; distance++) {
    const bench = new Bench(100 + distance);
    bench.create("t", 2);
    let response: FetchResponse | null = null;
    let acked = false;
    const producer = bench.connect();
    producer.send(PRODUCE, 9, produceRequest("t", 1, SMALL_BATCH), () => acked = true);
    for (let i = 0; i < distance && !acked; i++) bench.step();
    bench.client.send(FETCH, NAMES, fetchRequest({ name: "t" }, [0, 0]), (r) => response = r);
    bench.until(() => acked, 5000, "produce");
    bench.until(() => response !== null, SOON_MS, `fetch, ${distance} steps after the produce`);
    assert.deepEqual(errors(response!), [0, 0]);
    assert.equal(sizes(response!).reduce((a, b) => a + b), SMALL_BATCH.length);
  }
});

for (const version of [NAMES, IDS]) {
  const named = version === NAMES ? "by name" : "by id";

  Deno.test(`a parked fetch ${named} is answered when its topic goes, whichever shard owns it`, () => {
    for (const offsets of [[0, null], [null, 0], [0, 0]]) {
      for (let distance = 0; distance < 12; distance++) {
        const bench = new Bench(200 + distance);
        const id = bench.create("t", 2);
        const topic = version === NAMES ? { name: "t" } : { id };
        let response: FetchResponse | null = null;
        bench.client.send(FETCH, version, fetchRequest(topic, offsets), (r) => response = r);
        for (let i = 0; i < distance; i++) bench.step();
        bench.delete("t");
        bench.until(() => response !== null, SOON_MS, `fetch ${distance} steps before`);
        const gone: number[] = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID];
        assert(errors(response!).length > 0 && errors(response!).every((e) => gone.includes(e)));
      }
    }
  });
}

Deno.test("an unknown partition does not end the wait for the others, and alone it does not wait", () => {
  for (const offsets of [[0, null, 0], [null, 0, 0], [0, 0, 0]]) {
    const bench = new Bench(8);
    bench.create("t", 2);
    let response: FetchResponse | null = null;
    bench.client.send(FETCH, NAMES, fetchRequest({ name: "t" }, offsets), (r) => response = r);
    bench.node.pass(500);
    bench.step();
    assert.equal(response, null, "parked");
    bench.produce("t", offsets[0] === 0 ? 0 : 1);
    bench.until(() => response !== null, SOON_MS, "fetch");
    assert.equal(errors(response!).filter((error) => error !== 0).length, 1);
    assert.equal(sizes(response!).reduce((a, b) => a + b), SMALL_BATCH.length);
  }
  const bench = new Bench(9);
  bench.create("t", 2);
  const alone = exchange(bench, NAMES, fetchRequest({ name: "t" }, [null, null, 0]));
  assert.deepEqual(errors(alone), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]);
});

Deno.test("a session waits for what it knows while one of its topics is gone", () => {
  const bench = new Bench(10);
  bench.create("kept", 1);
  bench.create("gone", 1);
  const both = fetchRequest({ name: "kept" }, [0], { id: 0, epoch: 0 }, 0);
  both.topics.push(...fetchRequest({ name: "gone" }, [0]).topics);
  let session = NO_SESSION;
  bench.client.send(FETCH, NAMES, both, (r) => session = { id: r.sessionId, epoch: 1 });
  bench.until(() => session.epoch === 1, 5000, "session");
  bench.delete("gone");
  let response: FetchResponse | null = null;
  bench.client.send(FETCH, NAMES, fetchRequest({}, [], session), (r) => response = r);
  bench.node.pass(500);
  bench.step();
  assert.equal(response, null, "parked");
  bench.produce("kept", 0);
  bench.until(() => response !== null, SOON_MS, "fetch");
  assert.deepEqual(errors(response!).sort(), [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]);
});

/** Opens a session over partition 0 that has read up to `offset`. */
function openSession(
  bench: Bench,
  version: number,
  topic: { readonly name?: string; readonly id?: string },
  offset: number,
): Session {
  let session = NO_SESSION;
  const request = fetchRequest(topic, [offset], { id: 0, epoch: 0 }, 0);
  bench.client.send(FETCH, version, request, (r) => session = { id: r.sessionId, epoch: 1 });
  bench.until(() => session.epoch === 1, 5000, "session");
  assert(session.id > 0);
  return session;
}

function exchange(
  bench: Bench,
  version: number,
  request: ReturnType<typeof newFetchRequest>,
): FetchResponse {
  let response: FetchResponse | null = null;
  bench.client.send(FETCH, version, request, (r) => response = r);
  bench.until(() => response !== null, SOON_MS, "fetch");
  return response!;
}

Deno.test("a session of names goes on with the topic that took the name over", () => {
  const bench = new Bench(3);
  bench.create("t", 1);
  const { id } = openSession(bench, NAMES, { name: "t" }, 0);
  bench.delete("t");
  const during = exchange(bench, NAMES, fetchRequest({}, [], { id, epoch: 1 }));
  assert.deepEqual(errors(during), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]);
  bench.create("t", 1);
  bench.produce("t", 0);
  // The client names nothing: its position and the epoch that it knows are what they were.
  const after = exchange(bench, NAMES, fetchRequest({}, [], { id, epoch: 2 }));
  assert.deepEqual([errors(after), sizes(after)], [[0], [SMALL_BATCH.length]]);
});

Deno.test("a session of names that has read further than the new topic goes is out of its range", () => {
  const bench = new Bench(4);
  bench.create("t", 1);
  bench.produce("t", 0);
  bench.produce("t", 0);
  const { id } = openSession(bench, NAMES, { name: "t" }, 6);
  bench.delete("t");
  bench.create("t", 1);
  bench.produce("t", 0);
  const after = exchange(bench, NAMES, fetchRequest({}, [], { id, epoch: 1 }));
  assert.deepEqual(errors(after), [ErrorCode.OFFSET_OUT_OF_RANGE]);
});

Deno.test("a session of ids is never given what another topic of the same name holds", () => {
  const bench = new Bench(5);
  const old = bench.create("t", 1);
  const { id } = openSession(bench, IDS, { id: old }, 0);
  bench.delete("t");
  const made = bench.create("t", 1);
  bench.produce("t", 0);
  for (let epoch = 1; epoch < 3; epoch++) {
    const stale = exchange(bench, IDS, fetchRequest({}, [], { id, epoch }));
    assert.deepEqual(errors(stale), [ErrorCode.INCONSISTENT_TOPIC_ID]);
    assert.equal(stale.responses[0]!.topicId, old);
  }
  // As clients do it: the new id in, the old one out, in one request.
  const request = newFetchRequest({
    ...fetchRequest({ id: made }, [0], { id, epoch: 3 }),
    forgottenTopicsData: [{ topic: "", topicId: old, partitions: [0] }],
  });
  const moved = exchange(bench, IDS, request);
  assert.deepEqual(moved.responses.map(({ topicId }) => topicId), [made]);
  assert.deepEqual(sizes(moved), [SMALL_BATCH.length]);
  const next = exchange(bench, IDS, fetchRequest({}, [], { id, epoch: 4 }));
  assert.deepEqual(errors(next), [0]);
});

Deno.test("a session that forgets its last partition is over", () => {
  const bench = new Bench(8);
  const made = bench.create("t", 1);
  const session = openSession(bench, IDS, { id: made }, 0);
  const request = newFetchRequest({
    ...fetchRequest({}, [], session),
    forgottenTopicsData: [{ topic: "", topicId: made, partitions: [0] }],
  });
  const last = exchange(bench, IDS, request);
  assert.deepEqual([last.errorCode, last.sessionId, last.responses], [0, 0, []]);
  const next = exchange(bench, IDS, fetchRequest({}, [], { id: session.id, epoch: 2 }));
  assert.equal(next.errorCode, ErrorCode.FETCH_SESSION_ID_NOT_FOUND);
});

Deno.test("names and ids do not mix in a session", () => {
  const bench = new Bench(6);
  const made = bench.create("t", 1);
  const named = openSession(bench, NAMES, { name: "t" }, 0);
  const byIds = openSession(bench, IDS, { id: made }, 0);
  const wrong = ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR;
  assert.equal(exchange(bench, IDS, fetchRequest({}, [], named)).errorCode, wrong);
  assert.equal(exchange(bench, NAMES, fetchRequest({}, [], byIds)).errorCode, wrong);
});

Deno.test("more fetches at once than another shard can be asked for all know what it said", () => {
  const bench = new Bench(7);
  bench.create("t", 1);
  bench.produce("t", 0);
  const marks: number[] = [];
  const count = 600;
  for (let i = 0; i < count; i++) {
    bench.connect().send(FETCH, NAMES, fetchRequest({ name: "t" }, [3]), (r) => {
      marks.push(r.responses[0]!.partitions[0]!.highWatermark);
    });
  }
  bench.node.pass(500);
  bench.step();
  assert.equal(marks.length, 0, "all are parked");
  // All are due in one turn.
  bench.node.jump(WAIT_MS);
  bench.until(() => marks.length === count, 1000, "answers");
  assert(marks.every((mark) => mark === 3), `high watermarks ${[...new Set(marks)]}`);
});
