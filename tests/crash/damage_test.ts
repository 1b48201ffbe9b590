/**
 * Files damaged while the broker was away: it names what it finds, `gregor check` finds the same, only what
 * is concerned is refused, and nothing is cut in silence. What a crash leaves is no damage.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_CANNOT_CREATE, EXIT_DATA_DAMAGED } from "../../src/base/exit_codes.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../src/wire/generated/produce_request.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { Broker } from "../harness/broker.ts";
import { checkData } from "./check_data.ts";
import { DiskImage } from "./disk_image.ts";
import { SMALL_RINGS } from "./faulty_broker.ts";
import type { Ledger } from "./ledger.ts";
import { logSays, pause } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";
import { errorAt, UNVERIFIED, verifyPartition } from "./verify.ts";

/** Long enough for an idle journal to be sealed (ms). */
const SEALED_MS = 300;

interface Scene {
  readonly broker: Broker;
  readonly load: PlainLoad;
  readonly image: DiskImage;
}

/** Enough for the journals to have been released past the topic's creation: no record holds it. */
const LONG_HISTORY = { records: 7000, recordBytesMax: 8000 };
const SHORT_HISTORY = { records: 800, recordBytesMax: 1000 };

/** A broker with records in four partitions over two cores, idle, then killed or stopped. */
async function withScene(
  ending: "kill" | "stop",
  act: (scene: Scene) => Promise<void>,
  { records, recordBytesMax } = SHORT_HISTORY,
): Promise<void> {
  await using broker = await Broker.start({ cores: 2, flags: SMALL_RINGS });
  await using load = await PlainLoad.start(broker, {
    partitions: 4,
    recordBytesMax,
    pauseMs: 1,
    configs: { "segment.bytes": "1048576" },
  });
  await load.ackMore(records);
  await load.drain();
  await pause(SEALED_MS);
  if (ending === "kill") await broker.kill();
  else assert.equal((await broker.stop()).code, 0);
  await act({ broker, load, image: new DiskImage(broker.dataDir) });
}

async function produceOne(load: PlainLoad, ledger: Ledger): Promise<number> {
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(20), timestamp: 1 });
  const request = newProduceRequest({
    acks: -1,
    timeoutMs: 5000,
    topicData: [
      newTopicProduceData({
        name: ledger.topic,
        partitionData: [
          newPartitionProduceData({ index: ledger.partition, records: builder.build() }),
        ],
      }),
    ],
  });
  const response = await load.link.call(PRODUCE, request, 12);
  return response!.responses[0]!.partitionResponses[0]!.errorCode;
}

Deno.test("A torn last journal write is cut without a word of damage", async () => {
  await withScene("kill", async ({ broker, load, image }) => {
    for (let shard = 0; shard < 2; shard++) {
      const blocks = image.journalBlocks(shard);
      const last = blocks.at(-1)!.lsn;
      for (const block of blocks.filter((one) => one.lsn === last)) {
        image.zero(block.path, block.position, BLOCK_SIZE);
      }
    }
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
    await broker.restart();
    assert.doesNotMatch(broker.stderr, /damage/i);
    await load.verify();
  });
});

Deno.test("A journal damaged in the middle: named, its groups are read-only, the others go on", async () => {
  await withScene("kill", async ({ broker, load, image }) => {
    const shard = 1;
    const blocks = image.journalBlocks(shard);
    const broken = blocks[Math.floor(blocks.length / 2)]!;
    assert.ok(broken.lsn <= blocks.at(-1)!.stableLsn);
    image.flip(broken.path, broken.position + 100);
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, EXIT_DATA_DAMAGED, check.output);
    assert.ok(check.output.includes(broken.path), check.output);
    await broker.restart();
    await logSays(broker, /Damaged data/);
    assert.ok(broker.stderr.includes(broken.path), broker.stderr);
    let refused = 0;
    for (const ledger of load.ledgers) {
      const errorCode = await produceOne(load, ledger);
      if (errorCode === ErrorCode.KAFKA_STORAGE_ERROR) refused++;
      else {
        assert.equal(errorCode, ErrorCode.NONE);
        await verifyHealthy(load, ledger);
      }
    }
    // Of the shard's two logs, one may prove by its later records that it has lost none.
    assert.ok(refused === 1 || refused === 2, `${refused} refused`);
    await staysSuspect(broker, load);
  });
});

Deno.test("Both checkpoint slots damaged: named, and the shard's groups are read-only", async () => {
  await withScene("stop", async ({ broker, load, image }) => {
    for (const path of image.manifest.shards[1]!.checkpoints) image.flip(path, 200);
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, EXIT_DATA_DAMAGED, check.output);
    await broker.restart();
    await logSays(broker, /Both checkpoint slots/);
    let refused = 0;
    for (const ledger of load.ledgers) {
      const errorCode = await produceOne(load, ledger);
      if (errorCode === ErrorCode.NONE) await verifyHealthy(load, ledger);
      else {
        assert.equal(errorCode, ErrorCode.KAFKA_STORAGE_ERROR);
        refused++;
        await verifyPartition(load.link, ledger, UNVERIFIED);
      }
    }
    assert.equal(refused, 2);
    assert.deepEqual(load.problems.list, []);
    await staysSuspect(broker, load);
  }, LONG_HISTORY);
});

