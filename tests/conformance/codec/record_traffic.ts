/**
 * `deno run -A tests/conformance/codec/record_traffic.ts [kafka|kafka_older|gregor]`: records what the
 * real clients and a broker say to each other, and writes `traffic/NAME.txt` for `traffic_test.ts`.
 *
 * Without an argument all three are recorded, one after the other. The older Kafka makes clients speak
 * older versions, and of it is kept only what they do not say to the newer one; of Gregor, one response
 * of each API and version, and requests that no Kafka was sent. Needs the clients
 * (`scripts/install_clients.ts`), and Java and Maven for Kafka. `CLIENTS=go,java` records only these,
 * to look at; the file is written all the same.
 *
 * @module
 */

import { Broker } from "../../harness/broker.ts";
import { KafkaBroker } from "../../harness/kafka_broker.ts";
import { type Frame, Recorder } from "../../harness/recorder.ts";
import { type Client, CLIENTS, type GroupProtocol, whyMissing } from "../../clients/clients.ts";
import { API_VERSIONS } from "../../../src/wire/generated/apis.ts";
import type { ApiVersionsRequest } from "../../../src/wire/generated/api_versions_request.ts";
import { tellStory } from "./traffic/client_story.ts";
import { formatTraffic, parseTraffic, type Traffic } from "./traffic/fixture_file.ts";
import { chooseFrames, kindOf } from "./traffic/frame_choice.ts";
import { decodeFrame } from "./traffic/frame_codec.ts";

const FOLDER = new URL("./traffic/", import.meta.url).pathname;
const COMMENT = "Recorded by record_traffic.ts; traffic/fixture_file.ts tells the format.";

interface Running {
  readonly kafka: string;
  stop(): Promise<unknown>;
}

/** A broker to record. */
interface Source {
  readonly name: string;
  /** As the file says it. */
  readonly broker: string;
  readonly protocols: readonly GroupProtocol[];
  readonly transactions: boolean;
  start(advertised: string): Promise<Running>;
  /** What is kept, given what the sources before it kept. */
  keep(traffic: readonly Traffic[]): Traffic[];
}

const KAFKA = "4.3.0";
/** Old, and still a node without ZooKeeper. */
const KAFKA_OLDER = "3.3.2";

const SOURCES: readonly Source[] = [
  {
    name: "kafka",
    broker: `Kafka ${KAFKA}`,
    protocols: ["classic", "consumer"],
    transactions: true,
    start: (advertised) => KafkaBroker.start(KAFKA, advertised),
    keep: (traffic) => [...traffic],
  },
  {
    name: "kafka_older",
    broker: `Kafka ${KAFKA_OLDER}`,
    protocols: ["classic"],
    transactions: true,
    start: (advertised) => KafkaBroker.start(KAFKA_OLDER, advertised),
    keep: (traffic) => without(traffic, read("kafka")),
  },
  {
    name: "gregor",
    broker: "Gregor",
    protocols: ["classic"],
    transactions: false,
    start: async (advertised) => {
      const broker = await Broker.start({
        cores: 2,
        flags: [`--advertised-kafka-addr=${advertised}`],
      });
      return { kafka: broker.kafka, stop: () => broker.dispose() };
    },
    keep: (traffic) => {
      const responses = oneOfEachKind(only("response", traffic));
      const requests = without(only("request", traffic), [
        ...read("kafka"),
        ...read("kafka_older"),
      ]);
      return requests.map(({ frames, ...rest }, index) => ({
        ...rest,
        frames: [...frames, ...responses[index]!.frames],
      }));
    },
  },
];

async function record(source: Source, clients: readonly Client[]): Promise<Traffic[]> {
  const recorder = Recorder.listen();
  const traffic: Traffic[] = [];
  const broker = await source.start(recorder.address);
  try {
    recorder.target = broker.kafka;
    for (const client of clients) {
      await tellStory({
        client,
        brokers: recorder.address,
        protocols: source.protocols,
        transactions: source.transactions,
        say: (line) => console.log(`${source.name}: ${line}`),
      });
      const frames = recorder.take();
      traffic.push({
        broker: source.broker,
        client: client.name,
        library: libraryOf(client, frames),
        frames: chooseFrames(frames),
      });
    }
  } finally {
    await recorder.close();
    await broker.stop();
  }
  if (recorder.faults.length > 0) throw new Error(recorder.faults.join("\n"));
  return traffic;
}

/** As the client calls itself; kafkajs does not, and is asked for its package. */
function libraryOf({ name }: Client, frames: readonly Frame[]): string {
  for (const frame of frames) {
    if (frame.apiKey !== API_VERSIONS.key || frame.direction !== "request") continue;
    const { clientSoftwareName, clientSoftwareVersion } = decodeFrame(frame)!
      .message as ApiVersionsRequest;
    if (clientSoftwareName !== "") return `${clientSoftwareName} ${clientSoftwareVersion}`;
  }
  const file = new URL(`../../clients/${name}/package.json`, import.meta.url);
  const { dependencies } = JSON.parse(Deno.readTextFileSync(file)) as {
    dependencies: Record<string, string>;
  };
  return `${name} ${dependencies[name]}`;
}

/** What is not also in `other`: a client's frames of a kind that it has there are left out. */
function without(traffic: readonly Traffic[], other: readonly Traffic[]): Traffic[] {
  const known = new Set(other.flatMap(({ client, frames }) => {
    return frames.map((frame) => `${client} ${kindOf(frame)}`);
  }));
  return traffic.map(({ frames, ...rest }) => ({
    ...rest,
    frames: frames.filter((frame) => !known.has(`${rest.client} ${kindOf(frame)}`)),
  }));
}

function only(direction: Frame["direction"], traffic: readonly Traffic[]): Traffic[] {
  return traffic.map(({ frames, ...rest }) => ({
    ...rest,
    frames: frames.filter((frame) => frame.direction === direction),
  }));
}

/** Of each API, version and direction only the first client's shortest. */
function oneOfEachKind(traffic: readonly Traffic[]): Traffic[] {
  const known = new Set<string>();
  return traffic.map(({ frames, ...rest }) => ({
    ...rest,
    frames: frames.filter((frame) => {
      const isNew = !known.has(kindOf(frame));
      known.add(kindOf(frame));
      return isNew;
    }),
  }));
}

function read(name: string): Traffic[] {
  return parseTraffic(Deno.readTextFileSync(`${FOLDER}${name}.txt`));
}

async function main(): Promise<void> {
  const wanted = Deno.env.get("CLIENTS")?.split(",");
  const clients = CLIENTS.filter(({ name }) => wanted?.includes(name) ?? true);
  for (const client of clients) {
    const why = whyMissing(client);
    if (why !== null) throw new Error(`${client.name}: ${why}`);
  }
  for (const source of SOURCES) {
    if (Deno.args.length > 0 && !Deno.args.includes(source.name)) continue;
    const traffic = source.keep(await record(source, clients));
    const text = formatTraffic([COMMENT], traffic);
    Deno.writeTextFileSync(`${FOLDER}${source.name}.txt`, text);
    const frames = traffic.reduce((sum, one) => sum + one.frames.length, 0);
    console.log(`${source.name}.txt: ${frames} frames, ${text.length} bytes`);
  }
}

if (import.meta.main) await main();
