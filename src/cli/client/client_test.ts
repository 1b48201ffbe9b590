import { strict as assert } from "node:assert";
import { ErrorCode } from "../../wire/errors.ts";
import { CREATE_TOPICS, LIST_GROUPS, METADATA, PRODUCE } from "../../wire/generated/apis.ts";
import {
  newCreatableTopicResult,
  newCreateTopicsResponse,
} from "../../wire/generated/create_topics_response.ts";
import { newListGroupsRequest } from "../../wire/generated/list_groups_request.ts";
import { newListGroupsResponse } from "../../wire/generated/list_groups_response.ts";
import {
  type MetadataResponse,
  newMetadataResponse,
  newMetadataResponseBroker,
  newMetadataResponsePartition,
  newMetadataResponseTopic,
} from "../../wire/generated/metadata_response.ts";
import type { ProduceRequest } from "../../wire/generated/produce_request.ts";
import {
  newPartitionProduceResponse,
  newProduceResponse,
  newTopicProduceResponse,
} from "../../wire/generated/produce_response.ts";
import { RecordBatchBuilder } from "../../wire/record_batch_builder.ts";
import { Failure } from "../failure.ts";
import type { Address } from "../flags.ts";
import { runGregor } from "../testing.ts";
import { Cluster } from "./cluster.ts";
import { codecByName } from "./codecs.ts";
import { Connection, ConnectionFailure, UnsupportedApi } from "./connection.ts";
import { Producer } from "./producer.ts";
import { scripted, ScriptedBroker } from "./scripted_broker.ts";

/** Metadata of a cluster of one with topic `t`; leader -1 where there is none. */
function metadata(address: Address, leaders: readonly number[]): MetadataResponse {
  return newMetadataResponse({
    clusterId: "castle",
    controllerId: 1,
    brokers: [newMetadataResponseBroker({ nodeId: 1, host: address.host, port: address.port })],
    topics: [
      newMetadataResponseTopic({
        name: "t",
        partitions: leaders.map((leaderId, partitionIndex) =>
          newMetadataResponsePartition({
            partitionIndex,
            leaderId,
            replicaNodes: [1],
            isrNodes: leaderId < 0 ? [] : [1],
          })
        ),
      }),
    ],
  });
}

function produced(errorCode: number, baseOffset: number) {
  return newProduceResponse({
    responses: [
      newTopicProduceResponse({
        name: "t",
        partitionResponses: [newPartitionProduceResponse({ errorCode, baseOffset })],
      }),
    ],
  });
}

Deno.test("Connection uses the highest version that both sides speak", async () => {
  const broker = new ScriptedBroker([scripted(LIST_GROUPS, 2, () => newListGroupsResponse())]);
  const connection = await Connection.open(broker.address, { timeoutMs: 2000 });
  try {
    await connection.call(LIST_GROUPS, newListGroupsRequest());
    await connection.call(LIST_GROUPS, newListGroupsRequest(), { maxVersion: 1 });
    assert.deepEqual(broker.received.map((one) => one.version), [2, 1]);
    assert.equal(connection.versionOf(PRODUCE), -1);
    await assert.rejects(connection.call(METADATA, { topics: null } as never), UnsupportedApi);
  } finally {
    connection.close();
    await broker.close();
  }
});

Deno.test("a command asks the next controller when the one that it asked is none any more", async () => {
  let asked = 0;
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 12, () => metadata(broker.address, [1])),
    scripted(CREATE_TOPICS, 7, () => {
      const errorCode = asked++ === 0 ? ErrorCode.NOT_CONTROLLER : ErrorCode.NONE;
      return newCreateTopicsResponse({
        topics: [newCreatableTopicResult({ name: "u", errorCode })],
      });
    }),
  ]);
  try {
    const ran = await runGregor(["topic", "create", "u", "--brokers", broker.brokers]);
    assert.equal(ran.code, 0, ran.remarks);
    const names = broker.received.map(({ name }) => name);
    assert.deepEqual(names, ["Metadata", "CreateTopics", "Metadata", "CreateTopics"]);
  } finally {
    await broker.close();
  }
});

Deno.test("Connection gives up on an answer that does not come, and on all later ones", async () => {
  const broker = new ScriptedBroker([scripted(LIST_GROUPS, 2, () => null)]);
  const connection = await Connection.open(broker.address, { timeoutMs: 2000 });
  try {
    const call = () => connection.call(LIST_GROUPS, newListGroupsRequest(), { timeoutMs: 150 });
    const results = await Promise.allSettled([call(), call()]);
    for (const result of results) {
      assert.ok(result.status === "rejected");
      assert.ok(result.reason instanceof ConnectionFailure);
      assert.equal(result.reason.reason, "no answer to ListGroups within 150 ms");
    }
    assert.equal(connection.isOpen, false);
  } finally {
    await broker.close();
  }
});

