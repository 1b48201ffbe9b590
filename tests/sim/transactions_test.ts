/**
 * Transactions in a simulated cluster of three whose nodes die at every step of them: each is read whole or not at all, what
 * was committed is there, and what a producer had begun before the one after it came is not.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { readBatches } from "../../src/cli/client/records.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ADD_OFFSETS_TO_TXN,
  ADD_PARTITIONS_TO_TXN,
  END_TXN,
  FETCH,
  FIND_COORDINATOR,
  INIT_PRODUCER_ID,
  LIST_OFFSETS,
  OFFSET_FETCH,
  PRODUCE,
  TXN_OFFSET_COMMIT,
} from "../../src/wire/generated/apis.ts";
import { newAddOffsetsToTxnRequest } from "../../src/wire/generated/add_offsets_to_txn_request.ts";
import { newAddPartitionsToTxnRequest } from "../../src/wire/generated/add_partitions_to_txn_request.ts";
import { newEndTxnRequest } from "../../src/wire/generated/end_txn_request.ts";
import { newFetchPartition, newFetchRequest } from "../../src/wire/generated/fetch_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { newListOffsetsRequest } from "../../src/wire/generated/list_offsets_request.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestTopic,
} from "../../src/wire/generated/offset_fetch_request.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import {
  newTxnOffsetCommitRequest,
  newTxnOffsetCommitRequestPartition,
} from "../../src/wire/generated/txn_offset_commit_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { SimClient } from "./sim_client.ts";

const TOPIC = "orders";
const GROUP = "copier";
const ID = "copy";
const PARTITIONS = 3;
const TRANSACTIONS = 16;
/** Until a client gives a question up, and until it gives everything up (virtual ms). */
const ANSWER_MS = 3_000;
const LATE_MS = 60_000;
/** The protocols: partitions that are named first, and those that their leaders add (KIP-890). */
const OLD = { produce: 11, end: 3, commit: 3 };
const NEW = { produce: 12, end: 5, commit: 5 };

/** What a client that was told comes again after. */
const RETRIED: ReadonlySet<number> = new Set([
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.CONCURRENT_TRANSACTIONS,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.OFFSET_NOT_AVAILABLE,
  ErrorCode.KAFKA_STORAGE_ERROR,
]);

/** The transaction cannot go on. */
class Refused extends Error {
  readonly code: number;

  constructor(what: string, code: number) {
    super(`${what}: ${code}`);
    this.code = code;
  }
}

interface Producer {
  producerId: number;
  producerEpoch: number;
  readonly sequences: number[];
}

class TransactionStory {
  readonly bench: ClusterBench;
  readonly #random: Xoshiro128;
  readonly #versions: typeof OLD;
  readonly #lives: (number | null)[] = [1, 2, 1];
  /** Numbers of the transactions that were committed. */
  readonly committed: number[] = [];
  crashes = 0;

  constructor(seed: number, versions: typeof OLD) {
    this.#random = new Xoshiro128(seed);
    this.#versions = versions;
    this.bench = new ClusterBench(seed, 3, {
      "auto.leader.rebalance.enable": "false",
      "transaction.state.log.num.partitions": "3",
    });
    this.bench.start(1, 2, 1);
    this.bench.until(() => this.bench.metadata(0).brokers.length === 3);
    assert.equal(this.bench.create(0, TOPIC, 3, PARTITIONS).errorCode, ErrorCode.NONE);
  }

  run(): void {
    let producer = this.init();
    for (let number = 0; number < TRANSACTIONS; number++) {
      const commits = this.#random.nextBelow(3) > 0;
      const before = { ...producer, sequences: [...producer.sequences] };
      let isCommitted = false;
      try {
        this.#write(producer, number);
        this.#commitOffset(producer, number + 1);
        this.#peek();
        this.#perhapsCrash();
        isCommitted = this.#end(producer, commits) && commits;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        // As a client does that cannot go on: the next producer aborts what this one has begun.
        producer = this.init();
        this.#isFenced(before, number);
      }
      if (isCommitted) this.committed.push(number);
      this.#restartSome();
    }
    this.init();
    this.#restartAll();
  }

