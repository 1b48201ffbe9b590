import { strict as assert } from "node:assert";
import { TRANSACTIONS_SINCE_VERSION } from "../../cluster/logical_version.ts";
import { registerNode } from "../../cluster/membership.ts";
import { testNode } from "../../cluster/test_cluster.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newDeleteGroupsRequest } from "../../wire/generated/delete_groups_request.ts";
import { newDescribeGroupsRequest } from "../../wire/generated/describe_groups_request.ts";
import { newFindCoordinatorRequest } from "../../wire/generated/find_coordinator_request.ts";
import { newHeartbeatRequest } from "../../wire/generated/heartbeat_request.ts";
import { newJoinGroupRequest } from "../../wire/generated/join_group_request.ts";
import { newLeaveGroupRequest } from "../../wire/generated/leave_group_request.ts";
import { newListGroupsRequest } from "../../wire/generated/list_groups_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
} from "../../wire/generated/offset_commit_request.ts";
import { newOffsetDeleteRequest } from "../../wire/generated/offset_delete_request.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestGroup,
  newOffsetFetchRequestTopics,
} from "../../wire/generated/offset_fetch_request.ts";
import { newSyncGroupRequest } from "../../wire/generated/sync_group_request.ts";
import { TestBroker } from "../test_services.ts";
import { DELETE_GROUPS_HANDLER } from "./delete_groups.ts";
import { DESCRIBE_GROUPS_HANDLER } from "./describe_groups.ts";
import { FIND_COORDINATOR_HANDLER } from "./find_coordinator.ts";
import { HEARTBEAT_HANDLER } from "./heartbeat.ts";
import { JOIN_GROUP_HANDLER } from "./join_group.ts";
import { LEAVE_GROUP_HANDLER } from "./leave_group.ts";
import { LIST_GROUPS_HANDLER } from "./list_groups.ts";
import { OFFSET_COMMIT_HANDLER } from "./offset_commit.ts";
import { OFFSET_DELETE_HANDLER } from "./offset_delete.ts";
import { OFFSET_FETCH_HANDLER } from "./offset_fetch.ts";
import { SYNC_GROUP_HANDLER } from "./sync_group.ts";

const versions = (handler: { minVersion: number; maxVersion: number }): number[] =>
  Array.from(
    { length: handler.maxVersion - handler.minVersion + 1 },
    (_, at) => handler.minVersion + at,
  );

/** A consumer's whole round of one group, in each version of one API. */
function join(broker: TestBroker, version: number, groupId: string): string {
  const request = newJoinGroupRequest({
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: version === 0 ? -1 : 10_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Uint8Array.of(0, 0, 0, 0, 0, 0) }],
  });
  let pending = broker.send(JOIN_GROUP_HANDLER, version, request);
  let memberId = pending()?.memberId ?? "";
  if (version >= 4) {
    assert.equal(pending()!.errorCode, ErrorCode.MEMBER_ID_REQUIRED);
    pending = broker.send(JOIN_GROUP_HANDLER, version, { ...request, memberId });
  }
  assert.equal(pending(), null);
  broker.groups.tick(0);
  const joined = pending()!;
  assert.equal(joined.errorCode, 0);
  assert.equal(joined.protocolName, "range");
  memberId = joined.memberId;
  assert.equal(joined.leader, memberId);
  return memberId;
}

function sync(broker: TestBroker, version: number, groupId: string, memberId: string): void {
  const assignments = [{ memberId, assignment: Uint8Array.of(7) }];
  const request = newSyncGroupRequest({ groupId, generationId: 1, memberId, assignments });
  if (version >= 5) request.protocolType = "consumer";
  if (version >= 5) request.protocolName = "range";
  const synced = broker.ask(SYNC_GROUP_HANDLER, version, request);
  assert.equal(synced.errorCode, 0);
  assert.deepEqual([...synced.assignment], [7]);
}

const commitOf = (groupId: string, name: string, offset: number) =>
  newOffsetCommitRequest({
    groupId,
    topics: [newOffsetCommitRequestTopic({
      name,
      partitions: [
        newOffsetCommitRequestPartition({ committedOffset: offset, committedMetadata: "note" }),
      ],
    })],
  });

