/**
 * A broker of one or more shards without disk or network, for tests of handlers: requests and responses
 * pass through the generated codec of the version under test.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { TestCluster, type TestClusterOptions } from "../cluster/test_cluster.ts";
import { LeaderTable } from "../cluster/leaders.ts";
import { LiveNodes } from "../cluster/live_nodes.ts";
import { OWN_VERSIONS } from "../cluster/logical_version.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { runTask, type Task } from "../io/task.ts";
import { ProducerTable } from "../storage/producer_table.ts";
import { TestTransactions } from "../txn/test_coordinator.ts";
import type { Api } from "../wire/api.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { Handler, RequestContext } from "./handler.ts";
import { CREATE_TOPICS_HANDLER } from "./handlers/create_topics.ts";
import { INIT_PRODUCER_ID_HANDLER } from "./handlers/init_producer_id.ts";
import type { Partition } from "./partition.ts";
import type { Services } from "./services.ts";
import { TestGroups } from "./test_groups.ts";

/** What handlers call. */
// deno-lint-ignore no-explicit-any -- they are found by their keys.
const CALLED: readonly Handler<any, any>[] = [CREATE_TOPICS_HANDLER, INIT_PRODUCER_ID_HANDLER];

/** A partition's log as a list of timestamps: the record at offset `i` has `timestamps[i]`. */
export class TestLog {
  timestamps: number[] = [];
  startOffset = 0;
  /** First offset of each epoch, in order. */
  epochs: { readonly term: number; readonly offset: number }[] = [{ term: 3, offset: 0 }];
  failing = false;
  trimResult = 0;
  readonly producers = new ProducerTable();

  get endOffset(): number {
    return this.timestamps.length;
  }

  get sizeBytes(): number {
    return this.timestamps.length * 100;
  }

  get maxTimestampMs(): number {
    return Math.max(-1, ...this.timestamps.slice(this.startOffset));
  }

  indexAt(offset: number): number {
    return offset;
  }

  termAt(index: number): number {
    return this.epochs.findLast(({ offset }) => offset <= index)?.term ?? -1;
  }

  trimPrefix(offset: number): number {
    if (this.trimResult < 0) return this.trimResult;
    this.startOffset = offset;
    return 0;
  }

  // deno-lint-ignore require-yield -- there is no disk to wait for.
  *offsetForTimestamp(
    timestampMs: number,
    limit: number,
  ): Task<{ offset: number; timestampMs: number; term: number } | null> {
    if (this.failing) return null;
    for (let offset = this.startOffset; offset < limit; offset++) {
      const found = this.timestamps[offset]!;
      if (found >= timestampMs) return { offset, timestampMs: found, term: this.termAt(offset) };
    }
    return { offset: -1, timestampMs: -1, term: -1 };
  }

  endOffsetForEpoch(term: number, result: { term: number; endOffset: number }): void {
    const at = this.epochs.findLastIndex((epoch) => epoch.term <= term);
    result.term = this.epochs[at]?.term ?? -1;
    result.endOffset = at < 0 ? -1 : this.epochs[at + 1]?.offset ?? this.endOffset;
  }
}

/** What handlers use of a partition. */
export interface TestPartition {
  readonly image: Partition["image"];
  readonly log: TestLog;
  trimTo(offset: number): Task<number>;
  readable: boolean;
  undecided: boolean;
  leading: boolean;
  leaderEpoch: number;
  /** Committed records. */
  highWatermark: number;
  lastStableOffset: number;
  readonly startOffset: number;
}