  /** Everybody reads the same: the committed ones, in order, in each partition. */
  check(): void {
    for (let index = 0; index < PARTITIONS; index++) {
      assert.deepEqual(this.#read(index), this.committed, `partition ${index}`);
    }
    const last = this.committed.at(-1);
    assert.equal(this.#groupOffset(), last === undefined ? -1 : last + 1);
  }

  init(): Producer {
    const request = newInitProducerIdRequest({
      transactionalId: ID,
      transactionTimeoutMs: 60_000,
    });
    const { producerId, producerEpoch } = this.#ofCoordinator(INIT_PRODUCER_ID, 4, request);
    return { producerId, producerEpoch, sequences: [0, 0, 0] };
  }

  #write(producer: Producer, number: number): void {
    if (this.#versions === OLD) {
      const request = newAddPartitionsToTxnRequest({
        v3AndBelowTransactionalId: ID,
        v3AndBelowProducerId: producer.producerId,
        v3AndBelowProducerEpoch: producer.producerEpoch,
        v3AndBelowTopics: [{ name: TOPIC, partitions: [0, 1, 2] }],
      });
      this.#retried("AddPartitionsToTxn", () => {
        const answer = this.#ask(this.#coordinator(1, ID), ADD_PARTITIONS_TO_TXN, 3, request);
        if (answer === null) return null;
        const [topic] = answer.resultsByTopicV3AndBelow;
        return { errorCode: topic!.resultsByPartition[0]!.partitionErrorCode };
      });
    }
    for (let index = 0; index < PARTITIONS; index++) {
      this.#perhapsCrash();
      this.#retried("Produce", () => this.#produce(producer, index, number));
      producer.sequences[index]!++;
    }
  }

  #produce(
    producer: Producer,
    index: number,
    number: number,
  ): { readonly errorCode: number } | null {
    const builder = new RecordBatchBuilder();
    builder.add({ key: null, value: Uint8Array.of(number), timestamp: 1_700_000_000_000 });
    const records = builder.build({
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      baseSequence: producer.sequences[index]!,
      isTransactional: true,
    });
    const request = newProduceRequest({
      acks: -1,
      timeoutMs: 2_000,
      transactionalId: ID,
      topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [{ index, records }] }],
    });
    const answer = this.#ask(this.#leader(index), PRODUCE, this.#versions.produce, request);
    return answer?.responses[0]?.partitionResponses[0] ?? null;
  }

  #commitOffset(producer: Producer, committedOffset: number): void {
    const { producerId, producerEpoch } = producer;
    const of = { transactionalId: ID, producerId, producerEpoch, groupId: GROUP };
    if (this.#versions === OLD) {
      this.#ofCoordinator(ADD_OFFSETS_TO_TXN, 3, newAddOffsetsToTxnRequest(of));
    }
    const partitions = [newTxnOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset })];
    const topics = [{ name: TOPIC, topicId: ZERO_UUID, partitions }];
    const request = newTxnOffsetCommitRequest({ ...of, topics });
    this.#retried("TxnOffsetCommit", () => {
      const node = this.#coordinator(0, GROUP);
      const answer = this.#ask(node, TXN_OFFSET_COMMIT, this.#versions.commit, request);
      return answer?.topics[0]?.partitions[0] ?? null;
    });
  }

  /** Whether it ended as was wanted; an answer that is lost is asked for again. */
  #end(producer: Producer, committed: boolean): boolean {
    const { producerId, producerEpoch } = producer;
    const request = newEndTxnRequest({
      transactionalId: ID,
      producerId,
      producerEpoch,
      committed,
    });
    const answer = this.#ofCoordinator(END_TXN, this.#versions.end, request);
    if (this.#versions === NEW) {
      producer.producerId = answer.producerId;
      producer.producerEpoch = answer.producerEpoch;
      producer.sequences.fill(0);
    }
    return true;
  }

  /** The producer that was given up gets nothing into any partition, and ends nothing. */
  #isFenced(zombie: Producer, number: number): void {
    const errors: readonly number[] = [
      ErrorCode.INVALID_PRODUCER_EPOCH,
      ErrorCode.PRODUCER_FENCED,
      ErrorCode.INVALID_PRODUCER_ID_MAPPING,
      ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ];
    const index = this.#random.nextBelow(PARTITIONS);
    const answer = this.#produce(zombie, index, 100 + number);
    if (answer === null || RETRIED.has(answer.errorCode)) return;
    assert(errors.includes(answer.errorCode), `a zombie wrote: ${answer.errorCode}`);
  }

  /** In the middle of a transaction: what was committed can be read, up to some point, and nothing else. */
  #peek(): void {
    const index = this.#random.nextBelow(PARTITIONS);
    const numbers = this.#read(index, this.#offsetOf(index, 1));
    assert.deepEqual(numbers, this.committed.slice(0, numbers.length), `partition ${index}`);
  }

  #read(index: number, end = this.#endOffset(index)): number[] {
    const numbers: number[] = [];
    for (let offset = 0; offset < end;) {
      const partitions = [
        newFetchPartition({ partition: index, fetchOffset: offset, partitionMaxBytes: 1 << 20 }),
      ];
      const request = newFetchRequest({
        maxWaitMs: 0,
        minBytes: 0,
        maxBytes: 1 << 20,
        isolationLevel: 1,
        topics: [{ topic: TOPIC, topicId: ZERO_UUID, partitions }],
      });
      const found = this.#retried("Fetch", () => {
        const answer = this.#ask(this.#leader(index), FETCH, 11, request);
        return answer?.responses[0]?.partitions[0] ?? null;
      });
      const where = { topic: TOPIC, partition: index, offset };
      const read = readBatches(where, found.records!, found.abortedTransactions ?? []);
      assert(read.nextOffset > offset, `partition ${index} ends at ${offset}, before ${end}`);
      numbers.push(...read.records.map(({ value }) => value![0]!));
      offset = read.nextOffset;
    }
    return numbers;
  }

  /** The log's end, once no transaction is open any more. */
  #endOffset(index: number): number {
    return this.#eventually("the last stable offset", () => {
      const end = this.#offsetOf(index, 0);
      return this.#offsetOf(index, 1) === end ? end : null;
    });
  }

  #offsetOf(index: number, isolationLevel: number): number {
    const partitions = [{
      partitionIndex: index,
      currentLeaderEpoch: -1,
      timestamp: -1,
      maxNumOffsets: 1,
    }];
    const request = newListOffsetsRequest({
      replicaId: -1,
      isolationLevel,
      topics: [{ name: TOPIC, partitions }],
    });
    return this.#retried("ListOffsets", () => {
      const answer = this.#ask(this.#leader(index), LIST_OFFSETS, 5, request);
      return answer?.topics[0]?.partitions[0] ?? null;
    }).offset;
  }

  #groupOffset(): number {
    const topics = [newOffsetFetchRequestTopic({ name: TOPIC, partitionIndexes: [0] })];
    const request = newOffsetFetchRequest({ groupId: GROUP, topics, requireStable: true });
    return this.#eventually("the group's offset", () => {
      const node = this.#coordinator(0, GROUP);
      const answer = this.#ask(node, OFFSET_FETCH, 7, request);
      const found = answer?.topics[0]?.partitions[0];
      return found?.errorCode === ErrorCode.NONE ? found.committedOffset : null;
    });
  }

  #perhapsCrash(): void {
    if (this.#random.nextBelow(5) > 0 || this.#lives.includes(null)) return;
    const victim = this.#random.nextBelow(3);
    this.bench.cluster.nodes[victim]!.crash();
    this.#lives[victim] = null;
    this.crashes++;
  }

  #restartSome(): void {
    if (this.#random.nextBelow(8) === 0) {
      // The current goes everywhere: what is left is what the disks have.
      for (let node = 0; node < 3; node++) {
        if (this.#lives[node] !== null) this.bench.cluster.nodes[node]!.crash();
        this.#lives[node] = null;
      }
      this.#restartTogether();
    }
    if (this.#random.nextBelow(2) > 0) this.#restartAll();
  }

  #restartTogether(): void {
    const { nodes } = this.bench.cluster;
    for (let node = 0; node < 3; node++) {
      this.#lives[node] = 1 + this.#random.nextBelow(2);
      nodes[node]!.begin(this.#lives[node]!);
    }
    this.bench.until(() => nodes.every(({ accepting }) => accepting), "the cluster");
  }

  #restartAll(): void {
    for (let node = 0; node < 3; node++) {
      if (this.#lives[node] !== null) continue;
      this.#lives[node] = 1 + this.#random.nextBelow(2);
      this.bench.join(node, this.#lives[node]!);
    }
  }

  get #alive(): number {
    return this.#lives.findIndex((life) => life !== null);
  }

  #leader(index: number): number {
    return this.#eventually("a leader", () => {
      const { partitions } = this.bench.metadata(this.#alive, TOPIC).topics[0]!;
      const leader = partitions.find(({ partitionIndex }) => partitionIndex === index)?.leaderId;
      return leader !== undefined && leader >= 0 && this.#lives[leader] !== null ? leader : null;
    });
  }

  #coordinator(keyType: number, key: string): number {
    const request = newFindCoordinatorRequest({ keyType, key });
    return this.#eventually("a coordinator", () => {
      const answer = this.#ask(this.#alive, FIND_COORDINATOR, 2, request);
      if (answer?.errorCode !== ErrorCode.NONE) return null;
      return this.#lives[answer.nodeId] === null ? null : answer.nodeId;
    });
  }

  #ofCoordinator<Request, Response extends { readonly errorCode: number }>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Response {
    return this.#retried(
      api.name,
      () => this.#ask(this.#coordinator(1, ID), api, version, request),
    );
  }

  /** Asks as often as a client does; throws what it would tell its application. */
  #retried<T extends { readonly errorCode: number }>(what: string, ask: () => T | null): T {
    const answer = this.#eventually(what, () => {
      const found = ask();
      return found === null || RETRIED.has(found.errorCode) ? null : found;
    });
    if (answer.errorCode !== ErrorCode.NONE) throw new Refused(what, answer.errorCode);
    return answer;
  }

  #eventually<T>(what: string, ask: () => T | null): T {
    const { cluster } = this.bench;
    const lateMs = cluster.nowMs + LATE_MS;
    for (;;) {
      const found = ask();
      if (found !== null) return found;
      assert(cluster.nowMs < lateMs, `${what} does not come`);
      cluster.rest(20);
    }
  }

  /** One question; null: its answer was lost, or is late. */
  #ask<Request, Response>(
    nodeId: number,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Response | null {
    const { cluster } = this.bench;
    const client = new SimClient(cluster.network.dial("producer", cluster.nodes[nodeId]!.address));
    let answer: Response | null = null;
    client.send(api, version, request, (response) => answer = response);
    // The node may die with the question on its way.
    if (this.#random.nextBelow(8) === 0) {
      const steps = this.#random.nextBelow(12);
      for (let i = 0; i < steps; i++) cluster.step();
      client.poll();
      this.#perhapsCrash();
    }
    const lateMs = cluster.nowMs + ANSWER_MS;
    while (answer === null && !client.end.closed && cluster.nowMs < lateMs) {
      cluster.step();
      client.poll();
    }
    return answer;
  }
}

for (const [name, versions] of [["V1", OLD], ["V2", NEW]] as const) {
  for (const seed of [1, 2, 3, 12, 14]) {
    Deno.test(`transactions ${name} are whole, whatever dies when (seed ${seed})`, () => {
      const story = new TransactionStory(seed, versions);
      story.run();
      story.check();
      assert(story.committed.length > 0 && story.crashes > 0);
    });
  }
}
