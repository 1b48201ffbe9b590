/**
 * Hostile input: at least 100,000 frames that no client should send, against a whole simulated node.
 *
 * The property: each is answered with the protocol's error or costs its own connection. A healthy client
 * beside them keeps producing and fetching, memory returns to its level, nothing throws, and the log is
 * not flooded. `GREGOR_MALFORMED_SEED` replays one run, `GREGOR_MALFORMED_SCALE` makes it longer.
 */

import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import { encodeRequestFrame } from "../../src/wire/header.ts";
import { PRODUCE_VERSION_MAX } from "../../src/wire/produce_reader.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { SMALL_BATCH } from "../sim/sim_requests.ts";
import {
  extensions,
  flips,
  lyingLengths,
  randomFrame,
  type ServedApi,
  servedApis,
  strangeBatches,
  strangeHeader,
  strangeTags,
  truncations,
  type WholeFrame,
  wholeFrame,
} from "./malformed/hostile_frames.ts";
import { HostileMessages } from "./malformed/hostile_message.ts";
import { HostileNode, type Shot } from "./malformed/hostile_node.ts";

const SEED = Number(Deno.env.get("GREGOR_MALFORMED_SEED") ?? Math.floor(Date.now() / 1000) % 1e6);
const SCALE = Number(Deno.env.get("GREGOR_MALFORMED_SCALE") ?? 1);
const VOLLEY = 64;
const TOPIC = "orders";

/** What hostile requests speak of: some of it exists. */
function hostileMessages(random: Random, topicId: string): HostileMessages {
  const configs = [
    "retention.ms",
    "cleanup.policy",
    "max.message.bytes",
    "compact",
    "min.insync.replicas",
  ];
  return new HostileMessages(random, {
    strings: [
      TOPIC,
      TOPIC,
      TOPIC,
      "other",
      "g1",
      "g2",
      "range",
      "consumer",
      "0",
      "1",
      "-1",
      "m-1",
      ".",
      "..",
      "a/b",
      "__consumer_offsets",
      "__cluster_metadata",
      "__transaction_state",
      ...configs,
    ],
    uuids: [topicId, "0".repeat(31) + "1", "f".repeat(32), "0123456789abcdef0123456789abcdef"],
    bytes: [SMALL_BATCH, SMALL_BATCH, new Uint8Array(0), new Uint8Array(10), new Uint8Array(5000)],
  });
}

/** Collects shots into volleys, with a healthy exchange after each. */
class Gunner {
  readonly target: HostileNode;
  #shots: Shot[] = [];

  constructor(target: HostileNode) {
    this.target = target;
  }

