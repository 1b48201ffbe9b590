import { strict as assert } from "node:assert";
import { ManualLog } from "../kafka/test_manual_log.ts";
import { type Log, LOG_BUSY } from "../storage/log.ts";
import type { ReplicaListener } from "./replica.ts";
import type { Replica } from "./replica.ts";
import { groupOfOne } from "./test_group_of_one.ts";

/** A replica that says in words what it reports. */
function testReplica(log: ManualLog): { replica: Replica; told: string[] } {
  const told: string[] = [];
  const replica = groupOfOne(log as unknown as Log, 7, 40);
  const listener: ReplicaListener = {
    onDurable: () => told.push(`durable ${log.durableEndOffset}`),
    onCommitted: () => told.push(`committed ${replica.commitOffset}`),
    onLeading: (term) => told.push(`leading ${term}`),
    onFollowing: () => assert.fail("nobody else could lead"),
    onCut: () => assert.fail("nothing is cut"),
    onReplicated: () => assert.fail("there is nobody to hear of"),
    onWritable: () => told.push("writable"),
  };
  replica.listener = listener;
  return { replica, told };
}

Deno.test("a group of one leads when the no-op of its term is durable, and commits what is", () => {
  const log = new ManualLog();
  const { replica, told } = testReplica(log);
  replica.start();
  assert.deepEqual([replica.term, replica.leading, replica.leaderId], [41, false, -1]);
  log.reachDurable();
  assert.deepEqual(told, ["durable 0", "leading 41", "committed 0"]);
  assert.deepEqual([replica.leading, replica.leaderId], [true, 7]);
  log.append();
  assert.equal(replica.commitOffset, 0);
  log.reachDurable();
  assert.deepEqual(told.slice(3), ["durable 1", "committed 1"]);
  replica.close();
  log.append();
  log.reachDurable();
  assert.equal(told.length, 5, "it is over");
});

Deno.test("a group of one applies a trim of its predecessor, though the log had no room for that at first", () => {
  const log = new ManualLog();
  const before = testReplica(log);
  before.replica.start();
  for (let i = 0; i < 5; i++) log.append();
  log.reachDurable();
  before.replica.proposeTrim(3);
  before.replica.close();

  log.trimRefusal = LOG_BUSY;
  const { replica, told } = testReplica(log);
  replica.start();
  log.reachDurable();
  assert.deepEqual([replica.leading, log.startOffset, replica.trimmedIndex], [true, 0, -1]);
  log.trimRefusal = 0;
  log.listener!.onWritable(log as unknown as Log);
  assert.deepEqual([log.startOffset, replica.trimmedIndex], [3, replica.commitIndex]);
  assert.deepEqual(told.slice(-2), ["committed 5", "writable"]);
});

Deno.test("a trim does not take back one of a predecessor that has not taken effect", () => {
  const log = new ManualLog();
  const before = testReplica(log);
  before.replica.start();
  for (let i = 0; i < 5; i++) log.append();
  log.reachDurable();
  before.replica.proposeTrim(3);
  before.replica.close();

  log.trimRefusal = LOG_BUSY;
  const { replica } = testReplica(log);
  replica.start();
  log.reachDurable();
  const index = replica.proposeTrim(1);
  log.reachDurable();
  log.trimRefusal = 0;
  log.listener!.onWritable(log as unknown as Log);
  assert.equal(log.startOffset, 3);
  assert(replica.trimmedIndex >= index);
});

Deno.test("a log that turns out to be damaged while it is led: what it had taken is committed", () => {
  const log = new ManualLog();
  const { replica, told } = testReplica(log);
  replica.start();
  log.reachDurable();
  log.append();
  log.suspect = true;
  log.reachDurable();
  assert.deepEqual([replica.commitOffset, replica.readOnly, replica.term], [1, true, 41]);
  assert.deepEqual(told.slice(-2), ["durable 1", "committed 1"]);
});

Deno.test("a log that was damaged before is served as far as it goes, and not led", () => {
  const log = new ManualLog();
  log.append();
  log.reachDurable();
  log.suspect = true;
  const { replica, told } = testReplica(log);
  replica.start();
  log.reachDurable();
  assert.deepEqual([replica.commitOffset, replica.readOnly, replica.leading], [1, true, false]);
  assert.deepEqual(told, []);
});
