/**
 * Simulated group members: they join, share a topic's partitions, commit what they got to, and leave.
 *
 * Each member commits under a partition number of its own, so that what must be there afterwards is
 * known: at least what was acknowledged, at most what was sent.
 *
 * @module
 */

import { ErrorCode } from "../../src/wire/errors.ts";
import {
  HEARTBEAT,
  JOIN_GROUP,
  LEAVE_GROUP,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  SYNC_GROUP,
} from "../../src/wire/generated/apis.ts";
import { newHeartbeatRequest } from "../../src/wire/generated/heartbeat_request.ts";
import { newJoinGroupRequest } from "../../src/wire/generated/join_group_request.ts";
import { newLeaveGroupRequest } from "../../src/wire/generated/leave_group_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import { newOffsetFetchRequest } from "../../src/wire/generated/offset_fetch_request.ts";
import { newSyncGroupRequest } from "../../src/wire/generated/sync_group_request.ts";
import { Actor, type SimTopic, type Stage } from "./actor.ts";
import { expect } from "./sim_failure.ts";

const SESSION_TIMEOUT_MS = 6_000;
const COMMIT_VERSION = 8;
const FETCH_VERSION = 7;

export class GroupActor extends Actor {
  readonly #groupId: string;
  readonly #topic: SimTopic;
  readonly #index: number;
  /** Takes part in the group's rebalances; else it only commits, as `group seek` does. */
  readonly #joins: boolean;
  #memberId = "";
  #generation = -1;
  #sent = -1;
  #acknowledged = -1;
  #seen = -1;
  /** The commit that is open, or -1. */
  #open = -1;
  /** Commits that were given up: a broker that stood still may take them after those that came later. */
  readonly #abandoned = new Set<number>();

  constructor(stage: Stage, seed: number, groupId: string, topic: SimTopic, index: number) {
    super(stage, seed);
    this.#topic = topic;
    this.#index = index;
    this.#joins = this.chance(60);
    this.#groupId = this.#joins ? groupId : `${groupId}-plain-${index}`;
  }

  override get idle(): boolean {
    return this.openRequests === 0;
  }

