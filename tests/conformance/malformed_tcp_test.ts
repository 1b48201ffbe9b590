/**
 * Hostile frames over real TCP against a real broker: fewer than `malformed_test.ts` sends, but through
 * the rings, the buffers and the sockets of production.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { API_VERSIONS } from "../../src/wire/generated/apis.ts";
import { newApiVersionsRequest } from "../../src/wire/generated/api_versions_request.ts";
import { encodeRequestFrame } from "../../src/wire/header.ts";
import { Broker, within } from "../harness/broker.ts";
import { SMALL_BATCH } from "../sim/sim_requests.ts";
import {
  flips,
  lyingLengths,
  randomFrame,
  servedApis,
  truncations,
  wholeFrame,
} from "./malformed/hostile_frames.ts";
import { HostileMessages } from "./malformed/hostile_message.ts";

const SEED = Number(Deno.env.get("GREGOR_MALFORMED_SEED") ?? Math.floor(Date.now() / 1000) % 1e6);
const FRAMES = 3_000;
const AT_ONCE = 50;
/** How long an answer or the end of the connection may take; a long poll is hung up on then. */
const PATIENCE_MS = 150;
const PROMPT_MS = 5_000;

Deno.test("a broker survives hostile frames over TCP, and stops as it should", async () => {
  const broker = await Broker.start({ cores: 2, memory: "256MiB" });
  try {
    const frames = hostileFrames();
    for (let i = 0; i < frames.length; i += AT_ONCE) {
      await Promise.all(frames.slice(i, i + AT_ONCE).map((frame) => shoot(broker, frame)));
      if (i % (AT_ONCE * 10) === 0) await greet(broker);
    }
    await greet(broker);
    console.log(`seed ${SEED}: ${frames.length} frames over TCP`);
    const { code } = await broker.stop();
    assert.equal(code, 0, broker.stderr);
  } finally {
    await broker.dispose();
  }
});

function hostileFrames(): Uint8Array[] {
  const random = new Xoshiro128(SEED);
  const apis = servedApis();
  const messages = new HostileMessages(random, {
    strings: ["orders", "group", "range", "retention.ms", "1"],
    uuids: ["f".repeat(32)],
    bytes: [SMALL_BATCH, new Uint8Array(0), new Uint8Array(100)],
  });
  const frames: Uint8Array[] = [];
  while (frames.length < FRAMES) {
    const { api, minVersion, maxVersion } = apis[random.nextBelow(apis.length)]!;
    const version = minVersion + random.nextBelow(maxVersion - minVersion + 1);
    const frame = wholeFrame(api, version, messages);
    const mutants = [...lyingLengths(frame), ...truncations(frame, 20), ...flips(frame, random, 5)];
    frames.push(frame.bytes, randomFrame(random, apis));
    for (let i = 0; i < 8; i++) frames.push(mutants[random.nextBelow(mutants.length)]!);
  }
  return frames;
}

/** Sends one frame; reads until an answer, the end, or impatience. */
async function shoot(broker: Broker, frame: Uint8Array): Promise<void> {
  const connection = await connect(broker);
  try {
    await connection.write(frame);
    await within(connection.read(new Uint8Array(4096)), PATIENCE_MS);
  } catch (error) {
    // The broker may hang up while we speak.
    if (
      !(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)
    ) {
      throw error;
    }
  } finally {
    connection.close();
  }
}

/** A healthy client is answered. */
async function greet(broker: Broker): Promise<void> {
  const connection = await connect(broker);
  const request = newApiVersionsRequest({
    clientSoftwareName: "test",
    clientSoftwareVersion: "1",
  });
  await connection.write(encodeRequestFrame(API_VERSIONS, 3, 1, "healthy", request));
  const read = await within(connection.read(new Uint8Array(4096)), PROMPT_MS);
  connection.close();
  assert(read !== null && read > 8, `a healthy client is not answered\n${broker.stderr}`);
}

async function connect(broker: Broker): Promise<Deno.TcpConn> {
  const [hostname, port] = broker.kafka.split(":") as [string, string];
  return await Deno.connect({ hostname, port: Number(port) });
}
