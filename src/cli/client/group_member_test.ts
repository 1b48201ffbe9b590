import { strict as assert } from "node:assert";
import { ErrorCode } from "../../wire/errors.ts";
import {
  FETCH,
  FIND_COORDINATOR,
  HEARTBEAT,
  JOIN_GROUP,
  LEAVE_GROUP,
  LIST_OFFSETS,
  METADATA,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  SYNC_GROUP,
} from "../../wire/generated/apis.ts";
import {
  newFetchableTopicResponse,
  newFetchResponse,
  newPartitionData,
} from "../../wire/generated/fetch_response.ts";
import {
  newCoordinator,
  newFindCoordinatorResponse,
} from "../../wire/generated/find_coordinator_response.ts";
import { newHeartbeatResponse } from "../../wire/generated/heartbeat_response.ts";
import {
  newJoinGroupResponse,
  newJoinGroupResponseMember,
} from "../../wire/generated/join_group_response.ts";
import type { LeaveGroupRequest } from "../../wire/generated/leave_group_request.ts";
import { newLeaveGroupResponse } from "../../wire/generated/leave_group_response.ts";
import {
  newListOffsetsPartitionResponse,
  newListOffsetsResponse,
  newListOffsetsTopicResponse,
} from "../../wire/generated/list_offsets_response.ts";
import {
  newMetadataResponse,
  newMetadataResponseBroker,
  newMetadataResponsePartition,
  newMetadataResponseTopic,
} from "../../wire/generated/metadata_response.ts";
import type { OffsetCommitRequest } from "../../wire/generated/offset_commit_request.ts";
import {
  newOffsetCommitResponse,
  newOffsetCommitResponsePartition,
  newOffsetCommitResponseTopic,
} from "../../wire/generated/offset_commit_response.ts";
import {
  newOffsetFetchResponse,
  newOffsetFetchResponseGroup,
  newOffsetFetchResponsePartitions,
  newOffsetFetchResponseTopics,
} from "../../wire/generated/offset_fetch_response.ts";
import { newSyncGroupResponse } from "../../wire/generated/sync_group_response.ts";
import { RecordBatchBuilder } from "../../wire/record_batch_builder.ts";
import { runGregor } from "../testing.ts";
import { scripted, ScriptedBroker } from "./scripted_broker.ts";

/** A broker with topic `t` of two partitions of three records each, and a coordinator of groups. */
function groupBroker(committed: readonly number[]): ScriptedBroker {
  const records = (): Uint8Array => {
    const builder = new RecordBatchBuilder();
    for (const value of ["a", "b", "c"]) {
      builder.add({ key: null, value: new TextEncoder().encode(value), timestamp: 0 });
    }
    return builder.build();
  };
  const broker: ScriptedBroker = new ScriptedBroker([
    scripted(METADATA, 9, () =>
      newMetadataResponse({
        controllerId: 1,
        brokers: [newMetadataResponseBroker({ nodeId: 1, ...broker.address })],
        topics: [
          newMetadataResponseTopic({
            name: "t",
            partitions: [0, 1].map((partitionIndex) =>
              newMetadataResponsePartition({ partitionIndex, leaderId: 1 })
            ),
          }),
        ],
      })),
    scripted(FIND_COORDINATOR, 4, (request) =>
      newFindCoordinatorResponse({
        coordinators: [
          newCoordinator({ key: request.coordinatorKeys[0]!, nodeId: 1, ...broker.address }),
        ],
      })),
    scripted(
      JOIN_GROUP,
      6,
      (request) =>
        request.memberId === ""
          ? newJoinGroupResponse({ errorCode: ErrorCode.MEMBER_ID_REQUIRED, memberId: "samsa-1" })
          : newJoinGroupResponse({
            generationId: 4,
            protocolName: "range",
            leader: request.memberId,
            memberId: request.memberId,
            members: [
              newJoinGroupResponseMember({
                memberId: request.memberId,
                metadata: request.protocols[0]!.metadata,
              }),
            ],
          }),
    ),
    scripted(
      SYNC_GROUP,
      4,
      (request) => newSyncGroupResponse({ assignment: request.assignments[0]!.assignment }),
    ),
    scripted(HEARTBEAT, 4, () => newHeartbeatResponse()),
    scripted(LEAVE_GROUP, 4, () => newLeaveGroupResponse()),
    scripted(OFFSET_FETCH, 8, () =>
      newOffsetFetchResponse({
        groups: [
          newOffsetFetchResponseGroup({
            groupId: "g",
            topics: [
              newOffsetFetchResponseTopics({
                name: "t",
                partitions: committed.map((committedOffset, partitionIndex) =>
                  newOffsetFetchResponsePartitions({ partitionIndex, committedOffset })
                ),
              }),
            ],
          }),
        ],
      })),
    scripted(OFFSET_COMMIT, 8, (request) =>
      newOffsetCommitResponse({
        topics: request.topics.map(({ name, partitions }) =>
          newOffsetCommitResponseTopic({
            name,
            partitions: partitions.map(({ partitionIndex }) =>
              newOffsetCommitResponsePartition({ partitionIndex })
            ),
          })
        ),
      })),
    scripted(LIST_OFFSETS, 5, (request) =>
      newListOffsetsResponse({
        topics: request.topics.map(({ name, partitions }) =>
          newListOffsetsTopicResponse({
            name,
            partitions: partitions.map(({ partitionIndex, timestamp }) =>
              newListOffsetsPartitionResponse({ partitionIndex, offset: timestamp === -2 ? 0 : 3 })
            ),
          })
        ),
      })),
    scripted(FETCH, 11, (request) =>
      newFetchResponse({
        responses: request.topics.map(({ topic, partitions }) =>
          newFetchableTopicResponse({
            topic,
            partitions: partitions.map(({ partition, fetchOffset }) =>
              newPartitionData({
                partitionIndex: partition,
                highWatermark: 3,
                records: fetchOffset < 3 ? records() : null,
              })
            ),
          })
        ),
      })),
  ]);
  return broker;
}