  fire(shot: Shot): void {
    this.#shots.push(shot);
    if (this.#shots.length === VOLLEY) this.flush();
  }

  flush(): void {
    if (this.#shots.length === 0) return;
    this.target.volley(this.#shots.splice(0));
    this.target.healthy();
  }

  finish(name: string, startedMs: number): void {
    this.flush();
    this.target.greet();
    this.target.finish();
    const { frames, closed, answered, open, node } = this.target;
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    console.log(
      `${name}: seed ${SEED}, ${frames} frames in ${seconds} s: ${closed} closed, ` +
        `${answered} answered, ${open} open, ${node.remarks.length} log lines`,
    );
    // A line for each would be a flood of its own.
    assert(node.remarks.length <= 100 + frames / 20, "the log is flooded");
  }
}

/** The API and version that a frame names, if the broker serves them. */
function shotOf(frame: Uint8Array, apis: readonly ServedApi[]): Shot {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 12) return { frame, api: null, version: 0 };
  const served = apis.find(({ api }) => api.key === view.getInt16(4, false));
  return { frame, api: served?.api ?? null, version: view.getInt16(6, false) };
}

function* everyVersion(apis: readonly ServedApi[]): Generator<[ServedApi["api"], number]> {
  for (const { api, minVersion, maxVersion } of apis) {
    for (let version = minVersion; version <= maxVersion; version++) yield [api, version];
  }
}

Deno.test("malformed requests of every API and version cost nobody but their sender", () => {
  const startedMs = performance.now();
  const random = new Xoshiro128(SEED);
  const target = new HostileNode(SEED, 2);
  const gunner = new Gunner(target);
  const messages = hostileMessages(random, target.createTopic(TOPIC, 3));
  const apis = servedApis();
  for (const [api, version] of everyVersion(apis)) {
    const rounds = Math.ceil(2 * SCALE);
    for (let round = 0; round < rounds; round++) {
      const frame = wholeFrame(api, version, messages);
      for (const bytes of mutants(frame, random)) gunner.fire(shotOf(bytes, apis));
    }
  }
  gunner.finish("malformed requests", startedMs);
});

function* mutants(frame: WholeFrame, random: Random): Generator<Uint8Array> {
  yield frame.bytes;
  yield* lyingLengths(frame);
  yield* truncations(frame, 150);
  yield* extensions(frame, random);
  yield* strangeTags(frame);
  yield* flips(frame, random, 60);
  yield strangeHeader(frame, random);
}

Deno.test("requests that decode and mean nothing are answered", () => {
  const startedMs = performance.now();
  const random = new Xoshiro128(SEED + 1);
  const target = new HostileNode(SEED, 3);
  const gunner = new Gunner(target);
  const messages = hostileMessages(random, target.createTopic(TOPIC, 3));
  const apis = servedApis();
  const rounds = Math.ceil(60 * SCALE);
  for (let round = 0; round < rounds; round++) {
    for (const [api, version] of everyVersion(apis)) {
      gunner.fire(shotOf(wholeFrame(api, version, messages).bytes, apis));
    }
  }
  gunner.finish("absurd requests", startedMs);
});

Deno.test("random bytes, strange headers, sizes and pieces cost nobody but their sender", () => {
  const startedMs = performance.now();
  const random = new Xoshiro128(SEED + 2);
  const target = new HostileNode(SEED, 2);
  const gunner = new Gunner(target);
  const messages = hostileMessages(random, target.createTopic(TOPIC, 3));
  const apis = servedApis();
  const count = Math.ceil(20_000 * SCALE);
  for (let i = 0; i < count; i++) {
    const { api, minVersion, maxVersion } = apis[random.nextBelow(apis.length)]!;
    const version = minVersion + random.nextBelow(maxVersion - minVersion + 1);
    const kind = random.nextBelow(8);
    if (kind < 3) {
      gunner.fire(shotOf(randomFrame(random, apis), apis));
      continue;
    }
    const frame = wholeFrame(api, version, messages);
    const shot = shotOf(frame.bytes, apis);
    if (kind === 3) gunner.fire(shotOf(strangeHeader(frame, random), apis));
    else if (kind === 4) gunner.fire({ ...shot, pieceSize: 1 + random.nextBelow(3) });
    else if (kind === 5) {
      gunner.fire({ ...shot, sentBytes: random.nextBelow(frame.bytes.length) });
    } else if (kind === 6) gunner.fire({ ...shot, deaf: true });
    else gunner.fire({ frame: strangeSize(frame.bytes, random), api: null, version: 0 });
  }
  gunner.finish("random bytes", startedMs);
});

/** A size prefix that no frame has: none, negative, over the limit. */
function strangeSize(frame: Uint8Array, random: Random): Uint8Array {
  const sizes = [0, 1, 7, -1, -2147483648, 2147483647, 1_000_000_000, 101 * 2 ** 20, 0x16030100];
  const changed = frame.slice(0, 12);
  new DataView(changed.buffer).setInt32(0, sizes[random.nextBelow(sizes.length)]!, false);
  return changed;
}

Deno.test("batches that lie are refused, and never opened", () => {
  const startedMs = performance.now();
  const random = new Xoshiro128(SEED + 3);
  const target = new HostileNode(SEED, 2);
  const gunner = new Gunner(target);
  target.createTopic(TOPIC, 3);
  const apis = servedApis();
  for (const acks of [-1, 1, 0, 2]) {
    for (let version = 3; version < PRODUCE_VERSION_MAX; version++) {
      for (const records of strangeBatches(SMALL_BATCH, random)) {
        const partitionData = [0, 1, 2, 3].map((index) => ({ index, records }));
        const topicData = [{ name: TOPIC, topicId: ZERO_UUID, partitionData }];
        const request = newProduceRequest({ acks, timeoutMs: 1000, topicData });
        gunner.fire(
          shotOf(encodeRequestFrame(PRODUCE, version, 7, "hostile", request).slice(), apis),
        );
      }
    }
  }
  gunner.finish("lying batches", startedMs);
});