export class TestBroker {
  readonly cluster: TestCluster;
  readonly leaders = new LeaderTable();
  readonly live = new LiveNodes();
  readonly partitions = new Map<number, TestPartition>();
  readonly shardCount: number;
  /** Groups whose leadership stays where it is, and why. */
  readonly unmovable = new Map<number, ErrorCode>();
  readonly groups: TestGroups;
  /** Those of all transactional ids, on the first shard; appends commit at once. */
  readonly transactions = new TestTransactions();
  /** Markers of all producers are on their way. */
  endsAll = false;
  /** What leaders are told by a transaction's coordinator. */
  admission: ErrorCode = ErrorCode.NONE;
  /** What was appended to partitions. */
  readonly markers: { readonly producerId: number; readonly batch: Uint8Array }[] = [];
  /** Groups whose partitions damage made read-only. */
  readonly readOnlyGroups = new Set<number>();

  constructor(options: TestClusterOptions & { readonly shardCount?: number } = {}) {
    this.cluster = new TestCluster(options);
    this.shardCount = options.shardCount ?? 1;
    this.groups = new TestGroups(this.shardCount);
    this.leaders.note(CONTROLLER_GROUP_ID, 0, 1);
    this.cluster.image.listen({
      partitionAdded: (image) => {
        const log = new TestLog();
        this.partitions.set(image.groupId, {
          image,
          log,
          // deno-lint-ignore require-yield -- commits are immediate.
          *trimTo(offset: number): Task<number> {
            return offset > log.startOffset ? log.trimPrefix(offset) : 0;
          },
          readable: true,
          undecided: false,
          leading: true,
          leaderEpoch: 3,
          highWatermark: 0,
          lastStableOffset: 0,
          get startOffset() {
            return log.startOffset;
          },
        });
      },
      topicRemoved: ({ partitions }) => {
        for (const { groupId } of partitions) this.partitions.delete(groupId);
      },
    });
  }

  /** The services of one shard; groups belong to the shard of their number's remainder. */
  services(shard: number): Services {
    const admission = () => this.admission;
    const owned = (groupId: number) => groupId % this.shardCount === shard;
    const partitions = {
      byGroup: (groupId: number) => owned(groupId) ? this.partitions.get(groupId) : undefined,
      all: () => [...this.partitions.values()].filter(({ image }) => owned(image.groupId)),
    };
    const moved = (groupId: number, target: number): ErrorCode => {
      const error = this.unmovable.get(groupId) ?? ErrorCode.NONE;
      if (error === ErrorCode.NONE) this.leaders.note(groupId, target, 1_000);
      return error;
    };
    return {
      shard,
      shardCount: this.shardCount,
      nodeId: 0,
      versions: OWN_VERSIONS,
      image: this.cluster.image,
      leaders: this.leaders,
      live: this.live,
      program: { version: "1.2.3", startedMs: 1_000 },
      controller: shard === 0 ? this.cluster.service : null,
      metadataReadOnly: false,
      partitions: partitions as unknown as Services["partitions"],
      groups: this.groups.directory(shard),
      transactions: {
        shardOfTransaction: () => 0,
        coordinatorFor: () => this.transactions.coordinator,
        all: () => shard === 0 ? [this.transactions.coordinator] : [],
      },
      regexes: {
        problem: (regex) => regex === "(" ? "unclosed group" : null,
        matching: (regex, names) =>
          [...names].filter((name) => new RegExp(`^(?:${regex})$`).test(name)),
      },
      markers: {
        append: (_partition, producerId, batch, done) => {
          this.markers.push({ producerId, batch });
          done(0);
        },
        isEnding: () => this.endsAll,
      },
      trouble: {
        diskFull: false,
        damagedGroups: new Set(),
        readOnlyGroups: this.readOnlyGroups,
      },
      // deno-lint-ignore require-yield -- there is nobody to ask.
      *admitToTransaction() {
        return admission();
      },
      dataDirectory: { path: "/data", freeBytes: () => 750, totalBytes: () => 1000 },
      // deno-lint-ignore require-yield -- there is no manifest.
      *recoverMetadata() {
        return null;
      },
      isMetadataMemberThere: () => true,
      *nextTurn() {},
      // deno-lint-ignore require-yield -- elections are immediate.
      moveLeader: function* (this: unknown, { groupId }, target) {
        return moved(groupId, target);
      },
      shardOfGroup: (groupId) => groupId % this.shardCount,
      call: (api, version, request) => {
        const called = CALLED.find((handler) => handler.api.key === api.key);
        assert(called !== undefined, "handlers call few others");
        return this.#route(called, version, request, shard);
      },
    };
  }

