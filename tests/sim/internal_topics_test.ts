/**
 * The broker's own topics: clients write nothing there, and whatever stands there all the same, or cannot be
 * read any more, never keeps a coordinator from serving.
 */

import { strict as assert } from "node:assert";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import { groupRecord, offsetRecord } from "../../src/group/records.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import { batchOf, type StateRecord } from "../../src/kafka/records_of.ts";
import { ReadError } from "../../src/storage/log.ts";
import type { LogRead } from "../../src/storage/log_read.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CREATE_TOPICS,
  DELETE_RECORDS,
  DELETE_TOPICS,
  DESCRIBE_GROUPS,
  FIND_COORDINATOR,
  HEARTBEAT,
  JOIN_GROUP,
  LIST_GROUPS,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newDeleteRecordsRequest } from "../../src/wire/generated/delete_records_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newDescribeGroupsRequest } from "../../src/wire/generated/describe_groups_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import {
  newGroupMetadataValue,
  newMemberMetadata,
} from "../../src/wire/generated/group_metadata_value.ts";
import { newHeartbeatRequest } from "../../src/wire/generated/heartbeat_request.ts";
import { newJoinGroupRequest } from "../../src/wire/generated/join_group_request.ts";
import { newListGroupsRequest } from "../../src/wire/generated/list_groups_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  type OffsetCommitRequest,
} from "../../src/wire/generated/offset_commit_request.ts";
import { newOffsetFetchRequest } from "../../src/wire/generated/offset_fetch_request.ts";
import type { Partition } from "../../src/kafka/partition.ts";
import { takePicture } from "./disk_picture.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode, type SimNodeOptions } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

const OFFSETS_TOPIC = "__consumer_offsets";
const GROUP = "g";
/** Long, so that a few commits fill an extent. */
const NOTE = "n".repeat(4000);

