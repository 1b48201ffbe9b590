/**
 * What compaction costs those who produce beside it: the same steady load on two brokers that have the same compacted topic, which
 * grows slowly; one of them compacts it, all the time, and the other never.
 *
 * @module
 */

import { Connection } from "../../src/cli/client/connection.ts";
import { CREATE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { produceRequest } from "../sim/sim_requests.ts";
import {
  alternate,
  type BenchContext,
  loadOf,
  ratios,
  row,
  rule,
  THROUGHPUT_COLUMNS,
  throughputCells,
} from "./comparisons.ts";
import { formatSpread } from "./report.ts";
import { type Server, startBroker } from "./servers.ts";

const MEMORY = "1GiB";
const TOPIC = "users";
/** The log that each round of compaction reads again (bytes), and by how much it grows in a second. */
const LOG_BYTES = 64 * 1024 * 1024;
const BYTES_PER_S = 1024 * 1024;
const BATCH_RECORDS = 100;
const VALUE_BYTES = 1000;
const BATCH_BYTES = BATCH_RECORDS * VALUE_BYTES;
const RATE = 2000;

export async function compareCompaction(context: BenchContext): Promise<string> {
  const start = (enable: boolean): Promise<Server> =>
    startBroker(context.place, {
      memory: MEMORY,
      flags: [`--set=log.cleaner.enable=${enable}`, "--set=log.cleaner.backoff.ms=100"],
    });
  const without = await start(false);
  const beside = await start(true);
  const growing = [new Growing(), new Growing()];
  try {
    await Promise.all([growing[0]!.begin(without), growing[1]!.begin(beside)]);
    const load = loadOf(context, { rate: RATE, depth: 64 });
    const [never, always] = await alternate(context, "compaction", [
      { name: "no compaction", server: without, load },
      { name: "beside compaction", server: beside, load },
    ]);
    const tail = ratios(always!, never!, (report) => report.latencyUs.p999);
    return [
      "## Compaction beside a load",
      "",
      `${RATE} requests of 1 KiB a second, beside a compacted topic of 64 MiB that grows by 1 MiB a second.`,
      "",
      row(["Broker", ...THROUGHPUT_COLUMNS, "p99.9 of that without"]),
      rule(2 + THROUGHPUT_COLUMNS.length),
      row([...throughputCells(never!), "1"]),
      row([...throughputCells(always!), formatSpread(tail)]),
    ].join("\n");
  } finally {
    for (const one of growing) await one.end();
    await without.stop();
    await beside.stop();
  }
}

/** Fills a server's compacted topic, and goes on slowly. */
class Growing {
  #connection: Connection | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #next = 0;

  async begin(server: Server): Promise<void> {
    const [host, port] = server.address.split(":");
    const connection = await Connection.open(
      { host: host!, port: Number(port) },
      { timeoutMs: 60_000 },
    );
    this.#connection = connection;
    const configs = Object.entries({
      "cleanup.policy": "compact",
      "segment.bytes": "1048576",
      "min.cleanable.dirty.ratio": "0",
    }).map(([name, value]) => ({ name, value }));
    const topic = newCreatableTopic({
      name: TOPIC,
      numPartitions: 1,
      replicationFactor: 1,
      configs,
    });
    const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: 10_000 });
    await connection.call(CREATE_TOPICS, request);
    for (let bytes = 0; bytes < LOG_BYTES; bytes += BATCH_BYTES) await this.#add();
    const everyMs = BATCH_BYTES / BYTES_PER_S * 1000;
    this.#timer = setInterval(() => this.#add().catch(() => {}), everyMs);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#connection?.close();
  }

  async #add(): Promise<void> {
    const builder = new RecordBatchBuilder();
    const value = new Uint8Array(VALUE_BYTES);
    for (let i = 0; i < BATCH_RECORDS; i++) {
      // As many keys as the log is to keep: what is new supersedes what is oldest.
      const key = new TextEncoder().encode(`key-${this.#next++ % (LOG_BYTES / VALUE_BYTES)}`);
      builder.add({ key, value, timestamp: Date.now() });
    }
    const answer = await this.#connection!.call(
      PRODUCE,
      produceRequest(TOPIC, 0, builder.build()),
      { maxVersion: 12 },
    );
    const { errorCode } = answer.responses[0]!.partitionResponses[0]!;
    if (errorCode !== 0) throw new Error(`The compacted topic refuses a batch: ${errorCode}`);
  }
}
