/**
 * acks=all in a group of several replicas: what it waits for, and how the wait ends.
 */

import { strict as assert } from "node:assert";
import { Settings } from "../base/settings.ts";
import { TopicConfig } from "../cluster/topic_config.ts";
import { type AppendWaiter, AppendWaits, errorOfLoss, type Loss } from "./append_waits.ts";
import { ErrorCode } from "../wire/errors.ts";
import { ACKS_ALL, type Partition } from "./partition.ts";
import { PartitionLimits } from "./partition_limits.ts";
import { fakePartition, type FakeReplica } from "./test_fake_replica.ts";

const FOREVER = Infinity;

/** Writes down what it is told: `7 ok`, `7 NOT_ENOUGH_REPLICAS_AFTER_APPEND`. */
class Answers implements AppendWaiter {
  readonly lines: string[] = [];
  onReached(token: number): void {
    this.lines.push(`${token} ok`);
  }
  onLost(token: number, loss: Loss): void {
    const code = errorOfLoss(loss);
    const [name] = Object.entries(ErrorCode).find(([, value]) => value === code)!;
    this.lines.push(`${token} ${name}`);
  }
}

/** The leader of three replicas, of which `inSync` keep up. */
function led(insyncMin: number, inSync = 3): { partition: Partition; replica: FakeReplica } {
  const made = fakePartition();
  const configs = new Map([["min.insync.replicas", `${insyncMin}`]]);
  made.partition.configure(new PartitionLimits(new TopicConfig(configs, new Settings(new Map()))));
  made.replica.voterCount = 3;
  made.replica.inSyncCount = inSync;
  made.replica.lead(1);
  return made;
}

Deno.test("acks=all of a topic that asks for all three replicas waits for the third disk", () => {
  const { partition, replica } = led(3);
  const answers = new Answers();
  replica.safe.set(3, 0);
  partition.append(0, 100, 0);
  partition.awaitAppend(1, ACKS_ALL, answers, 1, FOREVER);
  partition.awaitCommit(1, answers, 2);
  replica.flush();
  replica.commit();
  assert.deepEqual(answers.lines, ["2 ok"], "the broker's own records wait for the commit alone");
  assert.equal(partition.highWatermark, 1, "consumers see it as soon as it is committed");
  assert(!partition.hasReached(1, ACKS_ALL));
  replica.replicate();
  assert.deepEqual(answers.lines, ["2 ok"], "another one than the third said something");
  replica.safe.set(3, 1);
  replica.replicate();
  assert.deepEqual(answers.lines, ["2 ok", "1 ok"]);
  assert(partition.hasReached(1, ACKS_ALL));
});

Deno.test("with fewer replicas in sync than asked for, a committed record is answered with an error, and others wait on", () => {
  const { partition, replica } = led(3);
  const answers = new Answers();
  replica.safe.set(3, 0);
  partition.append(0, 100, 0);
  partition.awaitAppend(1, ACKS_ALL, answers, 1, FOREVER);
  replica.flush();
  partition.checkWaits(0);
  replica.inSyncCount = 2;
  assert(partition.lacksReplicas);
  partition.checkWaits(0);
  assert.deepEqual(answers.lines, [], "it is not committed: nobody knows what becomes of it");
  replica.commit();
  partition.append(0, 100, 0);
  partition.awaitAppend(2, ACKS_ALL, answers, 2, FOREVER);
  partition.checkWaits(0);
  assert.deepEqual(answers.lines, ["1 NOT_ENOUGH_REPLICAS_AFTER_APPEND"]);
});

Deno.test("a majority is enough for a topic that asks for no more, whoever else keeps up", () => {
  const { partition, replica } = led(2, 2);
  const answers = new Answers();
  assert(!partition.lacksReplicas);
  partition.append(0, 100, 0);
  partition.awaitAppend(1, ACKS_ALL, answers, 1, FOREVER);
  replica.flush();
  replica.commit();
  assert.deepEqual(answers.lines, ["1 ok"]);
  replica.inSyncCount = 1;
  assert(partition.lacksReplicas);
});

Deno.test("a group of one takes records whatever min.insync.replicas says", () => {
  const { partition, replica } = led(2, 1);
  replica.voterCount = 1;
  assert(!partition.lacksReplicas);
});

Deno.test("waits whose time is over end, and those around them do not", () => {
  const { partition, replica } = led(1);
  const answers = new Answers();
  for (let i = 0; i < 12; i++) {
    partition.append(0, 100, 0);
    partition.awaitAppend(i + 1, ACKS_ALL, answers, i, i % 3 === 0 ? 50 : 200);
  }
  partition.checkWaits(49);
  assert.deepEqual(answers.lines, []);
  partition.checkWaits(50);
  assert.deepEqual(answers.lines, [0, 3, 6, 9].map((token) => `${token} REQUEST_TIMED_OUT`));
  answers.lines.length = 0;
  replica.flush();
  replica.commit();
  assert.deepEqual(answers.lines, [1, 2, 4, 5, 7, 8, 10, 11].map((token) => `${token} ok`));
});

Deno.test("AppendWaits keeps its order when waits in the middle of a ring that has wrapped end", () => {
  const waits = new AppendWaits();
  const answers = new Answers();
  for (let i = 0; i < 6; i++) waits.add(i, answers, i);
  waits.reach(4);
  answers.lines.length = 0;
  for (let i = 6; i < 12; i++) waits.add(i, answers, i, i === 8 ? 5 : 10);
  waits.expire(5);
  assert.equal(waits.count, 6);
  waits.reach(9);
  waits.lose(2, 10);
  waits.lose(0);
  assert.deepEqual(answers.lines, [
    "8 REQUEST_TIMED_OUT",
    ...[5, 6, 7, 9].map((token) => `${token} ok`),
    "10 NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "11 NOT_LEADER_OR_FOLLOWER",
  ]);
});
