/**
 * States that are kept in logs - coordinators, the controller's image - when this node loses the leadership
 * of their partition and gets it back.
 */

import { strict as assert } from "node:assert";
import { OFFSETS_TOPIC } from "../../src/cluster/topic_names.ts";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CREATE_TOPICS,
  FIND_COORDINATOR,
  HEARTBEAT,
  JOIN_GROUP,
  LIST_GROUPS,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  SYNC_GROUP,
} from "../../src/wire/generated/apis.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newHeartbeatRequest } from "../../src/wire/generated/heartbeat_request.ts";
import { newJoinGroupRequest } from "../../src/wire/generated/join_group_request.ts";
import { newListGroupsRequest } from "../../src/wire/generated/list_groups_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import { newOffsetFetchRequest } from "../../src/wire/generated/offset_fetch_request.ts";
import { newSyncGroupRequest } from "../../src/wire/generated/sync_group_request.ts";
import { FickleBench, isInFlight, OTHER_NODE } from "./fickle_bench.ts";
import type { FickleReplica } from "./fickle_replica.ts";
import { topicRequest } from "./sim_requests.ts";

const GROUP = "g";
/** A group without members, which commits as it likes. */
const FREE = "h";

/** A bench with a topic `t`, and a coordinator on one of the two shards. */
class Bench extends FickleBench {
  constructor(seed: number) {
    super(seed);
    this.create("t");
    this.findCoordinator();
    this.until(() => this.serves);
  }

  get offsets(): FickleReplica {
    return this.replica(OFFSETS_TOPIC);
  }

  findCoordinator(): number {
    const request = newFindCoordinatorRequest({ coordinatorKeys: [GROUP] });
    return this.ask(0, FIND_COORDINATOR, 4, request)(5000).coordinators[0]!.nodeId;
  }

  /** A coordinator has loaded its state. */
  get serves(): boolean {
    return this.node.shards.some(({ shard }) => [...shard.groups.all()].some((c) => c.active));
  }

  commit(
    committedOffset: number,
    groupId = GROUP,
    committedMetadata = "",
    shard = 0,
  ): () => number {
    const partition = newOffsetCommitRequestPartition({ committedOffset, committedMetadata });
    const topics = [{ name: "t", topicId: "0".repeat(32), partitions: [partition] }];
    const answer = this.ask(shard, OFFSET_COMMIT, 8, newOffsetCommitRequest({ groupId, topics }));
    return () => answer().topics[0]!.partitions[0]!.errorCode;
  }

  /** The offset that a group has committed; a negative error code when it is not told. */
  committed(groupId = GROUP): number {
    const topics = [{ name: "t", partitionIndexes: [0] }];
    const response = this.ask(0, OFFSET_FETCH, 7, newOffsetFetchRequest({ groupId, topics }))();
    if (response.errorCode !== 0) return -response.errorCode;
    return response.topics[0]!.partitions[0]!.committedOffset;
  }

  /** Joins as a new member, or again. */
  join(memberId = ""): () => { errorCode: number; memberId: string; generationId: number } {
    return this.ask(
      0,
      JOIN_GROUP,
      3,
      newJoinGroupRequest({
        groupId: GROUP,
        memberId,
        sessionTimeoutMs: 30_000,
        rebalanceTimeoutMs: 30_000,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: new Uint8Array(4) }],
      }),
    );
  }

  sync(memberId: string, generationId: number, others: string[] = []): () => number {
    const assignments = others.map((id) => ({ memberId: id, assignment: new Uint8Array(4) }));
    const request = newSyncGroupRequest({ groupId: GROUP, memberId, generationId, assignments });
    const answer = this.ask(0, SYNC_GROUP, 3, request);
    return () => answer().errorCode;
  }
}

Deno.test("a coordinator that loses its partition answers everybody NOT_COORDINATOR, and loads again when it leads again", () => {
  const bench = new Bench(1);
  assert.equal(bench.commit(11)(), 0);
  const leader = bench.join()();
  assert.equal(bench.sync(leader.memberId, leader.generationId, [leader.memberId])(), 0);
  // A second member waits for the first to join again.
  const parkedJoin = bench.join();
  for (let i = 0; i < 40; i++) bench.step();
  // Over another connection, because answers come in order.
  const parkedCommit = bench.commit(22, FREE, "", 1);
  bench.until(() => isInFlight(bench.offsets));
  bench.offsets.stepDown(OTHER_NODE);

  assert.equal(parkedCommit(), ErrorCode.NOT_COORDINATOR);
  assert.equal(parkedJoin().errorCode, ErrorCode.NOT_COORDINATOR);
  assert.equal(bench.commit(33, FREE)(), ErrorCode.NOT_COORDINATOR);
  assert.equal(bench.committed(FREE), -ErrorCode.NOT_COORDINATOR);
  const { memberId, generationId } = leader;
  const beat = newHeartbeatRequest({ groupId: GROUP, memberId, generationId });
  assert.equal(bench.ask(0, HEARTBEAT, 3, beat)().errorCode, ErrorCode.NOT_COORDINATOR);
  const listed = bench.ask(0, LIST_GROUPS, 4, newListGroupsRequest())();
  assert.deepEqual([listed.errorCode, listed.groups], [0, []], "others list their own");
  assert.equal(bench.findCoordinator(), OTHER_NODE);

  bench.elect(bench.offsets);
  bench.until(() => bench.serves);
  // The commit in flight was in the log, and its next leader committed it.
  assert.equal(bench.committed(FREE), 22);
  assert.equal(bench.committed(), 11);
  assert.equal(bench.ask(0, HEARTBEAT, 3, beat)().errorCode, 0, "the group is as it was written");
  assert.equal(bench.commit(44, FREE)(), 0);
  assert.equal(bench.committed(FREE), 44);
});

