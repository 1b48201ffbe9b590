/**
 * A live consumer whose topic is deleted and recreated under it, again and again.
 *
 * It must find what is written to each new topic, from its first record on, however many there are: as many
 * as it had read of the one before, fewer, or more. When the client first looks at the new topic is its own
 * affair; by then its old position may well lie within.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Connection } from "../../src/cli/client/connection.ts";
import type { Address } from "../../src/cli/flags.ts";
import type { Api } from "../../src/wire/api.ts";
import { CREATE_TOPICS, DELETE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { type JsonLine, Program } from "../harness/program.ts";
import { type Client, flags } from "./clients.ts";

const PARTITIONS = 2;
const ANSWER_MS = 20_000;
/** From the last record's acknowledgement until the consumer must have read it. */
const READ_MS = 60_000;
const PRODUCE_NAMES = 12;
const DELETE_NAMES = 5;

export interface RecreationOptions {
  readonly broker: Address;
  readonly client: Client;
  /** Whether the consumer subscribes as a group, or assigns the partitions to itself. */
  readonly subscribes: boolean;
  readonly topic: string;
  /** Records per partition of each topic that takes the name over. */
  readonly counts: readonly number[];
}

/** A record as the consumer reported it; its value says which topic it was written to, and where. */
interface Read {
  readonly generation: number;
  readonly index: number;
  readonly partition: number;
  readonly offset: number;
}

export class RecreationStory {
  readonly #options: RecreationOptions;
  readonly #reads: Read[] = [];

  constructor(options: RecreationOptions) {
    this.#options = options;
  }

  /** Gives how many records the consumer has read. */
  async run(): Promise<number> {
    const { broker, client, topic, subscribes, counts } = this.#options;
    const connection = await Connection.open(broker, { timeoutMs: ANSWER_MS });
    let program: Program | null = null;
    try {
      for (const [generation, count] of counts.entries()) {
        if (generation > 0) await this.#remove(connection);
        await this.#create(connection);
        await this.#write(connection, generation, count);
        program ??= new Program([
          ...client.program("none"),
          "follow",
          ...flags({ brokers: `${broker.host}:${broker.port}`, topic, partitions: PARTITIONS }),
          ...subscribes ? flags({ group: `${topic}-group` }) : [],
        ], (line) => this.#take(line));
        await this.#untilRead(program, generation, count);
      }
      this.#checkOrder();
      return this.#reads.length;
    } finally {
      connection.close();
      await program?.kill();
    }
  }

  #take(line: JsonLine): void {
    if (line["event"] !== "read") return;
    const [generation, index] = (line["value"] as string).split(":").map(Number);
    const { partition, offset } = line as unknown as { partition: number; offset: number };
    this.#reads.push({ generation: generation!, index: index!, partition, offset });
  }

  async #untilRead(program: Program, generation: number, count: number): Promise<void> {
    const deadlineMs = performance.now() + READ_MS;
    const read = (partition: number): number[] =>
      this.#reads.filter((each) => each.generation === generation && each.partition === partition)
        .map(({ offset }) => offset);
    const wanted = Array.from({ length: count }, (_, offset) => offset);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      while (!wanted.every((offset) => read(partition).includes(offset))) {
        assert(
          program.alive && performance.now() < deadlineMs,
          `topic ${generation} with ${count} records: of partition ${partition} were read ` +
            `${JSON.stringify(read(partition))}\n${program.story}`,
        );
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  /** Each record is where it was written, and no record of a topic follows one of a later topic. */
  #checkOrder(): void {
    const newest = new Map<number, number>();
    for (const read of this.#reads) {
      const { generation, index, partition, offset } = read;
      assert.equal(index, offset, JSON.stringify(read));
      assert(
        generation >= (newest.get(partition) ?? 0),
        `of an older topic: ${JSON.stringify(read)}`,
      );
      newest.set(partition, generation);
    }
  }

  async #create(connection: Connection): Promise<void> {
    const { topic: name } = this.#options;
    const topic = newCreatableTopic({ name, numPartitions: PARTITIONS, replicationFactor: 1 });
    const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: ANSWER_MS });
    const { topics } = await call(connection, CREATE_TOPICS, request);
    assert.equal(topics[0]!.errorCode, 0);
  }

  async #remove(connection: Connection): Promise<void> {
    const { topic } = this.#options;
    const request = newDeleteTopicsRequest({ topicNames: [topic], timeoutMs: ANSWER_MS });
    const { responses } = await call(connection, DELETE_TOPICS, request, DELETE_NAMES);
    assert.equal(responses[0]!.errorCode, 0);
  }

  async #write(connection: Connection, generation: number, count: number): Promise<void> {
    const { topic: name } = this.#options;
    const batch = new RecordBatchBuilder();
    const encoder = new TextEncoder();
    for (let i = 0; i < count; i++) {
      const value = encoder.encode(`${generation}:${i}`);
      batch.add({ key: null, value, timestamp: Date.now() });
    }
    const records = batch.build();
    const partitionData = Array.from(
      { length: PARTITIONS },
      (_, index) => newPartitionProduceData({ index, records }),
    );
    const topicData = [newTopicProduceData({ name, partitionData })];
    const request = newProduceRequest({ acks: -1, timeoutMs: ANSWER_MS, topicData });
    const { responses } = await call(connection, PRODUCE, request, PRODUCE_NAMES);
    for (const { errorCode } of responses[0]!.partitionResponses) assert.equal(errorCode, 0);
  }
}

function call<Request, Response>(
  connection: Connection,
  api: Api<Request, Response>,
  request: Request,
  maxVersion: number = api.maxVersion,
): Promise<Response> {
  return connection.call(api, request, { maxVersion, timeoutMs: ANSWER_MS });
}
