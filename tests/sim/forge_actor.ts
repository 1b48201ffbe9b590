/**
 * A simulated client that writes where it may not: forged groups and offsets into the coordinators' topic, trims
 * and deletions of it, commits for partitions that do not exist. It is refused each time, and nothing of it is
 * found by the groups beside it, whose coordinators have to load in the next life.
 *
 * @module
 */

import { groupRecord, offsetRecord } from "../../src/group/records.ts";
import { batchOf } from "../../src/kafka/records_of.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  DELETE_RECORDS,
  DELETE_TOPICS,
  OFFSET_COMMIT,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newDeleteRecordsRequest } from "../../src/wire/generated/delete_records_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import {
  newGroupMetadataValue,
  newMemberMetadata,
} from "../../src/wire/generated/group_metadata_value.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { OFFSETS_TOPIC } from "../../src/cluster/topic_names.ts";
import { Actor } from "./actor.ts";
import { expect } from "./sim_failure.ts";
import { produceRequest } from "./sim_requests.ts";

const PARTITION_MISSING = 1_000;

export class ForgeActor extends Actor {
  override get idle(): boolean {
    return this.openRequests === 0;
  }

  protected override forget(): void {}

  protected override act(): void {
    if (this.openRequests > 0 || this.stage.draining || this.chance(80)) return;
    const index = this.random.nextBelow(3);
    const controller = this.controller();
    if (controller < 0) return;
    switch (this.random.nextBelow(4)) {
      case 0: {
        const request = produceRequest(OFFSETS_TOPIC, index, this.#forgery(), this.pick([1, -1]));
        return this.ask(PRODUCE, 9, request, (response) => {
          this.#refused(response.responses[0]!.partitionResponses[0]!.errorCode);
        });
      }
      case 1: {
        const partitions = [{ partitionIndex: index, offset: -1 }];
        const topics = [{ name: OFFSETS_TOPIC, partitions }];
        return this.ask(DELETE_RECORDS, 2, newDeleteRecordsRequest({ topics }), (response) => {
          this.#refused(response.topics[0]!.partitions[0]!.errorCode);
        });
      }
      case 2: {
        const request = newDeleteTopicsRequest({ topicNames: [OFFSETS_TOPIC], timeoutMs: 1000 });
        return this.ask(DELETE_TOPICS, 5, request, (response) => {
          this.#refused(response.responses[0]!.errorCode, ErrorCode.TOPIC_AUTHORIZATION_FAILED);
        }, controller);
      }
      default:
        return this.#commitNowhere();
    }
  }

  #commitNowhere(): void {
    const partitionIndex = this.pick([-1, PARTITION_MISSING]);
    const request = newOffsetCommitRequest({
      groupId: `group-${this.random.nextBelow(2)}`,
      topics: [{
        name: this.pick(this.stage.topics).name,
        topicId: ZERO_UUID,
        partitions: [newOffsetCommitRequestPartition({ partitionIndex, committedOffset: 7 })],
      }],
    });
    this.ask(OFFSET_COMMIT, 8, request, (response) => {
      this.#refused(
        response.topics[0]!.partitions[0]!.errorCode,
        ErrorCode.NOT_COORDINATOR,
      );
    });
  }

  /** What once ended every later start, or would put a group back. */
  #forgery(): Uint8Array {
    const groupId = `group-${this.random.nextBelow(2)}`;
    const member = newMemberMetadata({ memberId: "forged" });
    const members = this.chance(50) ? [member, member] : [];
    const group = groupRecord(groupId, newGroupMetadataValue({ members, generation: 1_000_000 }));
    const topic = this.pick(this.stage.topics).name;
    const gone = offsetRecord({ groupId, topic, partition: this.random.nextBelow(3) }, null);
    return batchOf([this.pick([group, gone])], 1);
  }

  #refused(errorCode: number, other: number = ErrorCode.INVALID_TOPIC_EXCEPTION): void {
    this.stage.checker.observe(errorCode);
    this.misled(errorCode);
    const refusals: number[] = [
      other,
      // Before the topic is made.
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ErrorCode.NOT_CONTROLLER,
      ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ];
    expect(refusals.includes(errorCode), () => `a forged write is answered with ${errorCode}`);
  }
}
