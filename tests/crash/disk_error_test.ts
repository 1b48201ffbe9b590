/**
 * A disk that fails a write or a flush: the broker acknowledges nothing more, leaves a mark and ends with
 * 74; the next start reads everything back before it serves, however often that is cut short.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_DISK_ERROR } from "../../src/base/exit_codes.ts";
import { EIO } from "../../src/io/errno.ts";
import { DISK_ERROR_PATH } from "../../src/storage/disk_error_mark.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { type Broker, within } from "../harness/broker.ts";
import { checkData } from "./check_data.ts";
import { DiskImage } from "./disk_image.ts";
import { type DiskFault, FaultyBroker, SMALL_RINGS } from "./faulty_broker.ts";
import { logSays } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";
import { errorAt, UNVERIFIED, verifyPartition } from "./verify.ts";

const EXIT_MS = 15_000;
const JOURNAL = "/journal-";
const SEGMENT = "/logs/.*\\.log$";
const JOURNAL_EIO: DiskFault = { ops: ["Write"], file: JOURNAL, errno: EIO, skip: 20, count: 1 };
/** What a start says that has read something back, and found nothing. */
const SOUND = /Verified every segment logs=[1-9]\d* segments=[1-9]\d* batches=[1-9].* damages=0 /;

const FAILURES: readonly { readonly name: string; readonly fault: DiskFault }[] = [
  { name: "EIO on a journal write", fault: JOURNAL_EIO },
  {
    name: "EIO on a journal write that reached the disk",
    fault: { ...JOURNAL_EIO, perform: true },
  },
  { name: "EIO on a segment write", fault: { ops: ["Write"], file: SEGMENT, errno: EIO } },
  { name: "EIO on syncfs", fault: { ops: ["SyncFileSystem"], errno: EIO, count: 1 } },
];

for (const { name, fault } of FAILURES) {
  Deno.test(`${name}: exit 74 and a mark, then a start that verifies; nothing is lost`, async () => {
    await using faulty = await FaultyBroker.start();
    const { broker } = faulty;
    await using load = await PlainLoad.start(broker, { recordBytesMax: 8000 });
    await load.ackMore(100);
    await fail(faulty, fault);
    assert.match(broker.stderr, /Cannot write|Cannot flush/);
    assert.match(broker.stderr, /left a mark for the next start/);
    assert.match(mark(broker)!, /^gregor disk-error\nwhen 20.*Z\nwhat Cannot (write|flush).*\n$/);
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
    assert.notEqual(mark(broker), null, "a check is not a start");

    await broker.restart();
    await logSays(broker, /reading everything back.*Cannot (write|flush)/);
    await logSays(broker, SOUND);
    assert.equal(mark(broker), null);
    await load.ackMore(100);
    await load.verify();
    await broker.restart();
    assert.doesNotMatch(broker.stderr, /Verified/, "without a mark a start does not verify");
  });
}

Deno.test("Reads and writes that end short are continued: nothing is lost, nothing is reported", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker, { recordBytesMax: 8000 });
  await load.ackMore(100);
  await faulty.order([{ ops: ["Read", "Write"], short: true }]);
  await load.ackMore(200);
  await broker.kill();
  faulty.plan([{ ops: ["Read", "Write"], short: true }]);
  await broker.restart();
  await load.ackMore(200);
  await load.verify();
  assert.doesNotMatch(broker.stderr, /Cannot (write|flush)|Damaged/);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null }, broker.stderr);
  const check = await checkData(broker.dataDir);
  assert.equal(check.code, 0, check.output);
});