Deno.test("JoinGroup, SyncGroup, Heartbeat and LeaveGroup work in every version", () => {
  for (const version of versions(JOIN_GROUP_HANDLER)) {
    const broker = new TestBroker({ shardCount: 2 });
    const groupId = `group-${version}`;
    const memberId = join(broker, version, groupId);
    sync(broker, Math.min(version, 5), groupId, memberId);
    const heartbeat = newHeartbeatRequest({ groupId, generationId: 1, memberId });
    assert.equal(broker.ask(HEARTBEAT_HANDLER, Math.min(version, 4), heartbeat).errorCode, 0);
    const leaveVersion = Math.min(version, 5);
    const leave = leaveVersion < 3
      ? newLeaveGroupRequest({ groupId, memberId })
      : newLeaveGroupRequest({
        groupId,
        members: [{ memberId, groupInstanceId: null, reason: null }],
      });
    const left = broker.ask(LEAVE_GROUP_HANDLER, leaveVersion, leave);
    assert.equal(left.errorCode, 0);
    assert.deepEqual(left.members.map((m) => m.errorCode), leaveVersion < 3 ? [] : [0]);
    const again = broker.ask(LEAVE_GROUP_HANDLER, leaveVersion, leave);
    assert.equal(
      leaveVersion < 3 ? again.errorCode : again.members[0]!.errorCode,
      ErrorCode.UNKNOWN_MEMBER_ID,
    );
  }
});

Deno.test("OffsetCommit and OffsetFetch work in every version", () => {
  const broker = new TestBroker({ shardCount: 2 });
  broker.addTopic("orders", 1);
  const { id } = broker.cluster.image.topicByName("orders")!;
  for (const version of versions(OFFSET_COMMIT_HANDLER)) {
    const request = commitOf("g", "orders", 100 + version);
    const { partitions } = request.topics[0]!;
    partitions.unshift(...[1, -1].map((partitionIndex) => ({ ...partitions[0]!, partitionIndex })));
    const other = commitOf("g", "nowhere", 1).topics[0]!;
    request.topics.push(other);
    if (version >= 10) {
      request.topics[0]!.topicId = id;
      other.topicId = "00000000000000000000000000000bad";
    }
    const { topics } = broker.ask(OFFSET_COMMIT_HANDLER, version, request);
    const unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    assert.deepEqual(
      topics.map((topic) => topic.partitions.map((p) => [p.partitionIndex, p.errorCode])),
      [
        [[1, unknown], [-1, unknown], [0, 0]],
        [[0, version >= 10 ? ErrorCode.UNKNOWN_TOPIC_ID : unknown]],
      ],
    );
  }
  for (const version of versions(OFFSET_FETCH_HANDLER)) {
    if (version < 8) {
      const topics = [{ name: "orders", partitionIndexes: [0, 1] }];
      const request = newOffsetFetchRequest({ groupId: "g", topics });
      const named = broker.ask(OFFSET_FETCH_HANDLER, version, request);
      assert.deepEqual(
        named.topics[0]!.partitions.map((p) => [p.committedOffset, p.metadata, p.errorCode]),
        [[110, "note", 0], [-1, "", 0]],
      );
      if (version < 2) continue;
      const all = broker.ask(OFFSET_FETCH_HANDLER, version, { ...request, topics: null });
      assert.deepEqual(all.topics.map((t) => [t.name, t.partitions.length]), [["orders", 1]]);
      continue;
    }
    const topic = newOffsetFetchRequestTopics({ partitionIndexes: [0] });
    const unknown = { ...topic, topicId: "00000000000000000000000000000bad" };
    const topics = version < 10
      ? [{ ...topic, name: "orders" }]
      : [unknown, { ...topic, topicId: id }];
    const groups = [
      newOffsetFetchRequestGroup({ groupId: "g", topics }),
      newOffsetFetchRequestGroup({ groupId: "none", topics }),
      newOffsetFetchRequestGroup({ groupId: "g2", topics: null }),
      newOffsetFetchRequestGroup({ groupId: "g", topics: [] }),
    ];
    const fetched = broker.ask(OFFSET_FETCH_HANDLER, version, newOffsetFetchRequest({ groups }));
    assert.deepEqual(fetched.groups.map((group) => group.groupId), ["g", "none", "g2", "g"]);
    const offsets = fetched.groups.map((group) =>
      group.topics.map((t) => [t.partitions[0]!.committedOffset, t.partitions[0]!.errorCode])
    );
    const bad = version < 10 ? [] : [[-1, ErrorCode.UNKNOWN_TOPIC_ID]];
    assert.deepEqual(offsets, [[...bad, [110, 0]], [...bad, [-1, 0]], [], []]);
  }
});

