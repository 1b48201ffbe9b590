/**
 * A file system that is full for real: only appends are refused, a broker starts on it all the same, and
 * goes on when there is room again.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { BALLAST_PATH } from "../../src/storage/ballast.ts";
import { Broker, within } from "../harness/broker.ts";
import { canMount, SmallFileSystem } from "../harness/small_file_system.ts";
import { checkData } from "./check_data.ts";
import { SMALL_RINGS } from "./faulty_broker.ts";
import { gregor } from "./gregor_command.ts";
import { logSays } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";
import { createTopic, deleteTopic, trim } from "./side_loads.ts";
import { UNVERIFIED, verifyPartition } from "./verify.ts";

const FULL = /The disk is full: appends are refused .* freeMib=\d+ remedy="free space/;
const FULL_MS = 60_000;
/** Space that comes free a little late would be taken by then (ms). */
const STILL_MS = 1_500;

Deno.test({
  name: "A small file system fills and empties; the broker goes on",
  ignore: !canMount(),
  fn: async () => {
    using place = new SmallFileSystem(96);
    await using broker = await Broker.start({ cores: 1, dataDir: place.path, flags: SMALL_RINGS });
    await using heavy = await PlainLoad.start(broker, HEAVY);
    await using load = await PlainLoad.start(broker, LIGHT);
    await stuck(load, heavy);
    assert.equal(await within(broker.exited, 1), null, broker.stderr);
    await logSays(broker, FULL);
    const full = await fetch(`http://${broker.ready.admin}/v1/status/ready`);
    assert.equal(full.status, 503);
    assert.match(await full.text(), /is full: appends are refused.*gregor topic trim/);
    const at = `--brokers=${broker.kafka}`;
    const health = await gregor(["cluster", "health", at]);
    assert.equal(health.code, 1, health.stderr);
    assert.match(health.stdout, /^full disks +.* of node 0 \([\d.]+ \w+ free\)$/m);
    assert.match(health.stdout, /To make room: /);
    for (const ledger of [...load.ledgers, ...heavy.ledgers]) {
      await verifyPartition(load.link, ledger, UNVERIFIED);
    }
    heavy.hold();
    load.hold();
    await trimAll(heavy);
    await heavy.verify();
    await load.verify();
    load.resume();
    await load.ackMore(50);
    await load.drain();
    await logSays(broker, /There is room on the disk again: appends are accepted/);
    assert.equal(broker.stderr.match(new RegExp(FULL.source, "g"))!.length, 1, broker.stderr);
    const ready = await fetch(`http://${broker.ready.admin}/v1/status/ready`);
    assert.equal(ready.status, 200, await ready.text());
    await broker.kill();
    await broker.restart();
    await load.verify();
    await heavy.verify();
    assert.deepEqual(await broker.stop(), { code: 0, signal: null });
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
  },
});

Deno.test({
  name: "A start on a full disk succeeds, with any number of cores; only appends wait for room",
  ignore: !canMount(),
  fn: async () => {
    using place = new SmallFileSystem(96);
    await using broker = await Broker.start({ cores: 2, dataDir: place.path, flags: SMALL_RINGS });
    await using heavy = await PlainLoad.start(broker, HEAVY);
    await using load = await PlainLoad.start(broker, { ...LIGHT, configs: SEGMENTS });
    await createTopic(load.link, "doomed", 2);
    await stuck(load, heavy);

    for (const cores of [2, 2, 1, 2]) {
      place.fill();
      await broker.kill();
      // What a killed process held by names that were gone already.
      place.fill();
      for (const afterMs of [600, 1000]) await broker.restartAndKill(afterMs, { cores });
      await broker.restart();
      assert.ok(held(place) > 0, "no room is kept for the next start");
      await stuck(load, heavy);
      for (const ledger of [...load.ledgers, ...heavy.ledgers]) {
        await verifyPartition(load.link, ledger, UNVERIFIED);
      }
    }
    // One core's four journal files for two.
    await logSays(broker, /configured journals: those of the last run were shared out/);
    await deleteTopic(load.link, "doomed");
    heavy.hold();
    load.hold();
    await trimAll(heavy);
    await heavy.verify();
    await trimAll(load);
    load.resume();
    await load.ackMore(50);
    await load.verify();
    assert.deepEqual(await broker.stop(), { code: 0, signal: null });
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
    place.unfill();
    // The first of them removes what is left of the segments.
    await broker.restart();
    await broker.restart();
    assert.doesNotMatch(broker.stderr, /too full/);
    load.resume();
    await load.ackMore(50);
    await load.verify();
  },
});

/** Segments that can be given up one by one. */
const SEGMENTS = { "segment.bytes": "4194304" };
/** A load that fills the disk, and one beside it. */
const HEAVY = {
  topic: "heavy",
  partitions: 1,
  recordBytesMax: 60_000,
  pauseMs: 1,
  configs: SEGMENTS,
};
const LIGHT = { recordBytesMax: 4000 };

/** Waits until appends to all of them are refused for want of space, from now on, and nothing else happens. */
async function stuck(...loads: readonly PlainLoad[]): Promise<void> {
  const refusals = () => loads.map((load) => load.refusals.get("KAFKA_STORAGE_ERROR") ?? 0);
  const acked = () => loads.reduce((sum, load) => sum + load.acked, 0);
  const before = refusals();
  let still = { at: acked(), sinceMs: performance.now() };
  const isStuck = (): boolean => {
    if (acked() !== still.at) still = { at: acked(), sinceMs: performance.now() };
    return performance.now() - still.sinceMs > STILL_MS &&
      refusals().every((count, at) => count > before[at]!);
  };
  await loads[0]!.until(isStuck, "full disk", FULL_MS);
}

async function trimAll(load: PlainLoad): Promise<void> {
  for (const ledger of load.ledgers) await trim(load.link, ledger, ledger.highWatermark - 1);
}

/** Bytes that are kept for the next start. */
function held(place: SmallFileSystem): number {
  return Deno.statSync(`${place.path}/${BALLAST_PATH}`).size;
}
