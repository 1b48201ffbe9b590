/**
 * A consumer of the classic protocol under test, which speaks the consumers' protocol inside of it.
 *
 * @module
 */

import { assert } from "../../base/assert.ts";
import { Writer } from "../../bytes/writer.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { encodeConsumerProtocolSubscription } from "../../wire/generated/consumer_protocol_subscription.ts";
import type { TestCoordinator } from "../test_coordinator.ts";
import { readAssignment } from "./embedded.ts";
import type { Assignment } from "./types.ts";

/** Of the consumers' protocol. */
export const CLASSIC_VERSION = 3;

/** A consumer of the classic protocol that gives up everything when it rebalances, or only what it must. */
export class ClassicMember {
  readonly test: TestCoordinator;
  readonly cooperates: boolean;
  memberId = "";
  generation = -1;
  owned: Assignment = new Map();

  constructor(test: TestCoordinator, cooperates = false) {
    this.test = test;
    this.cooperates = cooperates;
  }

  get subscription(): Uint8Array {
    const out = new Writer();
    out.int16(CLASSIC_VERSION);
    const { topics } = this.test.world;
    encodeConsumerProtocolSubscription(out, CLASSIC_VERSION, {
      topics: ["t"],
      userData: null,
      ownedPartitions: this.cooperates
        ? [...this.owned].map(([id, partitions]) => ({
          topic: topics.nameOf(id)!,
          partitions: [...partitions],
        }))
        : [],
      generationId: this.generation,
      rackId: null,
    });
    return out.copyBytes();
  }

  join() {
    const { memberId, subscription } = this;
    const protocols = { range: subscription };
    return this.test.join({ memberId, protocols, rebalanceMs: 20_000 });
  }

  come() {
    this.memberId = this.join().get().memberId;
    return this.join();
  }

  /** Joins again and syncs, until the coordinator has nothing more for it. */
  rejoin(): void {
    for (let round = 0; round < 5; round++) {
      const joined = this.join().get();
      assert(joined.errorCode === 0, "a classic member may not join");
      this.generation = joined.generationId;
      const synced = this.test.sync(this.memberId, this.generation).get();
      if (synced.errorCode === ErrorCode.REBALANCE_IN_PROGRESS) continue;
      assert(synced.errorCode === 0, "a classic member may not sync");
      this.take(synced.assignment);
      if (this.beat() === 0) return;
    }
    assert(false, "a classic member does not come to rest");
  }

  take(assignment: Uint8Array): void {
    this.owned = readAssignment(assignment, this.test.world.topics)!;
  }

  beat(): number {
    return this.test.heartbeat(this.memberId, this.generation);
  }

  get count(): number {
    return [...this.owned.values()].flat().length;
  }
}
