import { strict as assert } from "node:assert";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { FETCH_VERSION_MAX, FETCH_VERSION_MIN, FetchReader } from "./fetch_reader.ts";
import {
  encodeFetchRequest,
  type FetchRequest,
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
  newForgottenTopic,
  newReplicaState,
} from "./generated/fetch_request.ts";
import { fetchedByReader } from "./test_readers.ts";

const ID = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

function request(version: number): FetchRequest {
  const named = (name: string) => version < 13 ? { topic: name } : { topicId: ID };
  const partition = (index: number) =>
    newFetchPartition({
      partition: index,
      fetchOffset: 2 ** 40 + index,
      partitionMaxBytes: 1024,
      ...(version >= 9 ? { currentLeaderEpoch: 4 } : {}),
      ...(version >= 12 ? { lastFetchedEpoch: 3 } : {}),
      ...(version >= 5 ? { logStartOffset: 11 } : {}),
      ...(version >= 17 ? { replicaDirectoryId: ID } : {}),
      ...(version >= 18 ? { highWatermark: 99 } : {}),
    });
  return newFetchRequest({
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 50_000_000,
    isolationLevel: 1,
    topics: [
      newFetchTopic({ ...named("a"), partitions: [partition(0), partition(5)] }),
      newFetchTopic({ ...named("bcd"), partitions: [partition(1)] }),
    ],
    ...(version >= 7
      ? {
        sessionId: 77,
        sessionEpoch: 3,
        forgottenTopicsData: [newForgottenTopic({ ...named("old"), partitions: [8, 9] })],
      }
      : {}),
    ...(version >= 11 ? { rackId: "rack-1" } : {}),
    ...(version >= 12 ? { clusterId: "cluster" } : {}),
    ...(version < 15
      ? { replicaId: 6 }
      : { replicaState: newReplicaState({ replicaId: 6, replicaEpoch: 12 }) }),
  });
}

function encoded(version: number, message: FetchRequest): Cursor {
  const writer = new Writer();
  writer.int32(-1);
  encodeFetchRequest(writer, version, message);
  return Cursor.of(writer.copyBytes());
}

Deno.test("FetchReader finds what the codec encoded, in every version", () => {
  const reader = new FetchReader();
  // Twice: nothing of one request may be left for the next.
  const versions = Array.from(
    { length: FETCH_VERSION_MAX - FETCH_VERSION_MIN + 1 },
    (_, i) => FETCH_VERSION_MIN + i,
  );
  for (const version of [...versions, ...versions.reverse()]) {
    const message = request(version);
    const source = encoded(version, message);
    assert.ok(reader.open(source, 4, source.end, version), `v${version}`);
    assert.equal(reader.partitionTotal, 3);
    assert.deepEqual(fetchedByReader(reader, source, version, message), message, `v${version}`);
  }
});

Deno.test("FetchReader reads an incremental fetch without news", () => {
  const reader = new FetchReader();
  for (const version of [7, 12, 18]) {
    const source = encoded(version, newFetchRequest({ sessionId: 9, sessionEpoch: 4 }));
    assert.ok(reader.open(source, 4, source.end, version));
    assert.equal(reader.sessionId, 9);
    assert.equal(reader.replicaId, -1);
    assert.equal(reader.nextTopic(), false);
    reader.startForgotten();
    assert.equal(reader.nextForgottenTopic(), false);
  }
});

Deno.test("FetchReader refuses a request that is cut, and ignores bytes after it", () => {
  const reader = new FetchReader();
  for (let version = FETCH_VERSION_MIN; version <= FETCH_VERSION_MAX; version++) {
    const source = encoded(version, request(version));
    for (let end = 4; end < source.end; end++) {
      assert.equal(reader.open(source, 4, end, version), false, `v${version} cut at ${end}`);
    }
    const longer = new Uint8Array(source.bytes.length + 1);
    longer.set(source.bytes);
    assert.equal(reader.open(Cursor.of(longer), 4, longer.length, version), true);
  }
});
