/**
 * One seed of disasters: clusters lose the majority of their nodes with their disks, and an operator has the metadata and
 * the partitions go on with what is left, sometimes not with the best of it.
 *
 * ```text
 *   work ─ some nodes are cut off, work ─ most nodes die ─ the operator recovers the metadata, perhaps with power cuts
 *     ─ who cannot follow ends, and is emptied ─ the operator recovers partitions ─ the lost nodes come back
 *     (with their disks: they must end; without) ─ replicas are spread again ─ and once more
 * ```
 *
 * What may be lost is what only lost nodes had: acknowledged records are forgotten from where the log ends that goes on
 * ({@linkcode QuorumWatch}), and topics with the metadata. In the end all images are equal, all logs are equal byte for byte, and
 * every other acknowledged record is where it was.
 *
 * @module
 */

import { chooseSurvivor, votersOf } from "../../src/cli/partition_recover.ts";
import type { ReplicaReport } from "../../src/cli/client/replicas.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import type { PartitionImage } from "../../src/cluster/image.ts";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ALTER_PARTITION_REASSIGNMENTS,
  CREATE_TOPICS,
  DELETE_TOPICS,
  DESCRIBE_REPLICAS,
  PRODUCE,
  RECOVER_METADATA,
  RECOVER_PARTITION,
} from "../../src/wire/generated/apis.ts";
import { newAlterPartitionReassignmentsRequest } from "../../src/wire/generated/alter_partition_reassignments_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newDescribeReplicasRequest } from "../../src/wire/generated/describe_replicas_request.ts";
import { newRecoverMetadataRequest } from "../../src/wire/generated/recover_metadata_request.ts";
import { newRecoverPartitionRequest } from "../../src/wire/generated/recover_partition_request.ts";
import { BatchLedger } from "./batch_ledger.ts";
import { ClusterWatch } from "./cluster_watch.ts";
import { manifestOn } from "./disk_picture.ts";
import { QuorumWatch } from "./quorum_watch.ts";
import { failureOf, runTwice } from "./run_seed.ts";
import { SimClient } from "./sim_client.ts";
import { SimCluster } from "./sim_cluster.ts";
import { SimFailure } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";
import { produceRequest, topicRequest } from "./sim_requests.ts";
import { simRpcAddress } from "./sim_world.ts";

/** For how long an answer is waited for, and anything that must come (virtual ms). */
const ANSWER_MS = 4_000;
const SOON_MS = 60_000;
/** Nobody leads for so long: somebody looks after it (virtual ms). */
const HEADLESS_MS = 8_000;
/** A recovery is cut after at most so many operations of the disk. */
const CUT_OPERATIONS = 24;
/** Why a node ends that is no part of the cluster any more. */
const ENDS = /went on without this node|recovered on a node that lacked/;

export interface RecoveryResult {
  /** Recoveries of the metadata, and of partitions. */
  readonly metadata: number;
  readonly partitions: number;
  /** Nodes that ended because they had what the cluster went on without, or were given up. */
  readonly overruled: number;
  readonly givenUp: number;
  /** Batches that were acknowledged, and are there; and those that were lost with the disks. */
  readonly acknowledgements: number;
  readonly lost: number;
  readonly virtualMs: number;
  /** Equal for equal runs. */
  readonly hash: string;
}

/** Runs a seed once; everything that is thrown becomes a {@linkcode SimFailure}. */
export function runDisasters(
  seed: number,
  print: ((line: string) => void) | null = null,
): RecoveryResult {
  const workload = new RecoveryWorkload(seed, print);
  try {
    return workload.run();
  } catch (error) {
    for (const node of workload.cluster.nodes) if (!node.disk.crashed) node.crash();
    throw failureOf(error);
  }
}

/** Runs a seed twice; the runs must be equal. */
export function runDisastersTwice(seed: number): RecoveryResult {
  return runTwice(() => runDisasters(seed));
}

