/**
 * Consumers of both protocols in one group that come, go and fall silent at random, so that the group changes from one
 * protocol to the other and back, over a log that is slow, fails and changes hands. Whatever happens:
 *
 * - no partition is read by two members that the coordinator has not removed;
 * - an acknowledged commit is what readers get;
 * - left in peace, every partition is read, whatever protocols the members speak.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../base/prng.ts";
import { ErrorCode } from "../../wire/errors.ts";
import type { ConsumerGroupHeartbeatResponse } from "../../wire/generated/consumer_group_heartbeat_response.ts";
import type { JoinGroupResponse } from "../../wire/generated/join_group_response.ts";
import type { SyncGroupResponse } from "../../wire/generated/sync_group_response.ts";
import { GROUP, type Pending, TestCoordinator } from "../test_coordinator.ts";
import { writeAssignment } from "./embedded.ts";
import { CLASSIC_VERSION, ClassicMember } from "./test_classic_member.ts";
import { TestMember } from "./test_member.ts";

const RUNS = 100;
const STEPS = 300;
const MEMBERS_MAX = 4;
const PARTITIONS = 4;
const APPEND_ERRORS = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.MESSAGE_TOO_LARGE];

/** A client of either protocol. */
interface Client {
  readonly memberId: string;
  /** By topic id. */
  readonly owned: ReadonlyMap<string, Iterable<number>>;
  /** The generation or epoch to commit with; -1: it is not in. */
  readonly epoch: number;
  step(random: Xoshiro128): void;
  leave(): void;
}

class NewClient implements Client {
  readonly #member: TestMember;
  #pending: Pending<ConsumerGroupHeartbeatResponse> | null = null;
  #isJoined = false;
  #isBehind = false;

  constructor(test: TestCoordinator, id: number) {
    this.#member = new TestMember(test, `new-${id}`, { rebalanceMs: 5_000 });
  }

  get memberId(): string {
    return this.#member.memberId;
  }

  get owned() {
    return this.#member.owned;
  }

  get epoch(): number {
    return this.#isJoined ? this.#member.epoch : -1;
  }

