/**
 * Consumers of the new protocol that come, go, fall silent, lose answers and come back at random, over a log that is
 * slow, fails and changes hands, while topics grow. Whatever happens:
 *
 * - no partition is read by two members at a time, as far as the coordinator has not given one of them up;
 * - the group's epoch and a member's never go back;
 * - a member that reads a partition can commit its offset, with the epoch that it knows;
 * - an acknowledged commit is what readers get;
 * - a coordinator that replays the log, or a snapshot, has the state of the one that wrote it;
 * - everybody is answered once; left in peace, members come to rest with every partition, as evenly as possible.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../base/prng.ts";
import { ErrorCode } from "../../wire/errors.ts";
import type { ConsumerGroupHeartbeatResponse } from "../../wire/generated/consumer_group_heartbeat_response.ts";
import { GROUP, type Pending, TestCoordinator } from "../test_coordinator.ts";
import type { ConsumerGroupRecords } from "./state.ts";
import { type MemberWords, TestMember } from "./test_member.ts";

const RUNS = 60;
const STEPS = 400;
const MEMBERS_MAX = 5;
const SESSION_MS = 45_000;
const APPEND_ERRORS = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.MESSAGE_TOO_LARGE];
const SUBSCRIPTIONS: readonly MemberWords[] = [
  { topics: ["t"] },
  { topics: ["t", "u"] },
  { topics: ["u"] },
  { regex: "[tu]" },
];
/** After these, a member begins anew; others it ignores, and comes again. */
const FATAL: readonly number[] = [
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.FENCED_MEMBER_EPOCH,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.UNRELEASED_INSTANCE_ID,
  ErrorCode.GROUP_ID_NOT_FOUND,
];

interface Consumer {
  readonly member: TestMember;
  /** Its heartbeat that is not answered yet. */
  pending: Pending<ConsumerGroupHeartbeatResponse> | null;
  isJoined: boolean;
  /** It has missed an answer, and says everything with its next heartbeat. */
  isBehind: boolean;
  /** The highest epoch since it joined. */
  epoch: number;
}

class Run {
  readonly test: TestCoordinator;
  readonly random: Xoshiro128;
  consumers: Consumer[] = [];
  readonly counts = new Map([["t", 3], ["u", 2]]);
  readonly acknowledged = new Map<string, number>();
  groupEpoch = 0;
  nextId = 0;
  nextOffset = 1;
  accepted = 0;

  constructor(seed: number) {
    this.test = new TestCoordinator({}, seed);
    this.random = new Xoshiro128(seed);
    for (const [name, count] of this.counts) this.test.world.setTopic(name, count);
    const assignmentIntervalMs = seed % 2 === 0 ? 0 : 1_000;
    this.test.world.config = { ...this.test.world.config, assignmentIntervalMs };
  }

  chance(percent: number): boolean {
    return this.random.nextBelow(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.nextBelow(list.length)]!;
  }

  get written(): ConsumerGroupRecords | null {
    return this.test.coordinator.table.groups.get(GROUP)?.consumer?.written ?? null;
  }

  step(): void {
    const { test } = this;
    test.log.failWith = this.chance(4) ? this.pick(APPEND_ERRORS) : 0;
    this.act(this.random.nextBelow(100));
    test.log.failWith = 0;
    this.receive();
    this.check();
  }

  act(die: number): void {
    const { test } = this;
    if (die < 8) this.come();
    else if (die < 20) test.advance(this.random.nextBelow(this.chance(8) ? SESSION_MS : 1_500));
    else if (die < 23) test.log.held = true;
    else if (die < 30) {
      test.log.held = false;
      test.log.release();
    } else if (die < 32) this.restart();
    else if (die < 33) this.grow();
    else if (this.consumers.length > 0) this.live(this.pick(this.consumers), die);
  }

  come(): void {
    if (this.consumers.length >= MEMBERS_MAX) return;
    const instanceId = this.chance(30) ? `static-${this.random.nextBelow(2)}` : null;
    const words = { ...this.pick(SUBSCRIPTIONS), instanceId, rebalanceMs: 5_000 };
    const member = new TestMember(this.test, `m${this.nextId++}`, words);
    this.consumers.push({ member, pending: null, isJoined: false, isBehind: false, epoch: 0 });
  }