Deno.test("One checkpoint slot damaged costs nothing", async () => {
  await withScene("stop", async ({ broker, load, image }) => {
    for (const { checkpoints } of image.manifest.shards) image.flip(checkpoints[0]!, 200);
    await broker.restart();
    load.resume();
    await load.ackMore(50);
    await load.verify();
  });
});

Deno.test("Damaged segment bytes: that extent is refused, all else is served", async () => {
  await withScene("stop", async ({ broker, load, image }) => {
    const [path] = image.segments("load", 0);
    image.flip(path!, 500);
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, EXIT_DATA_DAMAGED, check.output);
    assert.ok(check.output.includes(path!), check.output);
    await broker.restart();
    assert.equal(await errorAt(load.link, load.ledgers[0]!, 0), ErrorCode.CORRUPT_MESSAGE);
    await logSays(broker, /Damaged data/);
    assert.ok(broker.stderr.includes(path!), broker.stderr);
    for (const ledger of load.ledgers.slice(1)) {
      await verifyPartition(load.link, ledger, UNVERIFIED);
      assert.equal(await produceOne(load, ledger), ErrorCode.NONE);
    }
    assert.deepEqual(load.problems.list, []);
  });
});

Deno.test("A damaged index is named, and rebuilt: everything is served", async () => {
  await withScene("stop", async ({ broker, load, image }) => {
    const [path] = image.segments("load", 0, ".index");
    image.flip(path!, 100);
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, EXIT_DATA_DAMAGED, check.output);
    assert.ok(check.output.includes(path!), check.output);
    await broker.restart();
    await load.verify();
    await logSays(broker, /index/i);
    load.resume();
    await load.ackMore(50);
    await load.verify();
    await broker.stop();
    const mended = await checkData(broker.dataDir);
    assert.equal(mended.code, 0, mended.output);
  }, LONG_HISTORY);
});

Deno.test("A lost manifest has a copy; without both, a start says how to go on from what there is", async () => {
  await withScene("stop", async ({ broker, load, image }) => {
    image.flip("manifest", 100);
    await broker.restart();
    await logSays(broker, /Damaged data .*file=manifest .*its copy \(manifest\.copy\) serves/);
    await load.verify();
    assert.equal((await broker.stop()).code, 0);
    for (const path of ["manifest", "manifest.copy"]) Deno.removeSync(`${broker.dataDir}/${path}`);

    const check = await checkData(broker.dataDir);
    assert.equal(check.code, EXIT_DATA_DAMAGED, check.output);
    assert.match(check.output, /manifest and its copy are missing.*files of \d+ partitions/);
    assert.match(check.output, /--accept-loss/);
    assert.equal((await broker.restartAndFail()).code, EXIT_DATA_DAMAGED, broker.stderr);
    await logSays(
      broker,
      /manifest and its copy are missing.*gregor check.*start once with --accept-loss/,
    );

    // What was in segments, as after this orderly stop, is all there.
    await broker.restart({ flags: [...SMALL_RINGS, "--accept-loss"] });
    await load.verify();
    load.resume();
    await load.ackMore(50);
    await load.verify();
    await broker.restart({ flags: SMALL_RINGS });
    await load.verify();
  });
});

Deno.test("Another node's directory is no damage", async () => {
  await withScene("stop", async ({ broker }) => {
    const flags = [...SMALL_RINGS, "--node-id=7"];
    assert.equal((await broker.restartAndFail({ flags })).code, EXIT_CANNOT_CREATE, broker.stderr);
    await logSays(
      broker,
      /is that of node 0, not 7\. Start with that --node-id, or choose another/,
    );
    assert.doesNotMatch(broker.stderr, /gregor check/);
  });
});

Deno.test("A manifest damaged in both copies stops the start with 65; one of a newer format with 73", async () => {
  await withScene("stop", async ({ broker, load, image }) => {
    const { manifest } = image;
    for (const path of ["manifest", "manifest.copy"]) image.flip(path, 100);
    assert.equal((await broker.restartAndFail()).code, EXIT_DATA_DAMAGED, broker.stderr);
    await logSays(broker, /gregor check/);
    image.writeManifest({ ...manifest, formatVersion: manifest.formatVersion + 1 });
    assert.equal((await broker.restartAndFail()).code, EXIT_CANNOT_CREATE, broker.stderr);
    await logSays(broker, /newer version/);
    image.writeManifest(manifest);
    await broker.restart();
    await load.verify();
  });
});

/** One more record than the ledger knows of is at the end. */
async function verifyHealthy(load: PlainLoad, ledger: Ledger): Promise<void> {
  const extra = ledger.highWatermark;
  assert.equal(await errorAt(load.link, ledger, 0), ErrorCode.NONE);
  assert.equal(await errorAt(load.link, ledger, extra), ErrorCode.NONE);
}

/** Another start does not forget the damage. */
async function staysSuspect(broker: Broker, load: PlainLoad): Promise<void> {
  await broker.restart();
  await logSays(broker, /read-only/);
  const codes = new Set<number>();
  for (const ledger of load.ledgers) codes.add(await produceOne(load, ledger));
  assert.ok(codes.has(ErrorCode.KAFKA_STORAGE_ERROR), [...codes].join());
}