class RecoveryWorkload {
  readonly cluster: SimCluster;
  readonly #random: Random;
  readonly #watch: ClusterWatch;
  readonly #quorums: QuorumWatch;
  /** Groups that somebody asked to go on by force, and the node. */
  readonly #asked = new Map<number, number>();
  readonly #ledger = new BatchLedger();
  readonly #clients = new Map<number, SimClient>();
  readonly #founders: number;
  /** Nodes that have no part in the cluster any more, and why. */
  readonly #ended = new Map<SimNode, string>();
  #nextTopic = 0;
  readonly #counts = { metadata: 0, partitions: 0, overruled: 0, givenUp: 0 };

  constructor(seed: number, print: ((line: string) => void) | null = null) {
    this.#random = new Xoshiro128(seed ^ 0x510e527f);
    const nodes = this.#pick(3, 4, 5, 5);
    this.#founders = this.#pick(1, Math.min(3, nodes), nodes);
    this.#quorums = new QuorumWatch({
      mayForce: (groupId, node) => this.#asked.get(groupId) === node.nodeId,
      onForce: (force) => {
        this.#watch.forced(force);
        this.#ledger.forced(force);
      },
    });
    this.cluster = new SimCluster({
      seed,
      nodes,
      founds: true,
      founders: this.#founders,
      stepMs: 1,
      print,
      node: {
        settings: { "offsets.topic.num.partitions": "1", "new.nodes.take.partitions": "false" },
        snapshots: { bytesMin: 2_000, intervalMs: 100, restMs: 1_000 },
        onShard: (node, shard) => this.#quorums.attend(node, shard),
      },
    });
    this.#watch = new ClusterWatch(this.cluster);
  }

  run(): RecoveryResult {
    this.#found();
    for (let round = 0; round < 1 + this.#below(2); round++) this.#disaster();
    this.#work(4);
    this.#verify();
    const { kept, lost } = this.#ledger;
    const counts = { ...this.#counts, acknowledgements: kept, lost };
    const hash = JSON.stringify([counts, this.#watch.elections, this.#ledger.next().number]);
    for (const node of this.cluster.nodes) node.crash();
    return { ...counts, hash, virtualMs: this.cluster.nowMs };
  }

  #found(): void {
    const { nodes } = this.cluster;
    for (const node of nodes.slice(0, this.#founders)) this.#begin(node);
    this.#until(() => this.cluster.accepting.length === this.#founders, "the founding");
    for (const node of nodes.slice(this.#founders)) this.#join(node);
    this.#until(() => this.#imageOf(nodes[0]!).nodes.size === nodes.length, "all nodes");
    this.#rest(2_000);
    this.#create();
    this.#work(4);
  }

  #disaster(): void {
    const { nodes } = this.cluster;
    // Some are behind when it comes.
    const order = this.#shuffled(nodes);
    const behind = order.slice(0, this.#below(Math.ceil(nodes.length / 2)));
    for (const node of behind) this.#cutOff(node, true);
    this.#rest(this.#below(3_000));
    this.#work(2 + this.#below(4));
    if (this.#chance(80)) this.#create();
    this.#die(order, behind);
    this.#rest(3_000);
    for (const node of this.#alive) if (!node.accepting) this.#await(node);
    if (!this.#recoverMetadata()) return this.#bringBack();
    this.#replaceEnded();
    this.#recoverPartitions();
    this.#bringBack();
    this.#replaceEnded();
    this.#spread();
  }

  /** Most of the voters die; who is left hears the others again. */
  #die(order: readonly SimNode[], behind: readonly SimNode[]): void {
    const voters = this.#votersNow();
    // Whoever was cut off is left more often than not, and with others that have more.
    const others = order.slice(behind.length);
    const mixed = this.#chance(60) ? [...behind.slice(0, 1), ...others] : [...behind, ...others];
    const left = mixed.slice(0, this.#chance(75) ? 2 : 1);
    const isMajority = (alive: readonly SimNode[]): boolean =>
      alive.filter(({ nodeId }) => voters.includes(nodeId)).length > voters.length / 2;
    while (left.length > 1 && isMajority(left)) left.pop();
    for (const node of order) {
      if (left.includes(node)) continue;
      if (this.#chance(30)) this.#rest(this.#below(200));
      node.crash();
    }
    // A leader that does not know yet that it is alone sends on what it has.
    if (this.#chance(70)) this.#rest(3_000);
    for (const node of behind) this.#cutOff(node, false);
    for (const node of left) {
      // One that starts serves no commands, and another one that does not vote may not go on while it is there.
      const hasOther = left.some((other) => other !== node && voters.includes(other.nodeId));
      if (!hasOther || !this.#chance(25)) continue;
      node.crash();
      this.#begin(node);
      return;
    }
  }

  /** Of the most advanced node. */
  #votersNow(): number[] {
    const rafts = this.cluster.accepting.map((node) => this.#raftOf(node, CONTROLLER_GROUP_ID)!);
    const latest = rafts.toSorted((a, b) => b.term - a.term)[0]!;
    return latest.configuration.voters.map(({ node }) => node);
  }

  /** False: it cannot be recovered with what is left. */
  #recoverMetadata(): boolean {
    const lateMs = this.cluster.nowMs + SOON_MS;
    while (this.cluster.nowMs < lateMs) {
      if (this.#controller !== null) {
        this.#counts.metadata++;
        return true;
      }
      const reports = this.#reportsOf("__cluster_metadata", 0);
      const chosen = this.#choose("__cluster_metadata", 0, reports);
      const node = chosen === null ? undefined : this.cluster.nodes[chosen];
      if (node === undefined) return false;
      this.#asked.set(CONTROLLER_GROUP_ID, node.nodeId);
      const request = newRecoverMetadataRequest({ nodeId: node.nodeId });
      if (this.#chance(25)) node.disk.crashAfterOps(1 + this.#below(CUT_OPERATIONS));
      const answer = this.#ask(node, RECOVER_METADATA, 0, request);
      this.cluster.trace?.note("operator", `recovers with ${node.name}: ${answer?.errorMessage}`);
      if (answer?.errorCode === ErrorCode.NONE) this.#counts.metadata++;
      this.#rest(500);
      if (node.disk.crashed) {
        node.crash();
        const isMarked = manifestOn(node.disk)?.isRecovering === true;
        this.#begin(node);
        // Nothing was decided: it waits for the others.
        if (!isMarked) return false;
      }
      node.disk.crashAfterOps(Infinity);
      this.#rest(2_000);
    }
    throw new SimFailure("liveness", `the metadata is not recovered\n${this.#watch.describe()}`);
  }

  /** A tool's choice, or an operator's who knows better. */
  #choose(topic: string, index: number, reports: readonly ReplicaReport[]): number | null {
    const name = { topic, partition: index };
    const able = reports.filter(({ node, replica }) =>
      replica?.members.some(({ nodeId, part }) => nodeId === node && part !== "none") === true
    );
    if (able.length === 0) return null;
    if (this.#chance(55)) return able[this.#below(able.length)]!.node;
    try {
      return chooseSurvivor(name, reports, null).node;
    } catch {
      return null;
    }
  }

  /** Nodes that have no part in the cluster any more end, and come back without what they had. */
  #replaceEnded(): void {
    this.#rest(8_000);
    for (const [node, why] of [...this.#ended]) {
      if (/lacked/.test(why)) this.#counts.overruled++;
      else this.#counts.givenUp++;
      this.#wipe(node);
      this.#join(node);
    }
  }

  #recoverPartitions(): void {
    const controller = this.#controller;
    if (controller === null) return;
    this.#rest(HEADLESS_MS);
    for (const partition of this.#partitionsOf(this.#controller ?? controller)) {
      this.#recoverPartition(partition);
    }
  }

  /** Whoever leads it is left alone; what nobody has any more is deleted. */
  #recoverPartition({ topic: { name }, index, groupId }: PartitionImage): void {
    for (let tries = 0; tries < 6; tries++) {
      if (this.#leaderOf(groupId) !== null) return;
      const reports = this.#reportsOf(name, index);
      const nodeId = this.#choose(name, index, reports);
      const controller = this.#controller;
      if (controller !== null && nodeId !== null) {
        this.#asked.set(groupId, nodeId);
        const voters = votersOf(reports);
        const request = newRecoverPartitionRequest({
          topic: name,
          partition: index,
          nodeId,
          voters,
        });
        const answer = this.#ask(controller, RECOVER_PARTITION, 0, request);
        if (answer?.errorCode === ErrorCode.NONE) this.#counts.partitions++;
      }
      this.#rest(3_000);
    }
    if (this.#leaderOf(groupId) === null) this.#delete(name);
  }

  /** With their disks, which most of them may not keep; or without. */
  #bringBack(): void {
    for (const node of this.#shuffled(this.cluster.nodes)) {
      if (!node.disk.crashed || this.#ended.has(node)) continue;
      const keepsDisk = this.#controller === null || this.#chance(50);
      if (!keepsDisk) this.#wipe(node);
      this.#begin(node);
      this.#rest(this.#below(3_000));
    }
    for (const node of this.cluster.nodes) if (!node.accepting) this.#await(node);
    this.#replaceEnded();
    this.#until(() => this.cluster.nodes.every((node) => node.accepting), "all nodes serve");
    this.#until(() => this.#controller !== null, "a controller");
    this.#recoverPartitions();
  }

  /** Serves, or ends. */
  #await(node: SimNode): void {
    const lateMs = this.cluster.nowMs + 20_000;
    while (!node.accepting && !this.#ended.has(node)) {
      if (this.cluster.nowMs > lateMs) return;
      this.#step();
    }
  }

  /** Every partition gets as many replicas as a new one would have. */
  #spread(): void {
    const controller = this.#controller;
    if (controller === null) return;
    const { nodes } = this.cluster;
    for (const { topic: { name }, index } of this.#partitionsOf(controller)) {
      if (name.startsWith("__")) continue;
      const replicas = this.#shuffled(nodes).slice(0, this.#replication).map((node) => node.nodeId);
      const topics = [{ name, partitions: [{ partitionIndex: index, replicas }] }];
      const request = newAlterPartitionReassignmentsRequest({ topics });
      this.#ask(this.#controller ?? controller, ALTER_PARTITION_REASSIGNMENTS, 0, request);
    }
    this.#rest(3_000);
  }

  // Work.

  #work(steps: number): void {
    for (let at = 0; at < steps; at++) {
      const kind = this.#below(10);
      if (kind < 7) { for (let batch = 0; batch < 3; batch++) this.#produce(); }
      else if (kind === 7) this.#create();
      else if (kind === 8) this.#deleteAny();
      else this.#spreadOne();
      this.#rest(this.#below(300));
    }
  }

  get #replication(): number {
    return Math.min(3, this.cluster.nodes.length);
  }

  #create(): void {
    const controller = this.#controller;
    if (controller === null) return;
    const name = `topic-${this.#nextTopic++}`;
    const request = topicRequest(name, 1 + this.#below(2), this.#replication);
    this.#ask(controller, CREATE_TOPICS, 7, request);
  }

  #deleteAny(): void {
    const controller = this.#controller;
    if (controller === null) return;
    const topics = [...this.#imageOf(controller).topics.values()].filter(({ name }) =>
      !name.startsWith("__")
    );
    if (topics.length > 1) this.#delete(topics[this.#below(topics.length)]!.name);
  }

  #delete(name: string): void {
    const controller = this.#controller;
    if (controller === null) return;
    const request = newDeleteTopicsRequest({
      topics: [{ name, topicId: "0".repeat(32) }],
      timeoutMs: 2_000,
    });
    this.#ask(controller, DELETE_TOPICS, 6, request);
  }

  #spreadOne(): void {
    const controller = this.#controller;
    const partitions = controller === null ? [] : this.#partitionsOf(controller);
    if (controller === null || partitions.length === 0) return;
    const { topic: { name }, index } = partitions[this.#below(partitions.length)]!;
    const replicas = this.#shuffled(this.cluster.nodes).slice(0, this.#replication);
    const nodeIds = replicas.map(({ nodeId }) => nodeId);
    const topics = [{ name, partitions: [{ partitionIndex: index, replicas: nodeIds }] }];
    const request = newAlterPartitionReassignmentsRequest({ topics });
    this.#ask(controller, ALTER_PARTITION_REASSIGNMENTS, 0, request);
  }

  #produce(): void {
    const controller = this.#controller;
    const partitions = (controller === null ? [] : this.#partitionsOf(controller)).filter((one) =>
      !one.topic.name.startsWith("__")
    );
    if (partitions.length === 0) return;
    const { topic: { name }, index, groupId } = partitions[this.#below(partitions.length)]!;
    const leader = this.#leaderOf(groupId);
    if (leader === null) return;
    const { number, bytes } = this.#ledger.next();
    const request = produceRequest(name, index, bytes);
    const answer = this.#ask(leader, PRODUCE, 9, request);
    const { errorCode, baseOffset = -1 } = answer?.responses[0]?.partitionResponses[0] ??
      { errorCode: -1 };
    if (errorCode !== ErrorCode.NONE) return;
    this.#ledger.acknowledged(groupId, baseOffset, number);
  }

  // What is lost, and what must be there.

  /** Partitions that nobody else has are lost with the disk. */
  #wipe(node: SimNode): void {
    node.fatals.length = 0;
    this.#ended.delete(node);
    node.wipe();
    // The first nodes may all be lost: whoever has nothing asks the others.
    const others = this.cluster.nodes.filter((other) => other !== node);
    node.seeds = others.map(({ nodeId }) => simRpcAddress(nodeId));
    this.#isWiped.add(node);
    // What a node has that is down is not known here.
    this.#ledger.keep((groupId) =>
      this.cluster.nodes.some((other) =>
        other.disk.crashed ? !this.#isWiped.has(other) : other.logOf(groupId) !== undefined
      )
    );
  }

  readonly #isWiped = new Set<SimNode>();

  #verify(): void {
    const { nodes } = this.cluster;
    this.#until(
      () => nodes.every((node) => node.accepting) && this.#watch.isSettled,
      "replicas do not become equal",
    );
    this.#watch.compare([]);
    for (const { groupId } of this.#partitionsOf(nodes[0]!)) {
      this.#ledger.check(
        groupId,
        this.#leaderOf(groupId)!,
        (done) => this.#until(done, "a reading"),
      );
    }
  }

  // The cluster as this program sees it.

  get #alive(): SimNode[] {
    return this.cluster.nodes.filter(({ disk }) => !disk.crashed);
  }

  get #controller(): SimNode | null {
    return this.#leaderOf(CONTROLLER_GROUP_ID);
  }

  /** Who leads in the latest term. */
  #leaderOf(groupId: number): SimNode | null {
    const leading = this.cluster.accepting.filter((node) => node.leads(groupId));
    const termOf = (node: SimNode): number => this.#raftOf(node, groupId)?.term ?? 0;
    return leading.toSorted((a, b) => termOf(b) - termOf(a))[0] ?? null;
  }

  #raftOf(node: SimNode, groupId: number) {
    for (const { shard } of node.shards) {
      const replica = shard.replication.replicaOf(groupId);
      if (replica !== undefined) return replica.raft;
    }
    return undefined;
  }

  #imageOf(node: SimNode) {
    return node.shards[0]!.shard.image;
  }

  #partitionsOf(node: SimNode): PartitionImage[] {
    return [...this.#imageOf(node).topics.values()].flatMap(({ partitions }) => partitions);
  }

  /** What a tool hears of a partition's replicas. */
  #reportsOf(topic: string, index: number): ReplicaReport[] {
    return this.cluster.accepting.map((node) => {
      const topics = [{ name: topic, partitions: [index] }];
      const request = newDescribeReplicasRequest({ topics });
      const answer = this.#ask(node, DESCRIBE_REPLICAS, 0, request);
      const replica = answer?.topics[0]?.partitions[0];
      return { node: node.nodeId, replica: replica?.errorCode === 0 ? replica : null };
    });
  }

  // Steps.

  #begin(node: SimNode): void {
    node.begin(1 + this.#below(2));
    this.#isWiped.delete(node);
  }

  #join(node: SimNode): void {
    this.#begin(node);
    this.#until(() => node.accepting, `the start of ${node.name}`);
  }

  #cutOff(node: SimNode, isCut: boolean): void {
    const { network, nodes } = this.cluster;
    for (const other of nodes) {
      if (other === node) continue;
      network.link(node.name, other.name).cut = isCut;
      network.link(other.name, node.name).cut = isCut;
    }
    // What is under way arrives when the links are whole again, or is lost.
    if (this.#chance(30)) return;
    for (const connection of network.connections) {
      if (connection.from === node.name || connection.to === node.name) connection.reset();
    }
  }

  /** Null: no answer comes in time. */
  #ask<Request, Response>(
    node: SimNode,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Response | null {
    const known = this.#clients.get(node.nodeId);
    const client = known === undefined || known.end.closed || known.open > 0
      ? new SimClient(this.cluster.network.dial(`client-of-${node.nodeId}`, node.address))
      : known;
    this.#clients.set(node.nodeId, client);
    let answer: Response | null = null;
    client.send(api, version, request, (response) => answer = response);
    const lateMs = this.cluster.nowMs + ANSWER_MS;
    while (answer === null && this.cluster.nowMs < lateMs && !client.end.closed) {
      this.#step();
      client.poll();
    }
    return answer;
  }

  #rest(ms: number): void {
    const endMs = this.cluster.nowMs + ms;
    while (this.cluster.nowMs < endMs) this.#step();
  }

  #until(done: () => boolean, what: string): void {
    const lateMs = this.cluster.nowMs + SOON_MS;
    while (!done()) {
      if (this.cluster.nowMs > lateMs) {
        const ends = this.cluster.nodes.map(({ name, refusal, fatals }) =>
          `${name}: ${refusal} ${fatals.join("; ")}`
        );
        throw new SimFailure(
          "liveness",
          `${what} does not come\n${this.#watch.describe()}\n${ends.join("\n")}`,
        );
      }
      this.#step();
    }
  }

  #step(): void {
    this.cluster.step();
    this.#quorums.check();
    this.#watch.look();
    for (const node of this.cluster.nodes) {
      const ended = node.fatals[0] ?? node.refusal;
      if (ended === null || node.disk.crashed) continue;
      if (!ENDS.test(ended)) throw new SimFailure("crash", `${node.name}: ${ended}`);
      this.#ended.set(node, ended);
      node.crash();
    }
  }

  #pick<T>(...values: readonly T[]): T {
    return values[this.#below(values.length)]!;
  }

  #shuffled<T>(values: readonly T[]): T[] {
    const left = [...values];
    return values.map(() => left.splice(this.#below(left.length), 1)[0]!);
  }

  #below(count: number): number {
    return this.#random.nextBelow(count);
  }

  #chance(percent: number): boolean {
    return this.#below(100) < percent;
  }
}
