/**
 * A running broker whose disk fails, fills, or is slow.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EIO, ENOSPC } from "../../src/io/errno.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { Broker, within } from "../harness/broker.ts";
import { checkData } from "./check_data.ts";
import { FaultyBroker, SMALL_RINGS } from "./faulty_broker.ts";
import { pause } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";
import { createTopic, deleteTopic, trim } from "./side_loads.ts";
import { errorAt, range, UNVERIFIED, verifyPartition } from "./verify.ts";

Deno.test("A full disk refuses appends with KAFKA_STORAGE_ERROR, and nothing else", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker, { recordBytesMax: 8000, partitions: 2 });
  await createTopic(load.link, "doomed", 2);
  await load.ackMore(200);
  await faulty.order([{ ops: ["Allocate"], errno: ENOSPC }]);
  await load.until(() => load.refusals.has("KAFKA_STORAGE_ERROR"), "refusal");
  // Both partitions, not only the first that ran out of what it had reserved.
  await pause(1000);
  const stuckAt = load.acked;
  await pause(500);
  assert.equal(load.acked, stuckAt, "acknowledged on a full disk");
  load.refusals.forEach((_count, name) => {
    // Behind a batch that was refused, the next one of its producer has a gap before it.
    assert.match(name, /^(KAFKA_STORAGE_ERROR|OUT_OF_ORDER_SEQUENCE_NUMBER)$/);
  });

  const [first] = load.ledgers;
  await trim(load.link, first!, Math.floor(first!.highWatermark / 2));
  assert.equal((await range(load.link, first!)).start, first!.trimSent);
  await verifyPartition(load.link, load.ledgers[1]!, UNVERIFIED);
  await deleteTopic(load.link, "doomed");
  assert.deepEqual(load.problems.list, []);

  await faulty.order([]);
  await load.ackMore(100);
  await load.verify();
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  assert.equal((await checkData(broker.dataDir)).code, 0);
});

Deno.test("EIO on a read refuses that read, and passes with the fault", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker, { partitions: 2 });
  await load.ackMore(300);
  await load.drain();
  await broker.restart();
  await faulty.order([{ ops: ["Read"], errno: EIO }]);
  assert.equal(await errorAt(load.link, load.ledgers[0]!, 0), ErrorCode.KAFKA_STORAGE_ERROR);
  await faulty.order([]);
  load.resume();
  await load.ackMore(100);
  await load.verify();
});

Deno.test("Large batches over a small journal are slowed, never stopped", async () => {
  await using broker = await Broker.start({ cores: 1, flags: SMALL_RINGS });
  await using load = await PlainLoad.start(broker, { recordBytesMax: 60_000, pauseMs: 0 });
  // Four times what the ring holds.
  await load.ackMore(2200);
  await load.verify();
});

Deno.test("A slow disk breaks nothing", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  await using load = await PlainLoad.start(broker);
  await load.ackMore(100);
  await faulty.order([{ ops: ["Write", "Sync", "SyncFileSystem"], delayUs: 2000 }]);
  await load.ackMore(1000);
  await faulty.order([{ ops: ["Write", "Sync", "SyncFileSystem"], delayUs: 200_000 }]);
  await load.ackMore(50);
  await broker.kill();
  faulty.plan([]);
  await broker.restart({ cores: 3 });
  await load.ackMore(50);
  await faulty.order([{ ops: ["Read", "Write", "Allocate", "Open"], delayUs: 200_000, count: 40 }]);
  await load.verify();
  assert.deepEqual([...load.refusals.keys()], []);
  await broker.stop();
  const check = await checkData(broker.dataDir);
  assert.equal(check.code, 0, check.output);
});

Deno.test({
  name: "A small file system fills and empties; the broker goes on",
  ignore: !canMount(),
  fn: async () => {
    using place = new SmallFileSystem(96);
    await using faulty = await FaultyBroker.start({
      cores: 1,
      dataDir: place.path,
      flags: SMALL_RINGS,
    });
    const { broker } = faulty;
    await using ballast = await PlainLoad.start(broker, {
      topic: "ballast",
      partitions: 1,
      recordBytesMax: 60_000,
      pauseMs: 1,
      configs: { "segment.bytes": "4194304" },
    });
    await using load = await PlainLoad.start(broker, { recordBytesMax: 4000 });
    const isFull = () =>
      load.refusals.has("KAFKA_STORAGE_ERROR") && ballast.refusals.has("KAFKA_STORAGE_ERROR");
    await ballast.until(isFull, "full disk", 60_000);
    await pause(3000);
    assert.equal(await within(broker.exited, 1), null, broker.stderr);
    for (const ledger of [...load.ledgers, ...ballast.ledgers]) {
      await verifyPartition(load.link, ledger, UNVERIFIED);
    }
    ballast.hold();
    load.hold();
    const [heavy] = ballast.ledgers;
    await trim(ballast.link, heavy!, heavy!.highWatermark - 1);
    await ballast.verify();
    await load.verify();
    load.resume();
    await load.ackMore(50);
    await load.drain();
    await broker.kill();
    await broker.restart();
    await load.verify();
    await ballast.verify();
    assert.deepEqual(await broker.stop(), { code: 0, signal: null });
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
  },
});

/** A tmpfs of a few MiB, unmounted when disposed. */
class SmallFileSystem {
  readonly path: string;

  constructor(sizeMib: number) {
    this.path = Deno.makeTempDirSync({ prefix: "gregor-small-" });
    if (!mount("mount", "-t", "tmpfs", "-o", `size=${sizeMib}m`, "tmpfs", this.path)) {
      throw new Error(`Cannot mount at ${this.path}`);
    }
  }

  [Symbol.dispose](): void {
    mount("umount", this.path);
    Deno.removeSync(this.path, { recursive: true });
  }
}

function mount(...command: string[]): boolean {
  try {
    return new Deno.Command(command[0]!, { args: command.slice(1), stderr: "null" }).outputSync()
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Whether file systems can be mounted here, and take direct writes in memory. */
function canMount(): boolean {
  const path = Deno.makeTempDirSync();
  const mounted = mount("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path);
  if (mounted) {
    const direct = mount(
      "dd",
      "if=/dev/zero",
      `of=${path}/probe`,
      "bs=4096",
      "count=1",
      "oflag=direct",
    );
    mount("umount", path);
    Deno.removeSync(path);
    return direct;
  }
  Deno.removeSync(path);
  return false;
}