function call<Request, Response>(
  node: SimNode,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response {
  const client = new SimClient(node.connect(node.shards.length - 1));
  let response: Response | null = null;
  client.send(api, version, request, (r) => response = r);
  assert(node.run(() => (client.poll(), response !== null)), `no answer to ${api.name}`);
  return response!;
}

/** A node with topic t and the offsets topic, of one partition. */
function nodeWithGroup(options: Partial<SimNodeOptions> = {}): SimNode {
  const node = new SimNode({
    seed: 7,
    settings: { "offsets.topic.num.partitions": "1" },
    ...options,
  });
  assert(node.mount(1));
  assert.equal(call(node, CREATE_TOPICS, 7, topicRequest("t", 100)).topics[0]!.errorCode, 0);
  find(node);
  return node;
}

function find(node: SimNode): void {
  for (let tries = 0; tries < 100; tries++) {
    const request = newFindCoordinatorRequest({ coordinatorKeys: [GROUP] });
    const found = call(node, FIND_COORDINATOR, 4, request);
    if (found.coordinators[0]!.errorCode === 0 && coordinator(node).active) return;
    node.pass(10);
  }
  throw new Error("the coordinator is not found");
}

function coordinator(node: SimNode) {
  return node.shards[0]!.shard.groups.coordinatorFor(GROUP)!;
}

function offsetsPartition(node: SimNode): Partition {
  const { image, partitions } = node.shards[0]!.shard;
  return partitions.byGroup(image.topicByName(OFFSETS_TOPIC)!.partitions[0]!.groupId)!;
}

function commitRequest(partitionIndex: number, committedOffset: number): OffsetCommitRequest {
  const partition = newOffsetCommitRequestPartition({
    partitionIndex,
    committedOffset,
    committedMetadata: NOTE,
  });
  const topics = [{ name: "t", topicId: "0".repeat(32), partitions: [partition] }];
  return newOffsetCommitRequest({ groupId: GROUP, topics });
}

function commit(node: SimNode, partitionIndex: number, committedOffset: number): void {
  const response = call(node, OFFSET_COMMIT, 8, commitRequest(partitionIndex, committedOffset));
  assert.equal(response.topics[0]!.partitions[0]!.errorCode, 0);
}

function committed(node: SimNode, partition: number): number {
  const topics = [{ name: "t", partitionIndexes: [partition] }];
  const response = call(node, OFFSET_FETCH, 7, newOffsetFetchRequest({ groupId: GROUP, topics }));
  assert.equal(response.errorCode, 0);
  return response.topics[0]!.partitions[0]!.committedOffset;
}

/** Records that stand in the offsets topic without a coordinator having written them. */
function forge(
  node: SimNode,
  records: readonly StateRecord[],
  spoil?: (batch: Uint8Array) => void,
) {
  const partition = offsetsPartition(node);
  const batch = batchOf(records, 1);
  spoil?.(batch);
  const { blocks, shard } = node.shards[0]!;
  const address = blocks.allocateResponse(batch.length);
  shard.options.memory.bytes.set(batch, address);
  const offset = partition.log.append(address, batch.length, partition.replica.term, 1);
  blocks.releaseResponse(address);
  assert(offset >= 0);
  assert(node.run(() => partition.highWatermark > offset));
  return offset;
}

/** Ends a life in order, so that everything lies in segments, and begins the next. */
function restart(node: SimNode, between: () => void = () => {}): void {
  assert(node.stop());
  node.crash();
  spoilSnapshots(node);
  between();
  assert(node.mount(1), node.refusal ?? "the node does not start");
  find(node);
}

/** The log alone is left. */
function spoilSnapshots(node: SimNode): void {
  for (const path of node.disk.paths()) {
    if (path.startsWith("snapshots/")) node.disk.replaceBlock(path, 0, null);
  }
}

Deno.test("clients write nothing to the broker's own topics, nor delete from them", () => {
  const node = nodeWithGroup();
  const produced = call(node, PRODUCE, 9, produceRequest(OFFSETS_TOPIC, 0, SMALL_BATCH));
  const { errorCode, baseOffset } = produced.responses[0]!.partitionResponses[0]!;
  assert.equal(errorCode, ErrorCode.INVALID_TOPIC_EXCEPTION);
  assert.equal(baseOffset, -1);
  const unknown = call(node, PRODUCE, 9, produceRequest(OFFSETS_TOPIC, 9, SMALL_BATCH));
  assert.equal(
    unknown.responses[0]!.partitionResponses[0]!.errorCode,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  );
  const trim = newDeleteRecordsRequest({
    topics: [{ name: OFFSETS_TOPIC, partitions: [{ partitionIndex: 0, offset: -1 }] }],
  });
  assert.equal(
    call(node, DELETE_RECORDS, 2, trim).topics[0]!.partitions[0]!.errorCode,
    ErrorCode.INVALID_TOPIC_EXCEPTION,
  );
  const remove = newDeleteTopicsRequest({ topicNames: [OFFSETS_TOPIC] });
  assert.notEqual(call(node, DELETE_TOPICS, 5, remove).responses[0]!.errorCode, 0);
  assert.equal(offsetsPartition(node).highWatermark, 0);
});

Deno.test("forged records in the offsets topic are named by offset, and the coordinator serves", () => {
  const node = nodeWithGroup();
  commit(node, 0, 11);
  const member = newMemberMetadata({ memberId: "m" });
  const twice = groupRecord(GROUP, newGroupMetadataValue({ members: [member, member] }));
  const first = forge(node, [twice]);
  forge(node, [{ key: Uint8Array.of(0, 1, 9), value: null }, { key: null, value: null }]);
  const good = offsetRecord({ groupId: GROUP, topic: "t", partition: 1 }, {
    offset: 5,
    leaderEpoch: -1,
    metadata: "",
    commitTimestampMs: 1,
    expireTimestampMs: -1,
  });
  // Says that it is compressed.
  forge(node, [good], (batch) => batch[22] = 4);
  commit(node, 2, 22);
  restart(node);
  assert.equal(committed(node, 0), 11);
  assert.equal(committed(node, 1), -1);
  assert.equal(committed(node, 2), 22);
  const remarks = node.remarks.filter((each) => each.includes("makes no sense"));
  // When they are committed, and again when they are loaded.
  assert.equal(remarks.length, 8);
  assert.deepEqual(remarks.slice(0, 4), remarks.slice(4));
  assert.match(remarks[0]!, new RegExp(`"offset":${first},.*member 'm' twice`));
  assert.match(remarks[3]!, /the batch is compressed/);
});

Deno.test("a flipped bit in an old extent of the offsets topic costs what stood there alone", () => {
  const node = nodeWithGroup();
  for (let i = 0; i < 60; i++) commit(node, i, 100 + i);
  // Repeated after the damage.
  commit(node, 3, 777);
  restart(node, () => {
    const path = node.disk.paths().find((each) =>
      each.includes(OFFSETS_TOPIC) && each.endsWith(".log")
    )!;
    node.disk.flipBit(path, 5_000, 3);
  });
  assert.equal(committed(node, 1), -1, "nothing was damaged");
  assert.equal(committed(node, 3), 777);
  assert.equal(committed(node, 59), 159);
  const [lost] = node.remarks.filter((each) => each.includes("that cannot be read"));
  assert.match(lost!, /"partition":"__consumer_offsets-0".*"fromOffset":0,"toOffset":\d+/);
  assert.match(lost!, /gregor check/);
  commit(node, 1, 5);
  restart(node);
  assert.equal(committed(node, 1), 5);
});

Deno.test("a read of the offsets topic that fails for a moment is tried again", () => {
  const node = nodeWithGroup();
  for (let i = 0; i < 60; i++) commit(node, i, 100 + i);
  assert(node.stop());
  node.crash();
  spoilSnapshots(node);
  const path = node.disk.paths().find((each) =>
    each.includes(OFFSETS_TOPIC) && each.endsWith(".log")
  )!;
  const armed = (disk: typeof node.disk): void => {
    for (const nth of [1, 2]) {
      disk.inject({ operation: "read", path, nth, fault: { kind: "error", errno: 5 } });
    }
  };
  assert(node.mount(1, armed));
  find(node);
  for (let i = 0; i < 60; i++) assert.equal(committed(node, i), 100 + i);
  assert.deepEqual(node.remarks.filter((each) => each.includes("Skipped")), []);
});

/** Reads of a partition's log fail as long as the returned switch is on. */
function failingReads({ log }: Partition): { on: boolean } {
  const failing = { on: true };
  const read = log.read.bind(log);
  log.read = (wanted: LogRead): boolean => {
    if (!failing.on) return read(wanted);
    wanted.begin();
    wanted.error = ReadError.STORAGE;
    return true;
  };
  return failing;
}

Deno.test("a committed record that cannot be read while a coordinator serves is not passed over, and comes late", () => {
  const node = nodeWithGroup();
  commit(node, 0, 11);
  const failing = failingReads(offsetsPartition(node));
  const [late, refused] = [new SimClient(node.connect(0)), new SimClient(node.connect(0))];
  const answers: number[] = [];
  const send = (client: SimClient, partition: number, offset: number): void =>
    client.send(
      OFFSET_COMMIT,
      8,
      commitRequest(partition, offset),
      (response) => answers.push(response.topics[0]!.partitions[0]!.errorCode),
    );
  const poll = (): void => {
    late.poll();
    refused.poll();
  };
  send(late, 0, 12);
  node.run(() => (poll(), false), 5_000);
  assert.deepEqual(answers, [], "a record that nobody could read was answered");
  const stalled = node.remarks.filter((each) => each.includes("Cannot read a committed record"));
  assert.equal(stalled.length, 1, "it is told once");
  assert.match(stalled[0]!, /"partition":"__consumer_offsets-0".*"offset":1.*--accept-loss/);
  // What was read before is served, and what would come after is refused at once.
  assert.equal(committed(node, 0), 11);
  send(refused, 1, 5);
  assert(node.run(() => (poll(), answers.length === 1), 1_000));
  assert.deepEqual(answers.splice(0), [ErrorCode.COORDINATOR_NOT_AVAILABLE]);
  failing.on = false;
  assert(node.run(() => (poll(), answers.length === 1), 5_000));
  assert.deepEqual(answers, [0]);
  assert.equal(committed(node, 0), 12);
  commit(node, 1, 6);
  assert.equal(committed(node, 1), 6);
  assert.deepEqual(node.remarks.filter((each) => each.includes("Skipped")), []);
});

Deno.test("a command whose record cannot be read is not passed over by the images, and no command is decided without it", () => {
  const node = nodeWithGroup();
  const { image, partitions } = node.shards[0]!.shard;
  const failing = failingReads(partitions.byGroup(CONTROLLER_GROUP_ID)!);
  const answers: number[] = [];
  const clients = [0, 1, 2].map(() => new SimClient(node.connect(0)));
  const create = (client: SimClient, name: string): void =>
    client.send(
      CREATE_TOPICS,
      7,
      topicRequest(name, 1),
      (response) => answers.push(response.topics[0]!.errorCode),
    );
  const run = (done: () => boolean): boolean =>
    node.run(() => {
      for (const client of clients) client.poll();
      return done();
    }, 5_000);
  create(clients[0]!, "late");
  run(() => false);
  create(clients[1]!, "late");
  run(() => false);
  assert.equal(image.topicByName("late"), undefined);
  failing.on = false;
  assert(run(() => answers.length === 2));
  assert.deepEqual(answers.sort(), [0, ErrorCode.TOPIC_ALREADY_EXISTS]);
  create(clients[2]!, "next");
  assert(run(() => answers.length === 3));
  assert.equal(answers[2], 0);
  const groups = [...partitions.all()].map((each) => each.image.groupId);
  assert.equal(new Set(groups).size, groups.length);
  assert.deepEqual(node.remarks.filter((each) => each.includes("Skipped")), []);
});

Deno.test("groups of a partition that damage made read-only have no coordinator, and the log says so", () => {
  const node = nodeWithGroup();
  commit(node, 0, 11);
  assert(node.stop());
  node.crash();
  assert(node.mount(1));
  find(node);
  commit(node, 0, 12);
  const groupId = offsetsPartition(node).image.groupId;
  node.crash();
  // The newest journal writes rot, but for what a torn write could explain.
  const { blocks } = takePicture(node.disk).shards[0]!;
  for (const { path, block, lsn } of blocks.slice(-6, -1)) {
    if (lsn > 0) node.disk.replaceBlock(path, block, new Uint8Array(BLOCK_SIZE).fill(7));
  }
  assert(node.mount(1), node.refusal ?? "");
  assert.ok(node.report!.suspectGroups.includes(groupId), "the partition is sound");
  const remarks = node.remarks.filter((each) => each.includes("Groups have no coordinator"));
  assert.match(remarks[0]!, /"partition":"__consumer_offsets-0".*--accept-loss/);
  node.pass(10_000);
  const join = call(node, JOIN_GROUP, 5, newJoinGroupRequest({ groupId: GROUP }));
  assert.equal(join.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const beat = call(node, HEARTBEAT, 3, newHeartbeatRequest({ groupId: GROUP }));
  assert.equal(beat.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const fetched = call(node, OFFSET_FETCH, 7, newOffsetFetchRequest({ groupId: GROUP }));
  assert.equal(fetched.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const described = call(node, DESCRIBE_GROUPS, 5, newDescribeGroupsRequest({ groups: [GROUP] }));
  assert.equal(described.groups[0]!.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const listed = call(node, LIST_GROUPS, 4, newListGroupsRequest());
  assert.deepEqual([listed.errorCode, listed.groups], [0, []]);
  node.shards[0]!.shard.trouble = {
    diskFull: false,
    damagedGroups: new Set([groupId]),
    readOnlyGroups: new Set([groupId]),
  };
  const request = newFindCoordinatorRequest({ coordinatorKeys: [GROUP] });
  const [found] = call(node, FIND_COORDINATOR, 4, request).coordinators;
  assert.equal(found!.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  assert.match(found!.errorMessage!, /--accept-loss/);
  assert(node.stop());
  node.crash();
  assert(node.mount(1, undefined, true));
  find(node);
  commit(node, 0, 13);
  assert.equal(committed(node, 0), 13);
});