Deno.test("OffsetFetch v10 names all topics of a group by id", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 1);
  broker.ask(OFFSET_COMMIT_HANDLER, 9, commitOf("g", "orders", 5));
  const groups = [newOffsetFetchRequestGroup({ groupId: "g", topics: null })];
  const fetched = broker.ask(OFFSET_FETCH_HANDLER, 10, newOffsetFetchRequest({ groups }));
  assert.deepEqual(
    fetched.groups[0]!.topics.map((topic) => topic.topicId),
    [broker.cluster.image.topicByName("orders")!.id],
  );
});

Deno.test("OffsetDelete forgets, and says what does not exist", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 1);
  broker.ask(OFFSET_COMMIT_HANDLER, 9, commitOf("g", "orders", 5));
  const partitions = [{ partitionIndex: 0 }];
  const request = newOffsetDeleteRequest({
    groupId: "g",
    topics: [
      { name: "nowhere", partitions },
      { name: "orders", partitions: [{ partitionIndex: 7 }, ...partitions] },
    ],
  });
  const deleted = broker.ask(OFFSET_DELETE_HANDLER, 0, request);
  const answers = deleted.topics.flatMap((topic) =>
    topic.partitions.map((p) => [topic.name, p.partitionIndex, p.errorCode])
  );
  assert.deepEqual(answers, [
    ["nowhere", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ["orders", 7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ["orders", 0, ErrorCode.NONE],
  ]);
  // The group is there, without an offset, until the next check for expired ones.
  assert.equal(broker.ask(OFFSET_DELETE_HANDLER, 0, request).errorCode, ErrorCode.NONE);
  const none = newOffsetDeleteRequest({ groupId: "none", topics: request.topics });
  const again = broker.ask(OFFSET_DELETE_HANDLER, 0, none);
  assert.equal(again.errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
});

Deno.test("OffsetDelete answers a topic that is named twice once", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 2);
  broker.ask(OFFSET_COMMIT_HANDLER, 9, commitOf("g", "orders", 5));
  const topics = [0, 9, 1].map((partitionIndex) => ({
    name: "orders",
    partitions: [{ partitionIndex }],
  }));
  const request = newOffsetDeleteRequest({ groupId: "g", topics });
  const deleted = broker.ask(OFFSET_DELETE_HANDLER, 0, request);
  assert.deepEqual(
    deleted.topics.map((topic) => topic.partitions.map((p) => [p.partitionIndex, p.errorCode])),
    [[[9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION], [0, 0], [1, 0]]],
  );
});

Deno.test("OffsetCommit answers a topic that is named often once where something is refused", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 2);
  const ask = (...indexes: number[]) => {
    const request = commitOf("g", "orders", 1);
    const [topic] = request.topics;
    request.topics = indexes.map((partitionIndex) => ({
      ...topic!,
      partitions: [{ ...topic!.partitions[0]!, partitionIndex }],
    }));
    return broker.ask(OFFSET_COMMIT_HANDLER, 9, request).topics
      .map((topic) => topic.partitions.map((p) => [p.partitionIndex, p.errorCode]));
  };
  const unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  assert.deepEqual(ask(0, 7, 1, 7), [[[7, unknown], [7, unknown], [0, 0], [1, 0]]]);
  assert.deepEqual(ask(0, 0), [[[0, 0]], [[0, 0]]]);
});

Deno.test("OffsetCommit without a topic that exists does not look at the group", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 1);
  const request = commitOf("g", "nowhere", 1);
  request.generationIdOrMemberEpoch = 7;
  const { topics } = broker.ask(OFFSET_COMMIT_HANDLER, 9, request);
  assert.deepEqual(
    topics.map((topic) => topic.partitions.map((p) => p.errorCode)),
    [[ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]],
  );
  const empty = commitOf("g", "orders", 1);
  empty.topics[0]!.partitions = [];
  assert.deepEqual(broker.ask(OFFSET_COMMIT_HANDLER, 9, empty).topics, []);
});

