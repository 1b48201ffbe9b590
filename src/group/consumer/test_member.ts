/**
 * A consumer of the new protocol under test: does what a client does, and remembers what it has.
 *
 * @module
 */

import { assert } from "../../base/assert.ts";
import {
  type ConsumerGroupHeartbeatRequest,
  newConsumerGroupHeartbeatRequest,
} from "../../wire/generated/consumer_group_heartbeat_request.ts";
import type { ConsumerGroupHeartbeatResponse } from "../../wire/generated/consumer_group_heartbeat_response.ts";
import { GROUP, type Pending, type TestCoordinator } from "../test_coordinator.ts";

export interface MemberWords {
  readonly topics?: readonly string[];
  readonly regex?: string | null;
  readonly instanceId?: string | null;
  readonly rackId?: string | null;
  readonly assignor?: string | null;
  readonly rebalanceMs?: number;
  readonly group?: string;
}

export class TestMember {
  readonly test: TestCoordinator;
  readonly memberId: string;
  words: MemberWords;
  epoch = 0;
  /** What it reads from, by topic id. */
  owned = new Map<string, Set<number>>();
  /** What it was told to have last. */
  target = new Map<string, Set<number>>();

  constructor(test: TestCoordinator, memberId: string, words: MemberWords = {}) {
    this.test = test;
    this.memberId = memberId;
    this.words = words;
  }

  send(fields: Partial<ConsumerGroupHeartbeatRequest>): Pending<ConsumerGroupHeartbeatResponse> {
    const pending = this.test.pending<ConsumerGroupHeartbeatResponse>(
      `heartbeat of ${this.memberId}`,
    );
    const request = newConsumerGroupHeartbeatRequest({
      groupId: this.words.group ?? GROUP,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId: this.words.instanceId ?? null,
      ...fields,
    });
    this.test.coordinator.consumerHeartbeat(this.test.context(1), request, pending.respond);
    return pending;
  }

  /** Everything that a member says when it comes. */
  get whole(): Partial<ConsumerGroupHeartbeatRequest> {
    const { topics, regex, rackId, assignor, rebalanceMs } = this.words;
    return {
      rackId: rackId ?? null,
      rebalanceTimeoutMs: rebalanceMs ?? 60_000,
      subscribedTopicNames: regex == null ? [...topics ?? ["t"]] : [],
      subscribedTopicRegex: regex ?? "",
      serverAssignor: assignor ?? null,
      topicPartitions: this.listed,
    };
  }

  get listed(): { topicId: string; partitions: number[] }[] {
    return [...this.owned].filter(([, list]) => list.size > 0)
      .map(([topicId, list]) => ({ topicId, partitions: [...list] }));
  }

  joining(): Pending<ConsumerGroupHeartbeatResponse> {
    this.owned.clear();
    this.target.clear();
    this.epoch = 0;
    return this.send({ ...this.whole, memberEpoch: 0, topicPartitions: [] });
  }

  /** Comes, and takes what it is given. */
  join(): this {
    this.heed(this.joining().get());
    return this;
  }

  /** One heartbeat that says what it has; it takes what it is given, and gives up what it is to. */
  beat(): ConsumerGroupHeartbeatResponse {
    const response = this.send({ topicPartitions: this.listed }).get();
    this.heed(response);
    return response;
  }

  heed(response: ConsumerGroupHeartbeatResponse): void {
    assert(response.errorCode === 0, `a heartbeat failed: ${response.errorMessage}`);
    this.epoch = response.memberEpoch;
    if (response.assignment === null) return;
    this.target = new Map(
      response.assignment.topicPartitions.map(({ topicId, partitions }) => [
        topicId,
        new Set(partitions),
      ]),
    );
    this.takeTarget();
  }

  takeTarget(): void {
    this.owned = new Map([...this.target].map(([id, list]) => [id, new Set(list)]));
  }

  /** `t/0 t/1`, by names. */
  get has(): string {
    const names: string[] = [];
    for (const [topicId, list] of this.owned) {
      const name = this.test.world.topics.nameOf(topicId) ?? topicId;
      for (const partition of list) names.push(`${name}/${partition}`);
    }
    return names.sort().join(" ");
  }

  leave(epoch = -1): ConsumerGroupHeartbeatResponse {
    return this.send({ memberEpoch: epoch }).get();
  }
}

/** Lets members send heartbeats, in turn, until nothing changes. */
export function settle(test: TestCoordinator, members: readonly TestMember[]): void {
  for (let round = 0; round < 20; round++) {
    const before = members.map(({ epoch, has }) => `${epoch} ${has}`).join("\n");
    for (const member of members) member.beat();
    if (members.map(({ epoch, has }) => `${epoch} ${has}`).join("\n") === before) return;
    test.advance(10);
  }
  assert(false, "members do not come to rest");
}
