/**
 * Damaged data as an operator meets it: nobody waits for ever, the words say what to do, and doing it works.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_DATA_DAMAGED } from "../../src/base/exit_codes.ts";
import { Broker } from "../harness/broker.ts";
import { checkData } from "./check_data.ts";
import { DiskImage } from "./disk_image.ts";
import { SMALL_RINGS } from "./faulty_broker.ts";
import { gregor } from "./gregor_command.ts";
import { logSays } from "./link.ts";

const RECORDS = 3000;
/** Each is a batch and more of its own. */
const PRODUCES = 6;
const FILLER = "x".repeat(100);

interface Scene {
  readonly broker: Broker;
  readonly image: DiskImage;
  /** Flags that name the broker. */
  readonly at: string;
}

/** A stopped broker with one partition of many extents. */
async function withOrders(act: (scene: Scene) => Promise<void>): Promise<void> {
  await using broker = await Broker.start({ cores: 1, flags: SMALL_RINGS });
  const at = `--brokers=${broker.kafka}`;
  await must(gregor(["topic", "create", "orders", "--partitions=1", at]));
  const lines = `${FILLER}\n`.repeat(RECORDS / PRODUCES);
  for (let i = 0; i < PRODUCES; i++) await must(gregor(["produce", "orders", at], lines));
  assert.equal((await broker.stop()).code, 0);
  await act({ broker, image: new DiskImage(broker.dataDir), at });
}

async function must(result: ReturnType<typeof gregor>): Promise<string> {
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, stderr);
  return stdout;
}

/** What a probe gets. */
async function readiness(broker: Broker): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${broker.ready.admin}/v1/status/ready`);
  return { status: response.status, body: await response.text() };
}

/** Probes and log report the damage, and what to do. */
async function seemsDamaged(broker: Broker, at: string, partition: string): Promise<void> {
  const { status, body } = await readiness(broker);
  assert.equal(status, 503, body);
  assert.match(body, /1 partition is damaged.*gregor check.*--accept-loss --verify/);
  const health = await gregor(["cluster", "health", at]);
  assert.equal(health.code, 1);
  assert.match(health.stdout, /^health +not good$/m);
  assert.match(health.stdout, new RegExp(`^damaged partitions +${partition}$`, "m"));
  assert.match(health.stdout, /--accept-loss --verify/);
}

function consume(at: string): ReturnType<typeof gregor> {
  return gregor(["consume", "orders", "--until-end", "--format=%o", at]);
}

Deno.test("A flipped byte: a reader gets an error at once, and gets past it when the loss is accepted", async () => {
  await withOrders(async ({ broker, image, at }) => {
    const [path] = image.segments("orders", 0);
    image.flip(path!, 100_000);

    await broker.restart();
    const refused = await consume(at);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      refused.stderr,
      /cannot read orders\/0 at offset \d+: .*CORRUPT_MESSAGE/,
    );
    assert.match(refused.stderr, /start the broker once with --accept-loss --verify/);
    await logSays(broker, /Damaged data/);
    assert.ok(broker.stderr.includes(path!), broker.stderr);
    await logSays(broker, /Damaged partitions cannot be served whole partitions=orders-0 remedy=/);
    await seemsDamaged(broker, at, "orders/0");

    await broker.restart({ flags: [...SMALL_RINGS, "--accept-loss", "--verify"] });
    await logSays(broker, /Gave up damaged data.*offsets="?\d+ to \d+/);
    const read = (await must(consume(at))).trim().split("\n").map(Number);
    assert.ok(read.length < RECORDS && read.length > RECORDS / 2, `${read.length} records`);
    assert.deepEqual([read[0], read.at(-1)], [0, RECORDS - 1]);
    await must(gregor(["produce", "orders", at], "one more\n"));
    assert.equal((await readiness(broker)).status, 200);
    assert.match(await must(gregor(["cluster", "health", at])), /^health +good$/m);

    // Without the flag again: it stays accepted, and nothing is damaged.
    await broker.restart({ flags: SMALL_RINGS });
    assert.equal((await must(consume(at))).trim().split("\n").length, read.length + 1);
    assert.equal((await broker.stop()).code, 0);
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
  });
});

Deno.test("Segment files that are gone: named, refused, given up, written on", async () => {
  await withOrders(async ({ broker, image, at }) => {
    for (const suffix of [".log", ".index"] as const) {
      for (const path of image.segments("orders", 0, suffix)) {
        Deno.removeSync(`${broker.dataDir}/${path}`);
      }
    }
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, EXIT_DATA_DAMAGED, check.output);
    assert.match(check.output, /orders-0.*offsets 0 to 2999/);

    await broker.restart();
    const refused = await gregor(["produce", "orders", "--timeout=2s", at], "one more\n");
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      refused.stderr,
      /read-only, because damage may have taken some.*KAFKA_STORAGE_ERROR/,
    );
    assert.match(refused.stderr, /--accept-loss/);
    assert.equal((await consume(at)).code, 1);
    await logSays(broker, /cannot be served whole partitions="orders-0 \(read-only\)"/);
    await seemsDamaged(broker, at, "orders/0");

    await broker.restart({ flags: [...SMALL_RINGS, "--accept-loss"] });
    await must(gregor(["produce", "orders", at], "one more\n"));
    assert.equal(await must(consume(at)), `${RECORDS}\n`);
    await broker.restart({ flags: SMALL_RINGS });
    assert.equal(await must(consume(at)), `${RECORDS}\n`);
    assert.equal((await broker.stop()).code, 0);
    const after = await checkData(broker.dataDir);
    assert.equal(after.code, 0, after.output);
  });
});
