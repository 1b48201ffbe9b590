import { strict as assert } from "node:assert";
import { runTask } from "../io/task.ts";
import { type Log, LOG_BUSY, LOG_FAILED } from "../storage/log.ts";
import { type AppendWaiter, Loss } from "./append_waits.ts";
import { ACKS_ALL, hasNews } from "./partition.ts";
import { RecordAppender } from "./record_appender.ts";
import { testPartition } from "./test_manual_log.ts";

Deno.test("waiters that wait again while they are notified are notified in order, however many", () => {
  const { partition, log } = testPartition();
  const told: number[] = [];
  let next = 0;
  const waiter: AppendWaiter = {
    onReached(token) {
      told.push(token);
      // Two for one: the ring grows while it is being emptied.
      for (let i = 0; i < 2 && next < 60; i++) partition.awaitAppend(1, ACKS_ALL, waiter, next++);
    },
    onLost: () => assert.fail("nothing is lost"),
  };
  while (next < 8) partition.awaitAppend(1, ACKS_ALL, waiter, next++);
  log.endOffset = 1;
  log.lastIndex++;
  log.reachDurable();
  assert.deepEqual(told, Array.from({ length: 60 }, (_, i) => i));
});

Deno.test("a partition that is closed notifies all of its waiters", () => {
  const { partition, log } = testPartition();
  log.append();
  log.reachDurable();
  assert.equal(partition.highWatermark, 1);
  const lost: number[][] = [];
  const waiter: AppendWaiter = {
    onReached: () => assert.fail(),
    onLost: (token, loss) => lost.push([token, loss]),
  };
  partition.awaitAppend(2, ACKS_ALL, waiter, 7);
  partition.awaitAppend(2, 1, waiter, 8);
  let data = 0;
  partition.awaitData({ waitEpoch: 0, onData: () => data++ });
  const trims: number[] = [];
  runTask(partition.trimTo(1), (result) => trims.push(result));
  assert(!hasNews(partition, 1));
  partition.close();
  assert.deepEqual([lost, data, trims], [[[8, Loss.GONE], [7, Loss.GONE]], 1, [LOG_FAILED]]);
  assert(hasNews(partition, 1), "that it is gone is news");
});

Deno.test("a trim is answered when it is applied, though the log had no room for that at first", () => {
  const { partition, log } = testPartition();
  log.append();
  log.reachDurable();
  const trims: number[] = [];
  runTask(partition.trimTo(1), (result) => trims.push(result));
  log.trimRefusal = LOG_BUSY;
  log.reachDurable();
  assert.deepEqual([trims, partition.startOffset], [[], 0]);
  log.trimRefusal = 0;
  log.listener!.onWritable(log as unknown as Log);
  assert.deepEqual([trims, partition.startOffset], [[0], 1]);
});

Deno.test("a trim of a log that is damaged before it is applied is refused", () => {
  const { partition, log } = testPartition();
  for (let i = 0; i < 3; i++) log.append();
  log.reachDurable();
  const trims: number[] = [];
  runTask(partition.trimTo(2), (result) => trims.push(result));
  log.trimRefusal = LOG_FAILED;
  log.suspect = true;
  log.reachDurable();
  assert.deepEqual([trims, partition.startOffset], [[LOG_FAILED], 0]);
});

Deno.test("of two trims on their way the further one counts for both", () => {
  const { partition, log } = testPartition();
  for (let i = 0; i < 10; i++) log.append();
  log.reachDurable();
  const starts: number[] = [];
  for (const offset of [8, 3]) {
    runTask(partition.trimTo(offset), () => starts.push(partition.startOffset));
  }
  log.reachDurable();
  assert.deepEqual(starts, [8, 8]);
});

Deno.test("RecordAppender goes on by itself when memory comes back", () => {
  const { partition, log } = testPartition();
  let memoryLeft = false;
  const waiting: (() => void)[] = [];
  const blocks = {
    responseSizeMax: 1000,
    allocateResponse: () => memoryLeft ? 0 : -1,
    releaseResponse: () => {},
    whenReleased: (again: () => void) => waiting.push(again),
  };
  const buffer = new ArrayBuffer(1000);
  const memory = { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
  const appender = new RecordAppender(partition, memory, blocks, () => 0);

  appender.append(new Uint8Array(10), () => {});
  appender.append(new Uint8Array(10), () => {});
  assert.equal(log.appends, 0);
  memoryLeft = true;
  for (const again of waiting.splice(0)) again();
  assert.equal(log.appends, 2);
  assert.equal(waiting.length, 0);
});