  live(consumer: Consumer, die: number): void {
    const { member } = consumer;
    if (die < 36) {
      // It is gone without a word.
      this.consumers = this.consumers.filter((other) => other !== consumer);
    } else if (die < 39) {
      const isStatic = member.words.instanceId !== null && this.chance(60);
      if (consumer.isJoined) member.send({ memberEpoch: isStatic ? -2 : -1 });
      this.consumers = this.consumers.filter((other) => other !== consumer);
    } else if (die < 41) {
      const { instanceId, rebalanceMs } = member.words;
      member.words = {
        ...this.pick(SUBSCRIPTIONS),
        instanceId: instanceId ?? null,
        rebalanceMs: rebalanceMs ?? 0,
      };
      consumer.isBehind = true;
    } else if (die < 44) {
      // The answer will be lost.
      if (consumer.isJoined && consumer.pending === null) {
        member.send({ topicPartitions: member.listed });
        consumer.isBehind = true;
      }
    } else if (die < 60) this.commit(consumer);
    else this.beat(consumer);
  }

  beat(consumer: Consumer): void {
    const { member, isJoined, isBehind } = consumer;
    if (consumer.pending !== null) return;
    consumer.isBehind = false;
    if (!isJoined) consumer.pending = member.joining();
    else if (isBehind) consumer.pending = member.send(member.whole);
    else consumer.pending = member.send({ topicPartitions: member.listed });
  }

  /** Members take what they are told. */
  receive(): void {
    for (const consumer of this.consumers) {
      const { pending, member } = consumer;
      if (pending === null || !pending.answered) continue;
      consumer.pending = null;
      const response = pending.get();
      if (response.errorCode === ErrorCode.NONE) {
        assert.ok(response.memberEpoch >= consumer.epoch, "a member's epoch went back");
        consumer.epoch = response.memberEpoch;
        consumer.isJoined = true;
        member.heed(response);
      } else if (FATAL.includes(response.errorCode)) {
        consumer.isJoined = false;
        consumer.epoch = 0;
        member.owned.clear();
      } else consumer.isBehind = true;
    }
  }

  commit({ member, isJoined }: Consumer): void {
    if (!isJoined) return;
    for (const [topicId, partitions] of member.owned) {
      const name = this.test.world.topics.nameOf(topicId);
      if (name === null || partitions.size === 0) continue;
      const partition = this.pick([...partitions]);
      const offset = this.nextOffset++;
      const isOwner = this.isOwner(member, topicId, partition);
      const list: number[] = [];
      list[partition] = offset;
      const pending = this.test.commit({ [name]: list }, {
        memberId: member.memberId,
        generationIdOrMemberEpoch: member.epoch,
        ...onlyOf(name, partition, offset),
      });
      if (!pending.answered) continue;
      const { errorCode } = pending.get().topics[0]!.partitions[0]!;
      const isStrange = errorCode === ErrorCode.STALE_MEMBER_EPOCH ||
        errorCode === ErrorCode.UNKNOWN_MEMBER_ID;
      assert.ok(!(isOwner && isStrange), `a live member could not commit: ${errorCode}`);
      if (errorCode !== ErrorCode.NONE) continue;
      this.accepted++;
      this.acknowledged.set(`${name}/${partition}`, offset);
    }
  }

  /** What is written says that the member has the partition, or has yet to give it up. */
  isOwner({ memberId }: TestMember, topicId: string, partition: number): boolean {
    const current = this.written?.currents.get(memberId);
    return current !== undefined && current.epoch > 0 &&
      (current.assigned.get(topicId)?.has(partition) === true ||
        current.revoking.get(topicId)?.has(partition) === true);
  }