  step(): void {
    const member = this.#member;
    if (this.#pending !== null) {
      if (!this.#pending.answered) return;
      const response = this.#pending.get();
      this.#pending = null;
      if (response.errorCode === ErrorCode.NONE) {
        this.#isJoined = true;
        member.heed(response);
      } else if (isRetriable(response.errorCode)) {
        this.#isBehind = true;
      } else {
        this.#isJoined = false;
        member.owned.clear();
      }
      return;
    }
    const isBehind = this.#isBehind;
    this.#isBehind = false;
    if (!this.#isJoined) this.#pending = member.joining();
    else this.#pending = member.send(isBehind ? member.whole : { topicPartitions: member.listed });
  }

  leave(): void {
    if (this.#isJoined) this.#member.send({ memberEpoch: -1 });
  }
}

class OldClient implements Client {
  readonly #test: TestCoordinator;
  readonly #member: ClassicMember;
  #join: Pending<JoinGroupResponse> | null = null;
  #sync: Pending<SyncGroupResponse> | null = null;
  #isIn = false;

  constructor(test: TestCoordinator, cooperates: boolean) {
    this.#test = test;
    this.#member = new ClassicMember(test, cooperates);
  }

  get memberId(): string {
    return this.#member.memberId;
  }

  get owned() {
    return this.#member.owned;
  }

  get epoch(): number {
    return this.#isIn ? this.#member.generation : -1;
  }

  step(): void {
    if (this.#join !== null) {
      if (this.#join.answered) this.#joined(this.#join.get());
    } else if (this.#sync !== null) {
      if (this.#sync.answered) this.#synced(this.#sync.get());
    } else if (!this.#isIn) {
      if (!this.#member.cooperates) this.#member.owned = new Map();
      this.#join = this.#member.join();
    } else {
      const error = this.#heartbeat();
      if (error === ErrorCode.REBALANCE_IN_PROGRESS) this.#isIn = false;
      else if (error !== ErrorCode.NONE && !isRetriable(error)) this.#startOver(error);
    }
  }

  leave(): void {
    if (this.memberId !== "") this.#test.leaving({ memberId: this.memberId });
  }

  #heartbeat(): number {
    const pending = this.#test.beating(this.memberId, this.#member.generation);
    // One that waits for the log is as good as one that succeeded.
    return pending.answered ? pending.get().errorCode : ErrorCode.NONE;
  }

  #joined(response: JoinGroupResponse): void {
    this.#join = null;
    const { errorCode } = response;
    if (errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.#member.memberId = response.memberId;
    else if (errorCode === ErrorCode.NONE) {
      this.#member.memberId = response.memberId;
      const leads = response.leader === response.memberId && response.members.length > 0;
      const plan = new Map<string, Uint8Array>();
      const topicId = this.#test.world.topics.byName("t")!.id;
      response.members.forEach(({ memberId }, at) => {
        const list = Array.from({ length: PARTITIONS }, (_, partition) => partition)
          .filter((partition) => partition % response.members.length === at);
        const given = new Map(list.length === 0 ? [] : [[topicId, list]]);
        plan.set(memberId, writeAssignment(given, CLASSIC_VERSION, this.#test.world.topics));
      });
      this.#member.generation = response.generationId;
      this.#sync = this.#test.syncBytes(
        this.memberId,
        response.generationId,
        leads ? plan : new Map(),
      );
    } else if (!isRetriable(errorCode)) this.#startOver(errorCode);
  }

  #synced(response: SyncGroupResponse): void {
    this.#sync = null;
    if (response.errorCode === ErrorCode.NONE) {
      this.#member.take(response.assignment);
      this.#isIn = true;
    } else if (!isRetriable(response.errorCode)) this.#startOver(response.errorCode);
  }

  #startOver(error: number): void {
    this.#isIn = false;
    this.#member.owned = new Map();
    this.#member.generation = -1;
    if (error === ErrorCode.UNKNOWN_MEMBER_ID) this.#member.memberId = "";
  }
}

function isRetriable(errorCode: number): boolean {
  return errorCode === ErrorCode.COORDINATOR_NOT_AVAILABLE ||
    errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ||
    errorCode === ErrorCode.NOT_COORDINATOR || errorCode === ErrorCode.REBALANCE_IN_PROGRESS ||
    errorCode === ErrorCode.UNKNOWN_SERVER_ERROR;
}

class Run {
  readonly test: TestCoordinator;
  readonly random: Xoshiro128;
  clients: Client[] = [];
  acknowledged = -1;
  nextOffset = 0;
  nextId = 0;
  /** How often the group was seen to be one of the other protocol. */
  changes = 0;
  #wasNew = false;

  constructor(seed: number) {
    this.test = new TestCoordinator({}, seed);
    this.random = new Xoshiro128(seed);
    this.test.world.setTopic("t", PARTITIONS);
  }

  chance(percent: number): boolean {
    return this.random.nextBelow(100) < percent;
  }

  step(): void {
    const { test } = this;
    test.log.failWith = this.chance(3) ? APPEND_ERRORS[this.random.nextBelow(2)]! : 0;
    const die = this.random.nextBelow(100);
    if (die < 6) this.come();
    else if (die < 20) test.advance(this.random.nextBelow(this.chance(5) ? 12_000 : 800));
    else if (die < 22) test.log.held = true;
    else if (die < 28) this.release();
    else if (die < 29) {
      this.release();
      test.restart();
    } else if (this.clients.length > 0) {
      const client = this.clients[this.random.nextBelow(this.clients.length)]!;
      if (die < 33) {
        if (die < 32) client.leave();
        this.clients = this.clients.filter((other) => other !== client);
      } else if (die < 45) this.commit(client);
      else client.step(this.random);
    }
    test.log.failWith = 0;
    this.check();
  }

  come(): void {
    if (this.clients.length >= MEMBERS_MAX) return;
    const isNew = this.chance(45);
    this.clients.push(
      isNew ? new NewClient(this.test, this.nextId++) : new OldClient(this.test, this.chance(50)),
    );
  }

  release(): void {
    this.test.log.held = false;
    this.test.log.release();
  }

  commit(client: Client): void {
    if (client.epoch < 0) return;
    const offset = this.nextOffset++;
    const pending = this.test.commit({ t: [offset] }, {
      memberId: client.memberId,
      generationIdOrMemberEpoch: client.epoch,
    });
    if (!pending.answered) return;
    if (pending.get().topics[0]!.partitions[0]!.errorCode === 0) this.acknowledged = offset;
  }

  check(): void {
    const group = this.test.coordinator.table.groups.get(GROUP);
    const isNew = group?.asConsumer != null;
    if (isNew !== this.#wasNew) this.changes++;
    this.#wasNew = isNew;
    const readers = new Map<string, string>();
    for (const { memberId, owned, epoch } of this.clients) {
      const isMember = isNew
        ? group!.consumer!.written.members.has(memberId)
        : group?.members.has(memberId) === true;
      if (epoch < 0 || !isMember) continue;
      for (const [topicId, partitions] of owned) {
        for (const partition of partitions) {
          const key = `${topicId}/${partition}`;
          assert.ok(!readers.has(key), `${readers.get(key)} and ${memberId} read ${key}`);
          readers.set(key, memberId);
        }
      }
    }
  }

  /** Left in peace, the group comes to rest. */
  end(): void {
    this.release();
    for (let round = 0; round < 200; round++) {
      this.test.advance(400);
      for (const client of this.clients) client.step(this.random);
      this.check();
    }
    if (this.acknowledged >= 0) {
      assert.ok(this.test.committed("t", 0) >= this.acknowledged, "a commit was lost");
    }
    if (this.clients.length === 0) return;
    const read = this.clients.flatMap(({ owned }) =>
      [...owned.values()].flatMap((list) => [...list])
    );
    assert.deepEqual(read.sort(), [0, 1, 2, 3], "partitions without a reader");
    this.test.assertNothingForgotten();
  }
}

for (let part = 0; part < 3; part++) {
  Deno.test(`whatever members of both protocols do, no partition has two readers (${part})`, () => {
    let changes = 0;
    for (let seed = part * RUNS; seed < (part + 1) * RUNS; seed++) {
      const run = new Run(seed);
      try {
        for (let step = 0; step < STEPS; step++) run.step();
        run.end();
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      changes += run.changes;
    }
    assert.ok(changes > RUNS, `groups changed only ${changes} times`);
  });
}