  protected override act(): void {
    if (this.openRequests > 0 || this.stage.draining || this.#topic.id === "") return;
    if (this.#index >= this.#topic.partitions) return;
    if (this.#coordinator < 0) return;
    const kind = this.random.nextBelow(100);
    if (kind < 30) this.#fetchOffset();
    else if (this.#joins && this.#generation < 0) this.#join();
    else if (this.#joins && kind < 50) this.#heartbeat();
    else if (this.#joins && kind < 53) this.#leave();
    else if (kind < 90) this.#commit();
  }

  protected override forget(): void {
    this.#generation = -1;
    if (this.#open >= 0) this.#abandoned.add(this.#open);
    this.#open = -1;
  }

  /** The group under which it commits. */
  get group(): string {
    return this.#groupId;
  }

  /** Looks at the committed offset once more; `done` when it has the answer. */
  verify(done: () => void): void {
    if (this.#coordinator >= 0) this.#fetchOffset(done);
  }

  get #coordinator(): number {
    return this.coordinatorOf(this.#groupId);
  }

  #fetchOffset(done: () => void = () => {}): void {
    const topics = [{ name: this.#topic.name, partitionIndexes: [this.#index] }];
    const request = newOffsetFetchRequest({ groupId: this.#groupId, topics });
    this.ask(OFFSET_FETCH, FETCH_VERSION, request, (response) => {
      this.#observe(response.errorCode);
      if (response.errorCode !== ErrorCode.NONE) return this.#mayRefuse(response.errorCode);
      const answer = response.topics[0]!.partitions[0]!;
      if (answer.errorCode !== ErrorCode.NONE) return this.#mayRefuse(answer.errorCode);
      const offset = answer.committedOffset;
      this.#observe(offset);
      const isLate = this.#abandoned.has(offset);
      const isKept = offset >= this.#acknowledged && offset >= this.#seen;
      expect(
        (isKept || isLate) && offset <= this.#sent,
        () =>
          `${this.#groupId}/${this.#index}: committed is ${offset}, acknowledged ` +
          `${this.#acknowledged}, seen ${this.#seen}, sent ${this.#sent}`,
      );
      this.#seen = offset;
      if (!isKept) this.#acknowledged = offset;
      done();
    }, this.#coordinator);
  }

  #commit(): void {
    const offset = this.#sent + 1 + this.random.nextBelow(10);
    this.#sent = offset;
    this.#open = offset;
    const partitions = [newOffsetCommitRequestPartition({
      partitionIndex: this.#index,
      committedOffset: offset,
      committedMetadata: this.chance(50) ? "note" : null,
    })];
    const request = newOffsetCommitRequest({
      groupId: this.#groupId,
      generationIdOrMemberEpoch: this.#joins ? this.#generation : -1,
      memberId: this.#joins ? this.#memberId : "",
      topics: [{ name: this.#topic.name, topicId: "0".repeat(32), partitions }],
    });
    this.ask(OFFSET_COMMIT, COMMIT_VERSION, request, (response) => {
      const { errorCode } = response.topics[0]!.partitions[0]!;
      this.#observe(errorCode);
      this.#open = -1;
      if (errorCode === ErrorCode.NONE) this.#acknowledged = offset;
      else if (!this.#mayBeUnheardOf(errorCode)) this.#mayRefuse(errorCode);
    }, this.#coordinator);
  }

  /** A partition that was just added: another broker than the controller hears of it a little later, as in Kafka. */
  #mayBeUnheardOf(errorCode: number): boolean {
    return errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION &&
      this.stage.cluster.nodes.length > 1;
  }

  #join(): void {
    const request = newJoinGroupRequest({
      groupId: this.#groupId,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: 5_000,
      memberId: this.#memberId,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array(20) }],
    });
    this.ask(JOIN_GROUP, 5, request, (response) => {
      this.#observe(response.errorCode);
      if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
        this.#memberId = response.memberId;
        return;
      }
      if (response.errorCode !== ErrorCode.NONE) return this.#mayRefuse(response.errorCode);
      this.#memberId = response.memberId;
      const leader = response.leader === response.memberId;
      const assignments = response.members.map(({ memberId }) => ({
        memberId,
        assignment: new TextEncoder().encode(memberId),
      }));
      this.#sync(response.generationId, leader ? assignments : []);
    }, this.#coordinator);
  }

  #sync(generationId: number, assignments: { memberId: string; assignment: Uint8Array }[]): void {
    if (this.#coordinator < 0) return;
    const memberId = this.#memberId;
    const request = newSyncGroupRequest({
      groupId: this.#groupId,
      generationId,
      memberId,
      assignments,
    });
    this.ask(SYNC_GROUP, 3, request, (response) => {
      this.#observe(response.errorCode);
      if (response.errorCode !== ErrorCode.NONE) return this.#mayRefuse(response.errorCode);
      this.#generation = generationId;
      const given = new TextDecoder().decode(response.assignment);
      expect(given === memberId, () => `${memberId} was assigned what is ${given}'s`);
    }, this.#coordinator);
  }

  #heartbeat(): void {
    const request = newHeartbeatRequest({
      groupId: this.#groupId,
      generationId: this.#generation,
      memberId: this.#memberId,
    });
    this.ask(HEARTBEAT, 3, request, (response) => {
      this.#observe(response.errorCode);
      if (response.errorCode !== ErrorCode.NONE) this.#mayRefuse(response.errorCode);
    }, this.#coordinator);
  }

  #leave(): void {
    const members = [{ memberId: this.#memberId, groupInstanceId: null, reason: null }];
    const request = newLeaveGroupRequest({ groupId: this.#groupId, members });
    this.ask(LEAVE_GROUP, 3, request, (response) => {
      this.#observe(response.errorCode);
      this.#memberId = "";
      this.#generation = -1;
    }, this.#coordinator);
  }

  #mayRefuse(errorCode: number): void {
    this.misled(errorCode);
    switch (errorCode) {
      case ErrorCode.UNKNOWN_MEMBER_ID:
        this.#memberId = "";
        this.#generation = -1;
        return;
      case ErrorCode.ILLEGAL_GENERATION:
      case ErrorCode.REBALANCE_IN_PROGRESS:
        this.#generation = -1;
        return;
      default: {
        const fine: number[] = [
          ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
          ErrorCode.COORDINATOR_NOT_AVAILABLE,
          ErrorCode.NOT_COORDINATOR,
          ErrorCode.KAFKA_STORAGE_ERROR,
        ];
        expect(fine.includes(errorCode), () => `${this.#groupId} refuses with ${errorCode}`);
      }
    }
  }

  #observe(value: number): void {
    this.stage.checker.observe(value);
  }
}
