/**
 * The codec, the in-place readers and the in-place writers against bytes that real clients sent and
 * real brokers answered with: `traffic/kafka.txt` and `traffic/gregor.txt`, as `record_traffic.ts`
 * recorded them. New versions of clients are met by `tests/clients/traffic_test.ts`.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { FETCH, JOIN_GROUP, PRODUCE, SYNC_GROUP } from "../../../src/wire/generated/apis.ts";
import { ErrorCode } from "../../../src/wire/errors.ts";
import { parseTraffic, type Traffic } from "./traffic/fixture_file.ts";
import {
  apiOf,
  checkFrame,
  decodeFrame,
  encodeFrame,
  nameOf,
  type WireFrame,
} from "./traffic/frame_codec.ts";
import { checkGroupProtocol } from "./traffic/group_protocol_check.ts";
import { checkHotPath, produceCheck, readerTakes, recordsOf } from "./traffic/hot_path_check.ts";

/** Every bit of a frame up to this size is flipped, of a larger one a bit of every byte. */
const EVERY_BIT_SIZE_MAX = 160;
/** Where a batch names its leader's epoch: set by the broker, and no checksum covers it. */
const LEADER_EPOCH = { from: 12, to: 16 };

const FILES = ["kafka", "kafka_older", "gregor"] as const;

function read(file: typeof FILES[number]): Traffic[] {
  return parseTraffic(Deno.readTextFileSync(new URL(`./traffic/${file}.txt`, import.meta.url)));
}

const TRAFFIC: readonly Traffic[] = FILES.flatMap(read);

/** Runs `check` over every frame; a failure says whose frame it was. */
function forEachFrame(check: (frame: WireFrame) => void): void {
  for (const { broker, client, library, frames } of TRAFFIC) {
    for (const frame of frames) {
      try {
        check(frame);
      } catch (error) {
        const where = `${client} (${library}) with ${broker}: ${nameOf(frame)}`;
        throw new Error(`${where}\n${frame.bytes.toHex()}`, { cause: error });
      }
    }
  }
}

Deno.test("the recorded traffic is that of six clients, and broad", () => {
  const clients = ["go", "java", "kafkajs", "kcat", "platformatic", "python"];
  for (const file of FILES) {
    assert.deepEqual(read(file).map(({ client }) => client).sort(), clients, file);
  }
  const apis = new Set<string>();
  const versions = new Set<string>();
  forEachFrame((frame) => {
    apis.add(`${apiOf(frame).name} ${frame.direction}`);
    versions.add(nameOf(frame));
  });
  assert.ok(apis.size > 90, `${apis.size} messages`);
  assert.ok(versions.size > 180, `${versions.size} messages and versions`);
});

Deno.test("every recorded frame is decoded to its end and encoded to the same bytes", () => {
  forEachFrame(checkFrame);
});

Deno.test("the only frames with bytes left over are two of librdkafka's", () => {
  const kinds = new Set<string>();
  for (const { client, frames } of TRAFFIC) {
    for (const frame of frames) {
      const decoded = decodeFrame(frame)!;
      if (decoded.endAt !== frame.bytes.length) kinds.add(`${client} ${apiOf(frame).name}`);
    }
  }
  assert.deepEqual([...kinds].sort(), ["python AlterUserScramCredentials", "python Metadata"]);
});

Deno.test("the readers and writers in place agree with the codec on every recorded frame", () => {
  let batches = 0;
  let records = 0;
  const compressions = new Set<number>();
  forEachFrame((frame) => {
    const counts = checkHotPath(frame, checkFrame(frame));
    batches += counts.batches;
    records += counts.records;
    for (const compression of counts.compressions) compressions.add(compression);
  });
  assert.ok(batches > 100, `${batches} batches`);
  assert.ok(records > 500, `${records} records`);
  assert.deepEqual([...compressions].sort(), [0, 1, 2, 3, 4]);
});

Deno.test("the data that members exchange inside of JoinGroup and SyncGroup is read", () => {
  let found = 0;
  forEachFrame((frame) => {
    if (frame.apiKey !== JOIN_GROUP.key && frame.apiKey !== SYNC_GROUP.key) return;
    found += checkGroupProtocol(frame, checkFrame(frame));
  });
  assert.ok(found > 20, `${found} subscriptions and assignments`);
});

Deno.test("a recorded frame that is cut anywhere is an error and no exception", () => {
  forEachFrame((frame) => {
    const { endAt } = decodeFrame(frame)!;
    const isHot = frame.direction === "request" &&
      (frame.apiKey === PRODUCE.key || frame.apiKey === FETCH.key);
    for (let size = 0; size < endAt; size++) {
      const cut = { ...frame, bytes: frame.bytes.subarray(0, size) };
      assert.equal(decodeFrame(cut), null, `cut at ${size} of ${endAt}`);
      if (isHot) assert.equal(readerTakes(cut), false, `cut at ${size}: the reader takes it`);
    }
  });
});

Deno.test("a recorded frame with one bit flipped is an error or another message", () => {
  let refused = 0;
  let taken = 0;
  forEachFrame((frame) => {
    const bytes = frame.bytes.slice();
    const every = bytes.length <= EVERY_BIT_SIZE_MAX;
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = every ? 0 : at % 8; bit < 8; bit += every ? 1 : 8) {
        bytes[at]! ^= 1 << bit;
        const flipped = { ...frame, bytes };
        const decoded = decodeFrame(flipped);
        if (decoded === null) refused++;
        else {
          taken++;
          encodeFrame(frame.direction, decoded);
        }
        if (frame.direction === "request" && decoded !== null) agree(flipped, decoded);
        bytes[at]! ^= 1 << bit;
      }
    }
  });
  assert.ok(refused > 10_000 && taken > 10_000, `${refused} refused, ${taken} taken`);
});

/** Codec and reader in place take the same requests; both pass over bytes that are left over, as Kafka does. */
function agree(
  frame: WireFrame,
  { api, version }: { api: { key: number }; version: number },
): void {
  if (api.key !== PRODUCE.key && api.key !== FETCH.key) return;
  assert.equal(readerTakes({ ...frame, apiKey: api.key, version }), true);
}

Deno.test("a recorded batch with one bit flipped is not taken from a producer", () => {
  let flips = 0;
  forEachFrame((frame) => {
    if (frame.apiKey !== PRODUCE.key) return;
    for (const records of recordsOf(frame, decodeFrame(frame)!)) {
      const damaged = records.slice();
      for (let at = 0; at < damaged.length; at++) {
        if (at >= LEADER_EPOCH.from && at < LEADER_EPOCH.to) continue;
        damaged[at]! ^= 1 << (at % 8);
        assert.notEqual(produceCheck(damaged), ErrorCode.NONE, `byte ${at} of the batch`);
        damaged[at]! ^= 1 << (at % 8);
        flips++;
      }
    }
  });
  assert.ok(flips > 1000, `${flips} flips`);
});
