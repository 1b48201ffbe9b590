/**
 * What each client and the broker say to each other, byte by byte: every frame of a round trip and of
 * all administration is decoded and encoded to the same bytes, and goes through the readers and
 * writers in place. `tests/conformance/codec/traffic_test.ts` does the same with recorded frames; this
 * is what meets a new version of a client.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { FETCH, JOIN_GROUP, SYNC_GROUP } from "../../src/wire/generated/apis.ts";
import { apiOf, checkFrame } from "../conformance/codec/traffic/frame_codec.ts";
import { checkGroupProtocol } from "../conformance/codec/traffic/group_protocol_check.ts";
import { checkHotPath } from "../conformance/codec/traffic/hot_path_check.ts";
import { Broker } from "../harness/broker.ts";
import { runProgram } from "../harness/program.ts";
import { type Frame, Recorder } from "../harness/recorder.ts";
import { cell, chosenClients, EXTERNAL, SCENARIOS } from "./chosen.ts";
import { type Client, type Codec, CODECS, flags } from "./clients.ts";

const COMMAND_TIMEOUT_MS = 60_000;
const RECORDS = 100;
/** Fewer than any client needs for its part of the story: something was not recorded. */
const APIS_MIN = 5;

/** One broker, reached through a recorder, for all clients. */
class Site {
  #started: Promise<{ recorder: Recorder; broker: Broker }> | null = null;

  start(): Promise<{ recorder: Recorder; broker: Broker }> {
    this.#started ??= (async () => {
      const recorder = Recorder.listen();
      const flags = [`--advertised-kafka-addr=${recorder.address}`];
      const broker = await Broker.start({ cores: 2, flags });
      recorder.target = broker.kafka;
      return { recorder, broker };
    })();
    return this.#started;
  }

  async dispose(): Promise<void> {
    const started = await this.#started?.catch(() => null);
    await started?.recorder.close();
    await started?.broker.dispose();
  }
}

async function tell(client: Client, brokers: string, codec: Codec): Promise<void> {
  const common = {
    brokers,
    partitions: client.hasAdmin ? 2 : 1,
    count: RECORDS,
    baseMs: Date.now() - 3_600_000,
  };
  const run = async (command: string, codec: Codec): Promise<void> => {
    const topic = `traffic-${client.name}-${command}`;
    await runProgram(
      [...client.program(codec), command, ...flags({ ...common, topic, codec })],
      COMMAND_TIMEOUT_MS,
    );
  };
  await run("roundtrip", codec);
  if (client.hasAdmin) await run("admin", "none");
}

function check(frames: readonly Frame[]): void {
  const apis = new Set<string>();
  let records = 0;
  for (const frame of frames) {
    const decoded = checkFrame(frame);
    const counts = checkHotPath(frame, decoded);
    if (frame.apiKey === FETCH.key) records += counts.records;
    if (frame.apiKey === JOIN_GROUP.key || frame.apiKey === SYNC_GROUP.key) {
      checkGroupProtocol(frame, decoded);
    }
    apis.add(apiOf(frame).name);
  }
  assert.ok(apis.size >= APIS_MIN, `only ${[...apis]}`);
  assert.ok(records >= RECORDS, `${records} records were fetched, ${RECORDS} written`);
}

if (EXTERNAL === undefined && SCENARIOS.includes("traffic")) {
  const site = new Site();
  for (const [index, client] of chosenClients.entries()) {
    cell(
      `traffic: ${client.name}, every frame is decoded and encoded again`,
      [client],
      async () => {
        const { recorder } = await site.start();
        recorder.take();
        await tell(client, recorder.address, CODECS[index % CODECS.length]!);
        check(recorder.take());
        assert.deepEqual(recorder.faults, []);
      },
    );
  }
  Deno.test.afterAll(() => site.dispose());
}
