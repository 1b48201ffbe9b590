/**
 * A whole node in simulation is sent every request that real clients were recorded with: each must be
 * understood. It may be answered with an error, since the topics and groups that it speaks of are not
 * there; what may not be is a closed connection, by which a broker says that it could not read it.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import type { ProduceRequest } from "../../src/wire/generated/produce_request.ts";
import { SimNode } from "../sim/sim_node.ts";
import { parseTraffic } from "./codec/traffic/fixture_file.ts";
import { apiOf, checkFrame, decodeFrame, type WireFrame } from "./codec/traffic/frame_codec.ts";
import { servedApis } from "./malformed/hostile_frames.ts";

/** A request that waits (for data, for a group) is not answered in these; it is read by then. */
const STEPS_MAX = 400;

function requests(): WireFrame[] {
  return ["kafka", "kafka_older", "gregor"].flatMap((name) => {
    const file = new URL(`./codec/traffic/${name}.txt`, import.meta.url);
    return parseTraffic(Deno.readTextFileSync(file)).flatMap(({ frames }) => frames);
  }).filter(({ direction }) => direction === "request");
}

/** Of these requests, what this broker advertises. */
function served(frames: readonly WireFrame[]): WireFrame[] {
  const apis = new Map(servedApis().map((one) => [one.api.key, one]));
  return frames.filter(({ apiKey, version }) => {
    const api = apis.get(apiKey);
    return api !== undefined && version >= api.minVersion && version <= api.maxVersion;
  });
}

/** By closing the connection, and only so, an acks=0 produce learns that its topic is not there. */
function mayClose(frame: WireFrame): boolean {
  return frame.apiKey === PRODUCE.key &&
    (decodeFrame(frame)!.message as ProduceRequest).acks === 0;
}

/** A frame may arrive in pieces. */
function isWhole(pieces: readonly Uint8Array[]): boolean {
  const bytes = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
  return bytes.length >= 4 && bytes.length >= 4 + new DataView(bytes.buffer).getInt32(0);
}

Deno.test("a node understands every recorded request of an API that it serves", () => {
  const node = new SimNode({ seed: 1 });
  assert.ok(node.mount(2));
  let answered = 0;
  let longer = 0;
  const frames = served(requests()).filter((frame) => !mayClose(frame));
  for (const [index, frame] of frames.entries()) {
    const name = `${apiOf(frame).name} v${frame.version}: ${frame.bytes.toHex()}`;
    const client = node.connect(index % 2);
    if (decodeFrame(frame)!.endAt < frame.bytes.length) longer++;
    const framed = new Uint8Array(4 + frame.bytes.length);
    new DataView(framed.buffer).setInt32(0, frame.bytes.length);
    framed.set(frame.bytes, 4);
    client.send(framed);
    const done = () => isWhole(client.fromServer) || client.closed;
    node.run(done, STEPS_MAX);
    assert.equal(client.closed, false, `closed after ${name}`);
    const bytes = client.take();
    if (bytes.length > 0) {
      answered++;
      checkFrame({ ...frame, direction: "response", bytes: bytes.slice(4) });
    }
    client.ended = true;
    assert.ok(node.run(() => client.closed), `the connection stays open after ${name}`);
  }
  assert.deepEqual(node.fatals, []);
  assert.ok(node.stop());
  assert.ok(longer > 0, "of requests with bytes behind their end there is none");
  assert.ok(answered > frames.length * 0.8, `${answered} of ${frames.length} answered`);
});
