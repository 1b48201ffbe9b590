/**
 * A running broker whose disk fails, fills, or is slow.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EIO, ENOSPC } from "../../src/io/errno.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { Broker } from "../harness/broker.ts";
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