function committedBy(broker: ScriptedBroker): string[] {
  return broker.received
    .filter((one) => one.name === "OffsetCommit")
    .map((one) => one.request as OffsetCommitRequest)
    .flatMap(({ memberId, generationIdOrMemberEpoch, topics }) =>
      topics.flatMap(({ partitions }) =>
        partitions.map((one) =>
          `${memberId}@${generationIdOrMemberEpoch} ${one.partitionIndex}:${one.committedOffset}`
        )
      )
    )
    .sort();
}

Deno.test("consume --group goes on from what is committed, commits and leaves", async () => {
  const broker = groupBroker([1, -1]);
  const ran = await runGregor(
    ["consume", "t", "--group", "g", "--count", "5", "--format", "%p:%o=%v"].concat(
      "--brokers",
      broker.brokers,
    ),
  );
  await broker.close();
  assert.equal(ran.code, 0, ran.remarks);
  assert.deepEqual(ran.out.trim().split("\n").sort(), [
    "0:1=b",
    "0:2=c",
    "1:0=a",
    "1:1=b",
    "1:2=c",
  ]);
  assert.deepEqual(committedBy(broker), ["samsa-1@4 0:3", "samsa-1@4 1:3"]);
  const last = broker.received.at(-1)!;
  assert.equal(last.name, "LeaveGroup");
  assert.equal((last.request as LeaveGroupRequest).members[0]!.memberId, "samsa-1");
});

Deno.test("Ctrl-C commits what was printed and leaves the group", async () => {
  const broker = groupBroker([2, 3]);
  const ran = await runGregor(
    ["consume", "t", "--group", "g", "--brokers", broker.brokers],
    { interruptAt: "c" },
  );
  await broker.close();
  assert.equal(ran.code, 0, ran.remarks);
  assert.equal(ran.out, "c\n");
  assert.deepEqual(committedBy(broker), ["samsa-1@4 0:3"]);
  assert.equal(broker.names.at(-1), "LeaveGroup");
});

Deno.test("consume --until-end stops where the log ended, --count in the middle of a batch", async () => {
  const broker = groupBroker([]);
  const all = await runGregor(["consume", "t", "--until-end", "--brokers", broker.brokers]);
  const two = await runGregor(
    ["consume", "t", "--partition", "1", "--offset", "1", "--count", "1", "--brokers"].concat(
      broker.brokers,
    ),
  );
  await broker.close();
  assert.deepEqual(all.out.trim().split("\n").sort(), ["a", "a", "b", "b", "c", "c"]);
  assert.equal(two.out, "b\n");
});