  /** A topic of `partitionCount` partitions, each with records at `timestamps`, all committed. */
  addTopic(name: string, partitionCount: number, timestamps: readonly number[] = []): void {
    const assignments = Array.from({ length: partitionCount }, (_, partitionIndex) => ({
      partitionIndex,
      brokerIds: [0],
    }));
    this.#create(name, assignments);
    for (const { groupId } of this.cluster.image.topicByName(name)!.partitions) {
      const partition = this.partitions.get(groupId)!;
      partition.log.timestamps = [...timestamps];
      partition.highWatermark = partition.lastStableOffset = timestamps.length;
    }
  }

  /** The partition of a topic. */
  partition(name: string, index: number): TestPartition {
    const { groupId } = this.cluster.image.topicByName(name)!.partitions[index]!;
    return this.partitions.get(groupId)!;
  }

  /** Sends a request through the codec and takes the answer; all commits are immediate. */
  ask<Request, Response>(
    handler: Handler<Request, Response>,
    version: number,
    request: Request,
    shard = 0,
  ): Response {
    const response = this.send(handler, version, request, shard)();
    assert(response !== null, "the request was not answered");
    return response;
  }

  /** Sends a request through the codec; the result gives the answer, null as long as there is none. */
  send<Request, Response>(
    handler: Handler<Request, Response>,
    version: number,
    request: Request,
    shard = 0,
  ): () => Response | null {
    assert(version >= handler.minVersion && version <= handler.maxVersion, "version is not served");
    const holder: { response?: Response } = {};
    const received = throughCodec(
      handler.api.encodeRequest,
      handler.api.decodeRequest,
      version,
      request,
    );
    runTask(this.#route(handler, version, received, shard), (response) => {
      holder.response = response;
    });
    const { encodeResponse, decodeResponse } = handler.api;
    return () =>
      holder.response === undefined
        ? null
        : throughCodec(encodeResponse, decodeResponse, version, holder.response);
  }

  *#route<Request, Response>(
    handler: Handler<Request, Response>,
    version: number,
    request: Request,
    shard: number,
  ): Task<Response> {
    const { route } = handler;
    const services = this.services(shard);
    if (route.kind !== "split") {
      const on = route.kind === "local" ? shard : route.shardOf(request, services);
      return yield* handler.handle(this.#context(version, on), request);
    }
    const responses: Response[] = [];
    for (const [on, part] of route.split(request, services)) {
      responses.push(yield* handler.handle(this.#context(version, on), part));
    }
    return route.merge(request, responses);
  }

  #context(version: number, shard: number): RequestContext {
    const services = this.services(shard);
    return { version, clientId: "t", clientHost: "/127.0.0.1", nowMs: 0, wallMs: 0, services };
  }

  #create(
    name: string,
    assignments: { readonly partitionIndex: number; readonly brokerIds: number[] }[],
  ): void {
    const topics = [{ name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }];
    const request = { topics, timeoutMs: 0, validateOnly: false };
    const response = this.ask(CREATE_TOPICS_HANDLER, 7, request);
    assert(response.topics[0]!.errorCode === 0, "the test's topic was not created");
  }
}

function throughCodec<Message>(
  encode: Api<Message, Message>["encodeRequest"],
  decode: Api<Message, Message>["decodeRequest"],
  version: number,
  message: Message,
): Message {
  const writer = new Writer();
  encode(writer, version, message);
  const cursor = Cursor.of(writer.copyBytes());
  const decoded = decode(cursor, version);
  assert(cursor.atEnd(), "the codec reads what it wrote");
  return decoded;
}