Deno.test("Bytes that rot around a disk error: the start names them, all else is served", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker, { partitions: 3 });
  await load.ackMore(300);
  await load.drain();
  // Behind this, the records are in no journal that could mend a segment.
  await broker.restart();
  const [damaged, ...others] = load.ledgers;
  const end = damaged!.highWatermark;
  load.resume();
  await load.ackMore(10);
  await fail(faulty, JOURNAL_EIO);
  const image = new DiskImage(broker.dataDir);
  const [path] = image.segments("load", 0);
  image.flip(path!, 500);

  await broker.restart();
  await logSays(broker, /Verified every segment .* damages=1 /);
  const damage = broker.stderr.split("\n").find((line) => line.includes("Damaged data"))!;
  assert.ok(damage.includes(path!), damage);
  assert.match(damage, /position=0 .*does not match its checksum: offsets 0 to \d+/);
  assert.equal(mark(broker), null);
  await load.drain();
  assert.equal(await errorAt(load.link, damaged!, 0), ErrorCode.CORRUPT_MESSAGE);
  assert.equal(await errorAt(load.link, damaged!, end), ErrorCode.NONE);
  for (const ledger of others) await verifyPartition(load.link, ledger, UNVERIFIED);
  assert.deepEqual(load.problems.list, []);
});

Deno.test("A verification cut short, by a kill or by a signal, is done again", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker, { partitions: 16 });
  await load.ackMore(300);
  await fail(faulty, JOURNAL_EIO);
  // Long enough that it is still under way when its beginning has been seen.
  faulty.plan([{ ops: ["Read"], delayUs: 100_000 }]);
  await broker.restartUntil(/verifying segments \d+ %/);
  assert.equal((await broker.kill()).signal, "SIGKILL");
  assert.notEqual(mark(broker), null);
  await broker.restartUntil(/verifying segments \d+ %/);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null }, broker.stderr);
  assert.match(broker.stderr, /Stopped before everything was verified/);
  assert.notEqual(mark(broker), null);
  faulty.plan([]);
  await broker.restart();
  await logSays(broker, SOUND);
  assert.equal(mark(broker), null);
  await load.ackMore(100);
  await load.verify();
});

for (const ops of [["Write"], ["SyncFileSystem"]]) {
  Deno.test(`EIO on ${ops} of a start: exit 74 and a mark, too`, async () => {
    await using faulty = await FaultyBroker.start();
    const { broker } = faulty;
    await using load = await PlainLoad.start(broker);
    await load.ackMore(100);
    await broker.kill();
    faulty.plan([{ ops, errno: EIO }]);
    assert.equal((await broker.restartAndFail()).code, EXIT_DISK_ERROR, broker.stderr);
    assert.match(broker.stderr, /Recovery failed: errno 5/);
    assert.match(mark(broker)!, /what Recovery failed/);
    faulty.plan([]);
    await broker.restart();
    await logSays(broker, SOUND);
    assert.equal(mark(broker), null);
    await load.verify();
  });
}

Deno.test("A mark that cannot be left: the exit says what to do, and --verify does it", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker);
  await load.ackMore(100);
  const inTheWay = `${broker.dataDir}/${DISK_ERROR_PATH}`;
  Deno.mkdirSync(inTheWay);
  await fail(faulty, JOURNAL_EIO);
  assert.match(broker.stderr, /could not leave a mark/);
  assert.match(broker.stderr, /start with --verify, or run gregor check/);
  Deno.removeSync(inTheWay);
  await broker.restart({ flags: [...SMALL_RINGS, "--verify"] });
  await logSays(broker, /as --verify asks/);
  await logSays(broker, SOUND);
  await load.ackMore(100);
  await load.verify();
});

/** Orders the fault and waits for the end that it brings; no fault is left for the next start. */
async function fail(faulty: FaultyBroker, fault: DiskFault): Promise<void> {
  const { broker } = faulty;
  await faulty.order([fault]);
  const exit = await within(broker.exited, EXIT_MS);
  assert.deepEqual(exit, { code: EXIT_DISK_ERROR, signal: null }, broker.stderr);
  // Waits for the last of its log.
  await broker.kill();
  assert.match(broker.stderr, /Nothing more is acknowledged/);
  faulty.plan([]);
}

function mark(broker: Broker): string | null {
  try {
    return Deno.readTextFileSync(`${broker.dataDir}/${DISK_ERROR_PATH}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
