/**
 * Three brokers with replication factor 3 under the load of a few idempotent producers, of which one partition is watched.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import type { Address } from "../../src/cli/flags.ts";
import { DESCRIBE_QUORUM } from "../../src/wire/generated/apis.ts";
import {
  newDescribeQuorumRequest,
  newPartitionData,
  newTopicData,
} from "../../src/wire/generated/describe_quorum_request.ts";
import type { MetadataResponsePartition } from "../../src/wire/generated/metadata_response.ts";
import { ClusterLinks } from "../cluster/cluster_links.ts";
import { FaultOrders } from "../crash/fault_orders.ts";
import { Lane } from "../crash/lane.ts";
import { Ledger, Problems } from "../crash/ledger.ts";
import { LinkClosed, parseAddress, pause } from "../crash/link.ts";
import { createTopic, newProducer } from "../crash/side_loads.ts";
import { LocalCluster } from "../harness/local_cluster.ts";

/** Its partition 0 is watched, and written by the load. */
export const TOPIC = "watched";
export const NODES = 3;
const METADATA_TOPIC = "__cluster_metadata";
const LANES = 4;
const IN_SYNC_MS = 60_000;
/** The cluster has been as it should for so long before something is done to it (ms). */
const REST_MS = 1_000;
const ANSWER_MS = 15_000;

export interface WatchedOptions {
  readonly parentDir: string;
  /** More of them for the brokers. */
  readonly flags: readonly string[];
  readonly partitions: number;
}

export class WatchedCluster {
  readonly cluster: LocalCluster;
  /** Faults of each node's disk. */
  readonly faults: readonly FaultOrders[];
  readonly #links: ClusterLinks;
  readonly #lanes: Lane[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #problems = new Problems();
  #stopped = false;

  private constructor(cluster: LocalCluster, faults: readonly FaultOrders[]) {
    this.cluster = cluster;
    this.faults = faults;
    this.#links = new ClusterLinks(this.addresses);
  }

  static async start({ parentDir, flags, partitions }: WatchedOptions): Promise<WatchedCluster> {
    const faults = Array.from(
      { length: NODES },
      (_, node) => new FaultOrders(`${parentDir}/faults-${node}`),
    );
    const cluster = await LocalCluster.start({
      nodes: NODES,
      parentDir,
      flags: [
        "--mode=production",
        "--idle-poll-us=0",
        "--set=default.replication.factor=3",
        ...flags,
      ],
      env: (node) => faults[node]!.env,
    });
    const watched = new WatchedCluster(cluster, faults);
    await watched.#load(partitions);
    return watched;
  }

  async #load(partitions: number): Promise<void> {
    const link = this.#links.link("control", null);
    await createTopic(link, TOPIC, partitions);
    for (let id = 0; id < LANES; id++) {
      const identity = await newProducer(link);
      const ledger = new Ledger(TOPIC, 0, this.#problems);
      const lane = new Lane({
        id,
        link: this.#links.link(`lane-${id}`, ledger),
        identity,
        ledger,
        random: new Xoshiro128(id + 1),
        recordsMax: 4,
        recordBytesMax: 1024,
        largePercent: 0,
        largeBytes: 0,
        pauseMs: 4,
      });
      this.#lanes.push(lane);
      const run = lane.run(() => this.#stopped);
      this.#running.push(run.catch((error) => {
        if (!(error instanceof LinkClosed)) this.#problems.add(String(error));
      }));
    }
  }

  /** Of the nodes, by id. */
  get addresses(): Address[] {
    return this.cluster.brokers.map(({ kafka }) => parseAddress(kafka));
  }

  /** Records that the load had acknowledged. */
  get acked(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.acked, 0);
  }

  /** Waits until every replica is in sync, and a little longer; the leader. */
  async settled(): Promise<number> {
    const lateMs = performance.now() + IN_SYNC_MS;
    for (;;) {
      assert(performance.now() < lateMs, `the replicas are not in sync\n${this.cluster.stderr}`);
      this.check();
      await pause(100);
      const partitions = await this.#partitions().catch(() => []);
      if (partitions.length === 0) continue;
      if (partitions.some(({ isrNodes, leaderId }) => isrNodes.length < NODES || leaderId < 0)) {
        continue;
      }
      const { acked } = this;
      await pause(REST_MS);
      const leader = await this.#links.leaderOf(TOPIC, 0);
      const watched = partitions.find(({ partitionIndex }) => partitionIndex === 0);
      if (leader === watched?.leaderId && this.acked > acked) return leader;
    }
  }

  /** Nothing that was acknowledged was lost, as far as the load can tell. */
  check(): void {
    assert(!this.#problems.any, this.#problems.list.join("\n"));
  }

  /** The terms of all groups, that of the metadata included: each election adds at least one. */
  async terms(): Promise<number[]> {
    const partitions = await this.#partitions();
    const connection = await Connection.open(this.addresses[0]!, { timeoutMs: ANSWER_MS });
    try {
      const topics = [
        newTopicData({
          topicName: METADATA_TOPIC,
          partitions: [newPartitionData({ partitionIndex: 0 })],
        }),
      ];
      const quorum = await connection.call(DESCRIBE_QUORUM, newDescribeQuorumRequest({ topics }));
      const metadata = quorum.topics[0]?.partitions[0];
      assert(quorum.errorCode === 0 && metadata?.errorCode === 0, "nobody leads the metadata");
      return [metadata, ...partitions].map(({ leaderEpoch }) => leaderEpoch);
    } finally {
      connection.close();
    }
  }

  /** Of all topics; empty while a node or the topic is not known. */
  async #partitions(): Promise<MetadataResponsePartition[]> {
    const { brokers, topics } = await this.#links.metadata();
    const isWhole = brokers.length === NODES && topics.some(({ name }) => name === TOPIC);
    return isWhole ? topics.flatMap(({ partitions }) => partitions) : [];
  }

  async end(): Promise<void> {
    this.#stopped = true;
    for (const lane of this.#lanes) lane.hold();
    for (const link of this.#links.links) link.close();
    await Promise.all(this.#running);
    await this.cluster.dispose();
    this.check();
  }
}
