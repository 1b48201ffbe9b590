import { strict as assert } from "node:assert";
import { NOT_LEADER } from "../replication/replica.ts";
import { runTask } from "../io/task.ts";
import { type AppendWaiter, Loss } from "./append_waits.ts";
import { ErrorCode } from "../wire/errors.ts";
import { ACKS_ALL, hasNews, refusalOf } from "./partition.ts";
import { RecordAppender } from "./record_appender.ts";
import { fakePartition } from "./test_fake_replica.ts";

const ACKS_ONE = 1;

/** Writes down what it is told: `reached 1`, `lost 2 because 0`. */
class Notes implements AppendWaiter {
  readonly lines: string[] = [];
  onReached(token: number): void {
    this.lines.push(`reached ${token}`);
  }
  onLost(token: number, loss: Loss): void {
    this.lines.push(`lost ${token} because ${loss}`);
  }
}

Deno.test("acks=1 waits for this node's disk, acks=all for the commit", () => {
  const { partition, replica } = fakePartition();
  replica.lead(1);
  const notes = new Notes();
  assert.equal(partition.append(0, 100, 0), 0);
  assert.equal(replica.appends, 1);
  assert(!partition.hasReached(1, ACKS_ONE) && !partition.hasReached(1, ACKS_ALL));
  partition.awaitAppend(1, ACKS_ALL, notes, 1);
  partition.awaitAppend(1, ACKS_ONE, notes, 2);
  replica.flush();
  assert.deepEqual(notes.lines, ["reached 2"]);
  assert(partition.hasReached(1, ACKS_ONE) && !partition.hasReached(1, ACKS_ALL));
  assert.equal(partition.highWatermark, 0, "consumers see what is committed");
  replica.commit();
  assert.deepEqual(notes.lines, ["reached 2", "reached 1"]);
  assert(partition.hasReached(1, ACKS_ALL));
});

Deno.test("whoever waits when leadership ends is told so, and does not take the next leader's record for its own", () => {
  const followed: number[] = [];
  const { partition, replica } = fakePartition({
    onFollowing: ({ replica }) => followed.push(replica.leaderId),
  });
  replica.lead(1);
  const notes = new Notes();
  partition.append(0, 100, 0);
  replica.flush();
  replica.commit();
  partition.append(0, 100, 0);
  partition.awaitAppend(2, ACKS_ALL, notes, 1);
  partition.awaitAppend(2, ACKS_ONE, notes, 2);
  const trims: number[] = [];
  runTask(partition.trimTo(1), (result) => trims.push(result));
  replica.follow(2, 1);
  const lost = ["lost 2 because 0", "lost 1 because 0"];
  assert.deepEqual([notes.lines, trims, followed], [lost, [NOT_LEADER], [1]]);
  assert(!partition.leading && !partition.readable);
  // Another record takes the offset, and is committed.
  replica.cut(1);
  replica.manual.append();
  replica.flush();
  replica.commit();
  assert.deepEqual(notes.lines, lost);
});

Deno.test("what is appended before the no-op is committed is answered behind it, or with the end of that leadership", () => {
  for (const leads of [true, false]) {
    const { partition, replica } = fakePartition();
    replica.term = 2;
    replica.opening = true;
    const notes = new Notes();
    partition.append(0, 100, 0);
    partition.awaitAppend(1, ACKS_ALL, notes, 1);
    replica.flush();
    assert.deepEqual(notes.lines, []);
    replica.opening = false;
    if (leads) replica.lead(2);
    else replica.follow(3, 1);
    assert.deepEqual(notes.lines, [leads ? "reached 1" : `lost 1 because ${Loss.NOT_LEADER}`]);
  }
});

Deno.test("a cut ends every wait, also where the loss of leadership was not reported before", () => {
  const { partition, replica } = fakePartition();
  replica.lead(1);
  const notes = new Notes();
  partition.append(0, 100, 0);
  partition.awaitAppend(1, ACKS_ALL, notes, 1);
  replica.cut(0);
  assert.deepEqual(notes.lines, [`lost 1 because ${Loss.NOT_LEADER}`]);
});

Deno.test("a fetch that waits learns that this node leads no longer", () => {
  const { partition, replica } = fakePartition();
  replica.lead(1);
  let told = 0;
  partition.awaitData({ waitEpoch: 0, onData: () => told++ });
  assert(!hasNews(partition, 0));
  replica.follow(2, -1);
  assert.equal(told, 1);
  assert(hasNews(partition, 0));
});

Deno.test("a follower looks at the client's epoch first, and then says that it does not lead", () => {
  const { partition, replica } = fakePartition();
  replica.lead(5);
  assert.equal(refusalOf(partition, 5), ErrorCode.NONE);
  replica.follow(6, 1);
  assert.deepEqual([-1, 5, 6, 7].map((epoch) => refusalOf(partition, epoch)), [
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_LEADER_EPOCH,
  ]);
});

Deno.test("RecordAppender answers what waits for a commit and what is queued when leadership ends", () => {
  const { partition, replica } = fakePartition();
  replica.lead(1);
  const bytes = new Uint8Array(1000);
  const memory = { bytes, view: new DataView(bytes.buffer) };
  const blocks = {
    responseSizeMax: 1000,
    allocateResponse: () => 0,
    releaseResponse: () => {},
    whenReleased: () => {},
  };
  const appender = new RecordAppender(partition, memory, blocks, () => 0);
  const results: string[] = [];
  appender.append(new Uint8Array(10), (result) => results.push(`first ${result}`));
  replica.handingOver = true;
  appender.append(new Uint8Array(10), (result) => results.push(`second ${result}`));
  assert.equal(replica.appends, 1, "appends wait while leadership is handed over");
  replica.handingOver = false;
  replica.follow(2, 1);
  appender.retry();
  appender.append(new Uint8Array(10), (result) => results.push(`third ${result}`));
  assert.deepEqual(results, ["first -1", "second -1", "third -1"]);
});

Deno.test("a closed partition leaves its group, and nothing of it reaches the partition any more", () => {
  const { partition, replica } = fakePartition();
  replica.lead(1);
  partition.close();
  assert(replica.closed && !partition.leading);
});