Deno.test("SyncGroup v5 has to name its protocol", () => {
  const broker = new TestBroker();
  const memberId = join(broker, 9, "g");
  const request = newSyncGroupRequest({ groupId: "g", generationId: 1, memberId });
  const refused = ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
  assert.equal(broker.ask(SYNC_GROUP_HANDLER, 5, request).errorCode, refused);
  request.protocolType = "consumer";
  assert.equal(broker.ask(SYNC_GROUP_HANDLER, 5, request).errorCode, refused);
  sync(broker, 5, "g", memberId);
});

Deno.test("ListGroups, DescribeGroups and DeleteGroups work in every version, over all shards", () => {
  const broker = new TestBroker({ shardCount: 3 });
  broker.addTopic("orders", 1);
  const ids = ["a", "b", "c", "d"];
  for (const groupId of ids) broker.ask(OFFSET_COMMIT_HANDLER, 9, commitOf(groupId, "orders", 1));
  const memberId = join(broker, 9, "live");
  sync(broker, 5, "live", memberId);
  for (const version of versions(LIST_GROUPS_HANDLER)) {
    const { groups } = broker.ask(LIST_GROUPS_HANDLER, version, newListGroupsRequest());
    assert.deepEqual(groups.map((group) => group.groupId).sort(), [...ids, "live"]);
    if (version < 4) continue;
    const request = newListGroupsRequest({ statesFilter: ["stable"] });
    if (version >= 5) request.typesFilter = ["Classic"];
    const stable = broker.ask(LIST_GROUPS_HANDLER, version, request).groups;
    assert.deepEqual(stable.map((g) => [g.groupId, g.groupState, g.protocolType]), [
      ["live", "Stable", "consumer"],
    ]);
    if (version < 5) continue;
    request.typesFilter = ["consumer"];
    assert.deepEqual(broker.ask(LIST_GROUPS_HANDLER, version, request).groups, []);
  }
  for (const version of versions(DESCRIBE_GROUPS_HANDLER)) {
    const request = newDescribeGroupsRequest({
      groups: ["live", "a", "none"],
      includeAuthorizedOperations: version >= 3,
    });
    const { groups } = broker.ask(DESCRIBE_GROUPS_HANDLER, version, request);
    assert.deepEqual(groups.map((g) => [g.groupId, g.groupState, g.errorCode]), [
      ["live", "Stable", 0],
      ["a", "Empty", 0],
      ["none", "Dead", version >= 6 ? ErrorCode.GROUP_ID_NOT_FOUND : 0],
    ]);
    assert.deepEqual(
      groups[0]!.members.map((m) => [m.memberId, m.clientHost, [...m.memberAssignment]]),
      [
        [memberId, "/127.0.0.1", [7]],
      ],
    );
    assert.equal(groups[0]!.authorizedOperations, version >= 3 ? 3400 : -2147483648);
  }
  versions(DELETE_GROUPS_HANDLER).forEach((version, at) => {
    const request = newDeleteGroupsRequest({ groupsNames: [ids[at]!, "live", "none"] });
    const { results } = broker.ask(DELETE_GROUPS_HANDLER, version, request);
    assert.deepEqual(results.map((result) => result.errorCode), [
      0,
      ErrorCode.NON_EMPTY_GROUP,
      ErrorCode.GROUP_ID_NOT_FOUND,
    ]);
  });
  const left = broker.ask(LIST_GROUPS_HANDLER, 5, newListGroupsRequest()).groups;
  assert.deepEqual(left.map((group) => group.groupId), ["live"]);
});

Deno.test("FindCoordinator makes the offsets topic and names the leader, in every version", () => {
  for (const version of versions(FIND_COORDINATOR_HANDLER)) {
    const broker = new TestBroker();
    const request = version >= 4
      ? newFindCoordinatorRequest({ coordinatorKeys: ["a", "b"] })
      : newFindCoordinatorRequest({ key: "a" });
    const found = broker.ask(FIND_COORDINATOR_HANDLER, version, request);
    const rows = version >= 4 ? found.coordinators : [found];
    for (const row of rows) {
      assert.equal(row.errorCode, 0);
      assert.equal(row.nodeId, 0);
      assert.notEqual(row.port, 0);
    }
    assert.equal(broker.cluster.image.topicByName("__consumer_offsets")!.partitions.length, 50);
  }
});