Deno.test("a member that waits for its assignment is sent away when leadership is lost", () => {
  const bench = new Bench(2);
  const first = bench.join()();
  assert.equal(bench.sync(first.memberId, first.generationId, [first.memberId])(), 0);
  const joinSecond = bench.join();
  for (let i = 0; i < 40; i++) bench.step();
  // The first joins again, over another connection.
  const rejoin = bench.ask(1, JOIN_GROUP, 3, {
    ...newJoinGroupRequest({ groupId: GROUP, memberId: first.memberId }),
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array(4) }],
  });
  const second = joinSecond();
  assert.equal(rejoin().errorCode, 0);
  const waiting = bench.sync(second.memberId, second.generationId);
  for (let i = 0; i < 40; i++) bench.step();
  bench.offsets.stepDown(-1);
  assert.equal(waiting(), ErrorCode.NOT_COORDINATOR);
});

Deno.test("leadership that comes and goes while a coordinator loads leaves one that serves", () => {
  const bench = new Bench(3);
  for (let i = 0; i < 30; i++) assert.equal(bench.commit(i)(), 0);
  for (let round = 0; round < 6; round++) {
    bench.offsets.stepDown(OTHER_NODE);
    bench.elect(bench.offsets);
    for (let i = 0; i < round; i++) bench.step();
  }
  bench.until(() => bench.serves);
  assert.equal(bench.committed(), 29);
});

Deno.test("a snapshot that is being written when leadership is lost is given up", () => {
  const bench = new Bench(4);
  const { node } = bench;
  // More than one piece of a snapshot.
  const groups = Array.from({ length: 60 }, (_, i) => `group-${i}`);
  const metadata = "m".repeat(3000);
  for (const [i, groupId] of groups.entries()) {
    assert.equal(bench.commit(i, groupId, metadata)(), 0);
  }
  const isWriting = (): boolean =>
    node.disk.paths().some((path) =>
      path === `snapshots/${bench.offsets.log.groupId}.${bench.offsets.log.incarnation}.new`
    );
  let given = 0;
  for (let round = 0; round < 8; round++) {
    const answer = bench.commit(round, groups[0], metadata);
    bench.until(() => isWriting(), 5000);
    for (let i = 0; i < round; i++) bench.step();
    answer();
    if (isWriting()) given++;
    bench.offsets.stepDown(OTHER_NODE);
    bench.elect(bench.offsets);
    bench.until(() => bench.serves, 5000);
  }
  assert(given > 0, "no snapshot was being written");
  node.pass(100);
  const expected = groups.map((_, i) => i === 0 ? 7 : i);
  assert.deepEqual(groups.map((groupId) => bench.committed(groupId)), expected);
  node.disk.crash();
  node.crash();
  bench.mount();
  bench.until(() => bench.serves, 5000);
  assert.deepEqual(groups.map((groupId) => bench.committed(groupId)), expected);
  assert.deepEqual(node.remarks, []);
});

Deno.test("a controller that loses group 0 refuses commands, and applies what its next term commits on every shard", () => {
  const bench = new Bench(5);
  const group0 = bench.replicaOf(CONTROLLER_GROUP_ID);
  const created = bench.ask(1, CREATE_TOPICS, 7, topicRequest("flying", 2));
  bench.until(() => isInFlight(group0));
  group0.stepDown(-1);
  assert.equal(created().topics[0]!.errorCode, ErrorCode.NOT_CONTROLLER);
  const later = bench.ask(0, CREATE_TOPICS, 7, topicRequest("later", 1))();
  assert.equal(later.topics[0]!.errorCode, ErrorCode.NOT_CONTROLLER);
  const images = bench.node.shards.map(({ shard }) => shard.image);
  assert(images.every((image) => image.topicByName("flying") === undefined));

  bench.elect(group0);
  const known = (name: string): boolean =>
    images.every((image) => image.topicByName(name) !== undefined);
  bench.until(() => known("flying"));
  assert.equal(bench.ask(1, CREATE_TOPICS, 7, topicRequest("later", 1))().topics[0]!.errorCode, 0);
  assert(known("later"));
  const again = bench.ask(0, CREATE_TOPICS, 7, topicRequest("flying", 2))();
  assert.equal(again.topics[0]!.errorCode, ErrorCode.TOPIC_ALREADY_EXISTS);
});