Deno.test("Connection refuses what does not speak Kafka, and what hangs up", async () => {
  for (
    const [says, reason] of [
      ["HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak the Kafka protocol"],
      ["", "the broker closed the connection"],
    ] as const
  ) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      const conn = await listener.accept();
      await conn.read(new Uint8Array(1000));
      if (says !== "") await conn.write(new TextEncoder().encode(says));
      conn.close();
    })();
    const address = { host: "127.0.0.1", port: listener.addr.port };
    await assert.rejects(Connection.open(address, { timeoutMs: 2000 }), (error) => {
      assert.ok(error instanceof ConnectionFailure);
      assert.equal(error.reason, reason);
      return true;
    });
    await serving;
    listener.close();
  }
});

Deno.test("Cluster goes on to the next bootstrap address, and blames an advertised one", async () => {
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 9, () => metadata({ host: "127.0.0.1", port: 1 }, [1])),
  ]);
  const dead = { host: "127.0.0.1", port: 2 };
  const cluster = await Cluster.connect([dead, broker.address], { timeoutMs: 2000 });
  try {
    await assert.rejects(cluster.node(1), (error) => {
      assert.ok(error instanceof Failure);
      assert.equal(error.exitCode, 69);
      assert.match(error.message, /node 1 says that it is at 127\.0\.0\.1:1, .*connection refused/);
      assert.match(error.hint!, /advertised-kafka-addr/);
      return true;
    });
  } finally {
    cluster.close();
    await broker.close();
  }
});

Deno.test("Producer sends the same batch again after a refusal that passes", async () => {
  let attempts = 0;
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 9, () => metadata(broker.address, [1])),
    scripted(
      PRODUCE,
      9,
      () => produced(++attempts < 3 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : 0, 7),
    ),
  ]);
  const cluster = await Cluster.connect([broker.address], { timeoutMs: 3000 });
  try {
    const producer = await Producer.open(cluster, "t", { acks: 1, codec: codecByName("none") });
    const builder = new RecordBatchBuilder();
    builder.add({ key: null, value: new Uint8Array([1]), timestamp: 5 });
    assert.equal(await producer.send(0, builder), 7);
    assert.equal(builder.count, 0);
    const sent = broker.received
      .filter((one) => one.name === "Produce")
      .map((one) => (one.request as ProduceRequest).topicData[0]!.partitionData[0]!.records!);
    assert.equal(sent.length, 3);
    assert.deepEqual(sent[2], sent[0]);
  } finally {
    cluster.close();
    await broker.close();
  }
});

Deno.test("a permanent refusal is reported in the broker's words, with exit code 1", async () => {
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 9, () => metadata(broker.address, [1])),
    scripted(PRODUCE, 9, () => produced(ErrorCode.MESSAGE_TOO_LARGE, -1)),
  ]);
  const ran = await runGregor(["produce", "t", "--acks", "1", "--brokers", broker.brokers], {
    stdin: "x\n",
  });
  await broker.close();
  assert.equal(ran.code, 1);
  assert.match(ran.remarks, /cannot write to t\/0: .* \(MESSAGE_TOO_LARGE\)/);
});

Deno.test("cluster health distinguishes a cluster without a leader from a healthy one", async () => {
  let leaders = [1, 1];
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 9, () => metadata(broker.address, leaders)),
  ]);
  const health = () => runGregor(["cluster", "health", "--brokers", broker.brokers]);
  const good = await health();
  assert.equal(good.code, 0);
  assert.match(good.out, /^health +good$/m);
  leaders = [1, -1];
  const bad = await health();
  await broker.close();
  assert.equal(bad.code, 1);
  assert.match(bad.out, /^health +not good$/m);
  assert.match(bad.out, /^leaderless partitions +t\/1$/m);
});

Deno.test("lists come as a table for people and as JSON for scripts", async () => {
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 9, () => metadata(broker.address, [1, 1, 1])),
  ]);
  const table = await runGregor(["topic", "list"], { env: { GREGOR_BROKERS: broker.brokers } });
  const json = await runGregor(["topic", "list", "--format", "json", "--brokers", broker.brokers]);
  await broker.close();
  assert.equal(table.out, "TOPIC  PARTITIONS  REPLICAS\nt               3         1\n");
  assert.deepEqual(JSON.parse(json.out), [{ name: "t", partitions: 3, replicas: 1 }]);
});