Deno.test("FindCoordinator refuses transactional ids where nodes have no transactions, and other types", () => {
  const broker = new TestBroker();
  const keys = { coordinatorKeys: ["x"] };
  const ask = (keyType: number) =>
    broker.ask(FIND_COORDINATOR_HANDLER, 6, newFindCoordinatorRequest({ ...keys, keyType }))
      .coordinators[0]!;
  const older = { ...testNode(7), logicalVersion: TRANSACTIONS_SINCE_VERSION - 1 };
  broker.cluster.run((command) => registerNode(command, older));
  assert.equal(ask(1).errorCode, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
  assert.match(ask(1).errorMessage!, /no transactions/);
  assert.equal(ask(2).errorCode, ErrorCode.INVALID_REQUEST);
  assert.equal(broker.cluster.image.topicByName("__transaction_state"), undefined);
  const all = new TestBroker();
  const found = all.ask(
    FIND_COORDINATOR_HANDLER,
    6,
    newFindCoordinatorRequest({ ...keys, keyType: 1 }),
  );
  assert.equal(found.coordinators[0]!.errorCode, ErrorCode.NONE);
  assert.equal(all.cluster.image.topicByName("__transaction_state")!.partitions.length, 50);
  assert.equal(all.cluster.image.topicByName("__consumer_offsets"), undefined);
});

Deno.test("a coordinator that has lost the connections to a majority tells no committed offsets", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 1);
  const groupId = "g";
  const topics = [{ name: "orders", partitionIndexes: [0] }];
  const fetch = newOffsetFetchRequest({ groupId, topics });
  assert.equal(broker.ask(OFFSET_FETCH_HANDLER, 7, fetch).errorCode, ErrorCode.NONE);
  broker.groups.cutOff = true;
  assert.equal(broker.ask(OFFSET_FETCH_HANDLER, 7, fetch).errorCode, ErrorCode.NOT_COORDINATOR);
});

Deno.test("every group API says NOT_COORDINATOR where another node leads the partition", () => {
  const broker = new TestBroker();
  broker.addTopic("orders", 1);
  broker.groups.elsewhere = true;
  const groupId = "g";
  const code = ErrorCode.NOT_COORDINATOR;
  for (const version of versions(JOIN_GROUP_HANDLER)) {
    const request = newJoinGroupRequest({ groupId });
    assert.equal(broker.ask(JOIN_GROUP_HANDLER, version, request).errorCode, code);
  }
  const sync = newSyncGroupRequest({ groupId });
  assert.equal(broker.ask(SYNC_GROUP_HANDLER, 4, sync).errorCode, code);
  const heartbeat = newHeartbeatRequest({ groupId });
  assert.equal(broker.ask(HEARTBEAT_HANDLER, 4, heartbeat).errorCode, code);
  const leave = newLeaveGroupRequest({ groupId });
  assert.equal(broker.ask(LEAVE_GROUP_HANDLER, 2, leave).errorCode, code);
  const committed = broker.ask(OFFSET_COMMIT_HANDLER, 9, commitOf(groupId, "orders", 1));
  assert.equal(committed.topics[0]!.partitions[0]!.errorCode, code);
  const topics = [{ name: "orders", partitionIndexes: [0] }];
  const fetch = newOffsetFetchRequest({ groupId, topics });
  const old = broker.ask(OFFSET_FETCH_HANDLER, 1, fetch);
  assert.equal(old.topics[0]!.partitions[0]!.errorCode, code);
  assert.equal(broker.ask(OFFSET_FETCH_HANDLER, 2, fetch).errorCode, code);
  const remove = newOffsetDeleteRequest({ groupId });
  assert.equal(broker.ask(OFFSET_DELETE_HANDLER, 0, remove).errorCode, code);
  const described = broker.ask(
    DESCRIBE_GROUPS_HANDLER,
    5,
    newDescribeGroupsRequest({ groups: [groupId] }),
  );
  assert.equal(described.groups[0]!.errorCode, code);
  const deletion = newDeleteGroupsRequest({ groupsNames: [groupId] });
  const deleted = broker.ask(DELETE_GROUPS_HANDLER, 3, deletion).results[0]!;
  assert.equal(deleted.errorCode, code);
  assert.equal(deleted.errorMessage, "This server is not the coordinator");
});
