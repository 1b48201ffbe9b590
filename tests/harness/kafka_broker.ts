/**
 * Apache Kafka itself, one node: to record what real brokers send, and to compare Gregor with it.
 *
 * The jars come from Maven (`kafka_pom.xml`), once; the broker runs as a child with its data in a
 * temporary folder.
 *
 * @module
 */

import { within } from "./broker.ts";

const HERE = new URL(".", import.meta.url).pathname;
const POM = `${HERE}kafka_pom.xml`;
/** Beside the clients' own packages, and ignored by git as they are. */
const JARS = new URL("../clients/.cache/kafka_broker/", import.meta.url).pathname;
const READY = "Kafka Server started";
const COMMAND_TIMEOUT_MS = 300_000;
/** It lives for minutes: what starts soon and says little is faster than what runs fast. */
const JAVA_FLAGS = [
  "-Xmx512m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
  // It says that it is ready.
  "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
];
const READY_TIMEOUT_MS = 240_000;
const STOP_TIMEOUT_MS = 30_000;
const OUTPUT_CHARACTERS_MAX = 16 * 1024;

export class KafkaBroker {
  /** `HOST:PORT` of the listener. */
  readonly kafka: string;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  #output = "";
  readonly #read: Promise<void>;

  private constructor(kafka: string, child: Deno.ChildProcess, folder: string) {
    this.kafka = kafka;
    this.#child = child;
    this.#folder = folder;
    this.#read = Promise.all([this.#keep(child.stdout), this.#keep(child.stderr)]).then(() => {});
  }

  /**
   * Starts a node and waits until it serves.
   *
   * @param version one of Maven's
   * @param advertised the address for clients; null for its own listener
   * @param more lines for its properties; they win over those that are always there
   */
  static async start(
    version: string,
    advertised: string | null,
    more: readonly string[] = [],
  ): Promise<KafkaBroker> {
    const jars = await kafkaJars(version);
    const folder = Deno.makeTempDirSync({ prefix: "kafka-" });
    const [clients, brokers, controller] = [freePort(), freePort(), freePort()];
    const file = `${folder}/server.properties`;
    const places = { folder, clients, brokers, controller };
    const lines = properties({ ...places, advertised: advertised ?? local(clients) });
    Deno.writeTextFileSync(file, [...lines, ...more].join("\n"));
    const java = ["java", ...JAVA_FLAGS, "-cp", `${jars}*`];
    // Any 16 bytes, in the form of Kafka's ids.
    const id = crypto.getRandomValues(new Uint8Array(16)).toBase64({ alphabet: "base64url" });
    // With "=", because an id may begin with a dash.
    const clusterId = `--cluster-id=${id.slice(0, 22)}`;
    await run([...java, "kafka.tools.StorageTool", "format", clusterId, "--config", file]);
    const [program, ...args] = [...java, "kafka.Kafka", file];
    const child = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const broker = new KafkaBroker(local(clients), child, folder);
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (!broker.#output.includes(READY)) {
      if (performance.now() > deadlineMs) {
        await broker.stop();
        throw new Error(`Kafka does not start:\n${broker.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return broker;
  }

  /** Ends it and removes its data. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    if (await within(this.#child.status, STOP_TIMEOUT_MS) === null) this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#read;
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #keep(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const found = this.#output.includes(READY) ? READY : "";
      this.#output = found + (this.#output + text).slice(-OUTPUT_CHARACTERS_MAX);
    }
  }
}

/** The folder of a version's jars, fetched if they are not there yet. */
async function kafkaJars(version: string): Promise<string> {
  const jars = `${JARS}${version}/`;
  const ready = `${jars}ready`;
  if (exists(ready)) return jars;
  await run([
    "mvn",
    "-q",
    "-B",
    ...["-f", POM, `-Dkafka.version=${version}`],
    "dependency:copy-dependencies",
    `-DoutputDirectory=${jars}`,
  ]);
  Deno.writeTextFileSync(ready, "");
  return jars;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

interface Places {
  readonly folder: string;
  readonly clients: number;
  /** What the broker says to itself must not come through the recorder. */
  readonly brokers: number;
  readonly controller: number;
  readonly advertised: string;
}

/** One node that is broker and controller, and allows everything to everybody. */
function properties({ folder, clients, brokers, controller, advertised }: Places): string[] {
  const internal = ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"];
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@${local(controller)}`,
    `listeners=${[
      `CLIENTS://${local(clients)}`,
      `BROKERS://${local(brokers)}`,
      `CONTROLLER://${local(controller)}`,
    ]}`,
    `advertised.listeners=CLIENTS://${advertised},BROKERS://${local(brokers)}`,
    `listener.security.protocol.map=${
      ["CLIENTS", "BROKERS", "CONTROLLER"].map((name) => `${name}:PLAINTEXT`)
    }`,
    "inter.broker.listener.name=BROKERS",
    "controller.listener.names=CONTROLLER",
    `log.dirs=${folder}/data`,
    "group.initial.rebalance.delay.ms=0",
    ...internal.flatMap((topic) => [`${topic}.replication.factor=1`, `${topic}.num.partitions=1`]),
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.min.isr=1",
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS",
  ];
}

function local(port: number): string {
  return `127.0.0.1:${port}`;
}

/** Free a moment ago; Kafka cannot say which port it was given. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function run([program, ...args]: readonly string[]): Promise<void> {
  const command = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS),
  });
  const { success, stdout, stderr } = await command.output();
  if (success) return;
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  throw new Error(`${[program, ...args].join(" ")}\n${said}`);
}