  restart(): void {
    const { test } = this;
    test.log.held = false;
    test.log.release();
    this.receive();
    const before = this.picture();
    test.restart();
    assert.deepEqual(this.picture(), before, "the log does not say what the coordinator knew");
    const snapshot = [...test.coordinator.table.snapshotRecords()];
    const copy = test.create();
    test.log.coordinator = test.coordinator;
    copy.table.groups.clear();
    for (const { key, value } of snapshot) copy.replay(key, value);
    assert.deepEqual(pictureOf(copy.table.groups.get(GROUP)?.consumer?.written ?? null), before);
  }

  picture(): unknown {
    return pictureOf(this.written);
  }

  grow(): void {
    const name = this.pick(["t", "u"]);
    const count = this.counts.get(name)!;
    if (count >= 7) return;
    this.counts.set(name, count + 1);
    this.test.world.setTopic(name, count + 1);
  }

  check(): void {
    const { written } = this;
    if (written !== null) {
      assert.ok(written.epoch >= this.groupEpoch, "the group's epoch went back");
      this.groupEpoch = written.epoch;
    } else this.groupEpoch = 0;
    const readers = new Map<string, string>();
    for (const { member, isJoined } of this.consumers) {
      if (!isJoined || !written?.members.has(member.memberId)) continue;
      if (written.currents.get(member.memberId)?.epoch === -2) continue;
      for (const [topicId, partitions] of member.owned) {
        for (const partition of partitions) {
          const key = `${topicId}/${partition}`;
          assert.ok(!readers.has(key), `${readers.get(key)} and ${member.memberId} read ${key}`);
          readers.set(key, member.memberId);
        }
      }
    }
  }

  /** Left in peace, the group comes to rest. */
  end(): void {
    const { test } = this;
    test.log.held = false;
    test.log.release();
    this.receive();
    for (let round = 0; round < 60; round++) {
      test.advance(2_000);
      for (const consumer of this.consumers) this.beat(consumer);
      this.receive();
      this.check();
    }
    for (const [key, offset] of this.acknowledged) {
      const [topic, partition] = key.split("/");
      // Offsets rise with each commit; one that was not answered may have come through.
      assert.ok(test.committed(topic!, Number(partition)) >= offset, "a commit was lost");
    }
    // Two processes with one instance id do not both come in.
    const joined = this.consumers.filter(({ isJoined }) => isJoined);
    if (joined.length === 0) return;
    assert.equal(this.written!.state, "Stable");
    for (const [name, count] of this.counts) {
      const readers = joined.filter(({ member }) =>
        member.words.regex != null || member.words.topics!.includes(name)
      );
      if (readers.length === 0) continue;
      const topicId = test.world.topics.byName(name)!.id;
      const owned = readers.flatMap(({ member }) => [...member.owned.get(topicId) ?? []]);
      assert.equal(owned.length, count, `partitions of ${name} without a reader`);
    }
    test.assertNothingForgotten();
  }
}

function onlyOf(name: string, partitionIndex: number, committedOffset: number) {
  return {
    topics: [{
      name,
      topicId: "00000000000000000000000000000000",
      partitions: [{
        partitionIndex,
        committedOffset,
        committedLeaderEpoch: -1,
        commitTimestamp: -1,
        committedMetadata: "",
      }],
    }],
  };
}

/** What is written, in an order of its own. */
function pictureOf(records: ConsumerGroupRecords | null): unknown {
  if (records === null) return null;
  const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const { group, targetEpoch, members, targets, currents, regexes } = records;
  return [
    group,
    targetEpoch,
    ...[members, targets, currents, regexes].map((map) =>
      sorted(map as ReadonlyMap<string, unknown>)
    ),
  ];
}

for (let part = 0; part < 4; part++) {
  Deno.test(`whatever members do, no partition has two readers and no commit is lost (${part})`, () => {
    let accepted = 0;
    for (let seed = part * RUNS; seed < (part + 1) * RUNS; seed++) {
      const run = new Run(seed);
      try {
        for (let step = 0; step < STEPS; step++) run.step();
        run.end();
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
      accepted += run.accepted;
    }
    assert.ok(accepted > 100, `only ${accepted} commits were accepted`);
  });
}
