/**
 * This node in its cluster, on the controller's shard: which cluster that is, the metadata log, the controller where this
 * node is it, and the registration.
 *
 * On other shards it is empty: they have their metadata from the controller's.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { LogLevel } from "../base/logger.ts";
import { type ClusterImage, NodeState } from "../cluster/image.ts";
import { ControllerService } from "../cluster/controller_service.ts";
import { wantedControllerMembers } from "../cluster/controller_members.ts";
import type { Founder } from "../cluster/founding.ts";
import { hasLife } from "../cluster/given_up.ts";
import type { NamedLife } from "../cluster/lives.ts";
import type { VersionRange } from "../cluster/logical_version.ts";
import { controllerMembers, memberIncarnation } from "../cluster/members.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { io, runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import type { Partition } from "../kafka/partition.ts";
import type { Configuration, Member } from "../raft/configuration.ts";
import type { WantedMembers } from "../raft/next_members.ts";
import { ControllerSteward } from "./controller_steward.ts";
import { MetadataFeed } from "./metadata_feed.ts";
import { MetadataKeepers } from "./metadata_keepers.ts";
import { controllerPartition } from "./metadata_partition.ts";
import {
  isMemberConnected,
  isMemberThere,
  lifeOf,
  lostVoters,
  reachableNodes,
  type Remembered,
} from "./metadata_recovery.ts";
import type { NodeMembership } from "./node_membership.ts";
import { register, type Registration, type RegistrationAnswer } from "./registration.ts";
import { Registrar, registrationOf } from "./registrar.ts";
import type { Shard } from "./shard.ts";
import { rpcAddressOf } from "./shard_peers.ts";
import { METADATA_SNAPSHOTS } from "./shard_options.ts";
import { flagsFor, StartRecovery, tellUnused } from "./start_recovery.ts";
import type { AdvertisedNode, JoinRefusal } from "./start_sequence.ts";
import { metadataWait } from "./start_wait.ts";

/** How long a start waits for the registration of its node (ms). */
const REGISTER_MS = 2_000;
/** A founder that hears of no leader for this long asks to be a member (ms). */
const PATIENCE_MS = 1_500;
/** A start that is to go on without the others waits so much longer for them (ms). */
const RECOVER_PATIENCE_MS = 10_000;
const NOTHING_REMEMBERED: Remembered = { founders: [], keepers: [] };
/** Until a write of the manifest is tried again (ms). */
const RETRY_MS = 1_000;

export class ClusterSeat {
  readonly #shard: Shard;
  readonly registrar: Registrar;
  /** The metadata has no leader yet: since when that is late (ms); Infinity: it has one. */
  #lateMs = Infinity;
  /** It is not known yet whether the nodes are given up that may have more of a damaged metadata log. */
  #isLossUndecided = false;
  /** Nodes that have said where they are. */
  #located = 0;
  /** The cluster does not know this node yet, and the start waits for that. */
  #isUnregistered = false;
  #membership: NodeMembership | null = null;
  /** Null until it is opened. */
  metadata: MetadataFeed | null = null;
  /** The controller, when this node is it. */
  controller: ControllerService | null = null;
  #steward: ControllerSteward | null = null;
  #keepers: MetadataKeepers | null = null;
  /** It ends when it is taken out of the cluster. */
  #isWatched = false;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.registrar = new Registrar(shard);
  }

  /** Those that have answered are where they say; founders may have moved since. */
  #locate({ acquaintances }: NodeMembership): void {
    if (acquaintances.length === this.#located) return;
    this.#located = acquaintances.length;
    for (const other of acquaintances) this.#shard.peers.locate(other.nodeId, other);
  }

  /**
   * The metadata lost its majority for good: this node's copy goes on, and the voters that cannot be reached are given up.
   * First of all that is durable: the others could still elect one of them.
   *
   * @param done null: the node begins to lead; else nothing has changed, for this reason
   */
  recoverMetadata(done: (problem: string | null) => void): void {
    const membership = this.#membership;
    assert(membership !== null, "who has a copy of the metadata has joined");
    const lost = lostVoters(this.#shard, this.#remembered);
    membership.goOnWithout(lost, reachableNodes(this.#shard), (refusal) => {
      if (refusal === null) this.#goOnAlone(this.#shard.partitions.byGroup(CONTROLLER_GROUP_ID));
      done(refusal?.reason ?? null);
    });
  }

  /** The cluster went on with a node that lacks metadata of this one. */
  onOverruled(): void {
    const { log } = this.#shard.partitions.byGroup(CONTROLLER_GROUP_ID)!;
    this.#membership?.expel(
      `the cluster's metadata was recovered on a node that lacked some of what this node has (${log.directory}): ` +
        "the two do not fit together. Keep a copy of this node's data directory if you need what only it has, empty it, and " +
        "start the node again, which then joins as a new one",
    );
  }

  /** Whether a member of the metadata's group can be reached, in the life in which it is one. */
  isMemberThere(member: Member): boolean {
    return isMemberThere(this.#shard, this.#remembered, member);
  }

  /** What the manifest says of nodes. */
  get #remembered(): Remembered {
    const membership = this.#membership;
    if (membership === null) return NOTHING_REMEMBERED;
    return { founders: membership.state.founders, keepers: membership.keepers };
  }

  get #configuration(): Configuration {
    return this.#shard.replication.replicaOf(CONTROLLER_GROUP_ID)!.raft.configuration;
  }

  /** Asked for again by a start that comes before all of it is done. */
  #goOnAlone(partition: Partition | undefined): void {
    if (this.metadata !== null) this.metadata.isRecovering = true;
    partition?.replica.force();
  }

  /** Ids that may have been given out are passed by: others may vote again. */
  #endRecovery(membership: NodeMembership): void {
    membership.recovered((refusal) => {
      if (refusal === null) this.#shard.steward.watch(CONTROLLER_GROUP_ID);
      else this.#later(() => this.#endRecovery(membership), RETRY_MS);
    });
  }

  /** Other nodes that may have a copy of the metadata; null: that was not noted. */
  get notedKeepers(): readonly Founder[] | null {
    return this.#membership?.notedKeepers ?? null;
  }

  /** Whether these may still be given up by this start. */
  get isLossUndecided(): boolean {
    return this.#isLossUndecided;
  }

  /** What is registered says who members are, and where those are who must know who was given up. */
  #noteNodes(membership: NodeMembership): void {
    const { image: { nodes }, options: { nodeId } } = this.#shard;
    const lives = [...nodes.values()].flatMap((node) => {
      const address = rpcAddressOf(node);
      if (address === null || node.nodeId === nodeId) return [];
      const { host, port } = address;
      return [{ nodeId: node.nodeId, incarnation: node.incarnation, host, port }];
    });
    membership.completeGivenUp(lives);
    if ((membership.state.givenUp ?? []).length > 0) membership.acquaint(lives);
    this.#keepers?.moved();
    this.#noteKeepers();
  }

  #noteKeepers(): void {
    const raft = this.#shard.replication.replicaOf(CONTROLLER_GROUP_ID)?.raft;
    if (raft?.isConfigurationSettled === true) this.#keepers?.settled(raft.configuration);
  }

  /** What a start waits for, for people; null: for nothing that takes long. */
  get waitsFor(): string | null {
    if (this.#isUnregistered) return "this node is not written to the cluster's metadata yet";
    if (this.#lateMs === Infinity) return null;
    const { nodeId, nowMs } = this.#shard.options;
    const { voters } = this.#configuration;
    if (voters.length < 2) return null;
    const memory = this.#remembered;
    const { links } = this.#shard.peers.nodeLinks;
    const { isMember } = this.#shard.replication.replicaOf(CONTROLLER_GROUP_ID)!.raft;
    const missing = voters
      .filter((voter) =>
        voter.node === nodeId ? !isMember : !isMemberConnected(this.#shard, memory, voter)
      )
      .map((voter) => ({
        ...lifeOf(this.#shard, memory, voter),
        isWiped: voter.node === nodeId || links.isUp(voter.node),
      }));
    const isLong = isMember && nowMs() >= this.#lateMs + RECOVER_PATIENCE_MS;
    return metadataWait(voters.length, missing, isLong);
  }

  /**
   * Joins or founds a cluster, opens the metadata log, loads it into the image, and sends that
   * to the other shards. Where damage may have taken commands from the log, what is left of it is served, and
   * nothing can be changed.
   *
   * A node that did not found the cluster registers with it: the log comes to its members only.
   *
   * @param membership in which cluster this node is
   * @param firstFreeGroupId above the id of every log of the node
   * @param rest acceptLoss: also when a part of the metadata log cannot be read; recoversMetadata: the lives that are given up
   * if its majority is lost
   * @returns why there is nothing that could be served; null when all is well
   */
  *join(
    membership: NodeMembership,
    node: AdvertisedNode,
    firstFreeGroupId: number,
    { acceptLoss, recoversMetadata = [] }: {
      readonly acceptLoss: boolean;
      readonly recoversMetadata?: readonly NamedLife[];
    },
  ): Task<JoinRefusal | null> {
    assert(
      this.#shard.options.mailboxes.shard === CONTROLLER_SHARD,
      "metadata has a shard of its own",
    );
    const hasMetadata = this.#shard.storage.logs.has(CONTROLLER_GROUP_ID);
    const { logger } = this.#shard.options;
    if (recoversMetadata.length > 0 && membership.state.clusterId === "" && !hasMetadata) {
      const why = "this node belongs to no cluster yet, and has no copy of any metadata";
      tellUnused(logger, why);
    }
    const refused = yield* membership.decide(hasMetadata);
    if (refused !== null) return refused;
    this.#membership = membership;
    const { peers } = this.#shard;
    membership.onGivenUp = (lives) => peers.shun(lives);
    peers.shun(membership.state.givenUp ?? []);
    this.#shard.peers.hellos.formed();
    const { founders } = membership.state;
    for (const founder of founders) this.#shard.peers.setAddress(founder.nodeId, founder);
    // Where a node was last counts more than where it was at the founding. They are asked whether this one was given up.
    const placed = membership.keepers.filter(({ host }) => host !== "");
    for (const keeper of placed) this.#shard.peers.setAddress(keeper.nodeId, keeper);
    membership.acquaint(placed);
    membership.greet();
    this.#isLossUndecided = acceptLoss && recoversMetadata.length > 0;
    const voters = controllerMembers(founders);
    const { isFounder } = membership;
    const own = isFounder ? null : memberIncarnation(membership.incarnation);
    const partition = controllerPartition(
      this.#shard.partitions,
      this.#shard.settings,
      voters,
      own,
    );
    let answer: RegistrationAnswer | null = null;
    let isRegistering = false;
    const register = (): void => {
      isRegistering = true;
      const registration = registrationOf(
        node,
        membership,
        this.#own,
        firstFreeGroupId,
      );
      runTask(this.registrar.register(registration, membership), (given) => answer = given);
    };
    const impatientMs = this.#shard.options.nowMs() + PATIENCE_MS;
    // Of many founders only the first vote.
    if (!isFounder || !voters.some((voter) => voter.node === this.#shard.options.nodeId)) {
      register();
    }
    if (membership.isRecovering) {
      logger.log(LogLevel.WARN, "A recovery of the metadata that had begun is carried on");
      this.#goOnAlone(partition);
    }
    const recovery = new StartRecovery({
      shard: this.#shard,
      membership,
      partition,
      configuration: () => this.#configuration,
      named: recoversMetadata,
      acceptsLoss: acceptLoss,
    });
    this.#lateMs = impatientMs;
    while (!this.#isJoined(partition)) {
      const reason = membership.twin ?? refusalIn(answer);
      if (reason !== null) return { kind: "cluster", reason };
      this.#locate(membership);
      // A founder that the others have removed since is told nothing before it is a member again.
      const isLate = this.#shard.options.nowMs() >= impatientMs;
      if (isLate && !isRegistering && founders.length > 0) register();
      if (this.#isUseless(partition)) return useless(partition, recovery);
      const isTime = this.#shard.options.nowMs() >= impatientMs + RECOVER_PATIENCE_MS;
      const step = isTime && partition.replica.leaderId < 0 ? recovery.look() : null;
      if (step?.kind === "refuse") return step.refusal;
      if (step?.kind === "go") {
        const failure = yield* until<string | null>((done) =>
          membership.goOnWithout(step.lost, [], (refusal) => done(refusal?.reason ?? null))
        );
        if (failure !== null) return { kind: "error", reason: failure };
        // Of a damaged log the loss is accepted now, and that makes it go on.
        this.#isLossUndecided = false;
        this.#goOnAlone(partition);
      }
      yield* this.#pause(1);
    }
    recovery.end();
    if (partition.replica.readOnly && !this.#shard.partitions.mayGiveUp(CONTROLLER_GROUP_ID)) {
      return useless(partition, recovery);
    }
    this.#lateMs = Infinity;
    if (partition.replica.readOnly) {
      // Nobody leads it; clients find here why nothing can be changed.
      this.#shard.leaderNews.tell(
        CONTROLLER_GROUP_ID,
        this.#shard.options.nodeId,
        partition.leaderEpoch,
      );
    }
    this.#shard.partitions.controllerTerm = partition.leaderEpoch;
    // Until it is known whether all of the log can be read.
    this.#shard.partitions.freeze();
    const feed = new MetadataFeed(
      this.#shard.image,
      partition,
      (done) => this.#shard.whenSettled(done),
      {
        ...this.#shard.options,
        versions: this.#shard.versions,
        calls: this.#shard.calls,
        clockMs: () => this.#shard.options.clock.monotonicMs(),
        snapshots: this.#shard.options.snapshots ?? METADATA_SNAPSHOTS,
        wallMs: () => this.#shard.options.clock.wallMs(),
      },
    );
    const loaded = yield* feed.log.load();
    if (feed.newer !== null) return feed.refusal("newer", feed.newer);
    feed.onNewer = (problem) => membership.expel(feed.refusal("newer", problem).reason);
    this.metadata = feed;
    feed.isLossAccepted = acceptLoss;
    feed.isRecovering = membership.isRecovering;
    feed.onRecovered = () => this.#endRecovery(membership);
    const keepers = new MetadataKeepers({
      ...this.#shard.options,
      membership,
      lifeOf: (member) => lifeOf(this.#shard, this.#remembered, member),
      onNoted: () => this.#shard.steward.watch(CONTROLLER_GROUP_ID),
    });
    this.#keepers = keepers;
    feed.onCommitted = () => this.#noteKeepers();
    this.#noteNodes(membership);
    this.#shard.image.listen({ nodesChanged: () => this.#noteNodes(membership) });
    const lost = loaded?.lostOffsets ?? 0;
    const isFrozen = partition.replica.readOnly || (lost > 0 && !acceptLoss);
    if (isFrozen && this.#shard.image.clusterId === "") {
      const what = lost > 0 ? `${lost} of its commands cannot be read` : "damage may have cut it";
      return feed.refusal("damaged", `${what}, and the cluster's id is not among the others`);
    }
    // Seeds that were reached before the cluster was known may belong to another one, which a new connection says.
    this.#shard.peers.hellos.formed();
    const strange = yield* membership.adopt(this.#shard.image.clusterId);
    if (strange !== null) return strange;
    if (isFrozen) feed.freeze(this.#shard.options.logger, lost);
    else this.#shard.partitions.thaw();
    yield* feed.sendSnapshot();
    return null;
  }

  /**
   * Becomes the controller or follows it, and registers this node. Finishes after a while even if that is
   * not committed by then: clients are answered from the image meanwhile. A node that is in no image yet waits as
   * long as it takes: it could not even tell clients where to find it.
   *
   * @param firstFreeGroupId above the id of every log of the node
   * @returns why the cluster does not take this node; null: it does, as far as is known
   */
  *lead(node: AdvertisedNode, firstFreeGroupId: number): Task<string | null> {
    const membership = this.#membership;
    assert(this.metadata !== null && membership !== null, "who leads has joined");
    const { random } = this.#shard.options;
    const controller = new ControllerService(this.#shard.image, this.metadata, {
      random,
      partitionsPerNodeMax: this.#shard.settings.number("max.partitions.per.node"),
      isAlive: (nodeId) => this.#shard.live.isAlive(nodeId),
      latestEpoch: () => this.#shard.leaders.latestEpoch,
    });
    const registration = registrationOf(
      node,
      membership,
      this.#own,
      firstFreeGroupId,
    );
    if (this.#shard.metadataReadOnly) {
      controller.activate();
      const { clusterId } = this.#shard.image;
      yield* register({ controller, clusterId, isAlive: () => false }, registration);
      yield* this.#settled();
      return null;
    }
    this.metadata.controller = controller;
    this.metadata.onLeading();
    this.controller = controller;
    this.#steward = new ControllerSteward({
      ...this.#shard.options,
      ...this.#shard,
      controller,
      isComplete: (image) => this.isComplete(image),
    });
    if (!this.#shard.image.nodes.has(this.#shard.options.nodeId)) {
      this.#isUnregistered = true;
      const refusal = yield* this.#register(registration, membership);
      this.#isUnregistered = false;
      return refusal;
    }
    return yield* until<string | null>((done) =>
      this.#shard.within<string | null>(
        REGISTER_MS,
        done,
        null,
        (end) => runTask(this.#register(registration, membership), end),
      )
    );
  }

  /** Finishes when the image is not older than this start, or the cluster does not take the node: then with the reason. */
  *#register(registration: Registration, membership: NodeMembership): Task<string | null> {
    const answer = yield* this.registrar.register(registration, membership);
    if (answer === null || answer.refusal !== null) return refusalIn(answer);
    while (this.metadataOffset < answer.offset && !this.registrar.isStopped) yield* this.#pause(1);
    this.#shard.partitions.noteCurrent();
    this.metadata?.tellCurrent();
    const { image } = this.#shard;
    if (!this.#isWatched) {
      const look = () => this.#lookForItself(registration, membership);
      image.listen({
        nodesChanged: () => {
          if (!image.nodes.has(this.#shard.options.nodeId)) this.#later(look, 0);
        },
      });
    }
    this.#isWatched = true;
    yield* this.#settled();
    return null;
  }

  /**
   * Somebody may take a node out of the cluster that runs: it would hear of nothing any more, and tell clients what was once
   * so. The last one stays.
   */
  #lookForItself(registration: Registration, membership: NodeMembership): void {
    const { image: { nodes }, options: { nodeId } } = this.#shard;
    if (nodes.has(nodeId) || this.registrar.isStopped) return;
    if (nodes.size === 0) return runTask(this.#register(registration, membership), () => {});
    membership.expel(
      "this node was taken out of the cluster while it ran (gregor cluster forget, or UnregisterBroker); it held nothing, " +
        "and becomes a member again when it is started",
    );
  }

  /** The partitions of this node have leaders, or will not have them soon. */
  *#settled(): Task<void> {
    const { metadata } = this;
    if (metadata !== null) yield* io((done) => metadata.settle(done));
  }

  /** First offset of the metadata log that is not in the image. */
  get metadataOffset(): number {
    return this.metadata?.log.appliedOffset ?? 0;
  }

  /** Who should belong to a group that this node leads; null: its members are as they should be. */
  wantedMembers(groupId: number): WantedMembers | null {
    const { replication, image, live, partitions } = this.#shard;
    const partition = image.partitionByGroup(groupId);
    if (partition !== undefined) {
      // An older image may want what has been changed since.
      return partitions.isCurrent ? { voters: partition.wantedMembers, learners: [] } : null;
    }
    const founders = this.#membership?.state.founders ?? [];
    const replica = replication.replicaOf(groupId);
    if (groupId !== CONTROLLER_GROUP_ID || replica === undefined || founders.length === 0) {
      return null;
    }
    // Somebody else could lead before the ids are passed by that may have been given out.
    if (this.#membership?.isRecovering === true) return null;
    const wanted = wantedControllerMembers({
      nodes: image.nodes,
      removedNodes: image.removedNodes,
      founders,
      voters: replica.raft.configuration.voters,
      isAlive: (nodeId) => live.isAlive(nodeId),
      logicalVersion: image.logicalVersion,
      isLeaving: (nodeId) => image.stateOf(nodeId) === NodeState.DECOMMISSIONING,
      isGivenUp: (node) => hasLife(this.#membership?.state.givenUp ?? [], node),
    });
    const isNoted = this.#keepers?.covers([...wanted.voters, ...wanted.learners]) === true;
    return isNoted ? wanted : null;
  }

  /** Whether everybody who founded the cluster has been registered. */
  isComplete({ nodes, removedNodes }: ClusterImage): boolean {
    const founders = this.#membership?.state.founders ?? [];
    return founders.every(({ nodeId }) => nodes.has(nodeId) || removedNodes.has(nodeId));
  }

  get #own(): { readonly nodeId: number; readonly versions: VersionRange } {
    return { nodeId: this.#shard.options.nodeId, versions: this.#shard.versions };
  }

  /** The node begins to stop. */
  drain(): void {
    this.registrar.stop();
    this.#steward?.stop();
  }

  leave(): void {
    this.#membership?.stop();
    this.#keepers?.stop();
  }

  #later(run: () => void, ms: number): void {
    const { timers, nowMs } = this.#shard.options;
    timers.schedule(new Timer(run), nowMs() + ms);
  }

  /** The metadata has a leader of which it has heard what is committed; or it is read as it is. */
  #isJoined(partition: Partition): boolean {
    if (this.#shard.partitions.isUndecided(partition)) return false;
    return partition.leading || isFollowing(partition) || partition.replica.readOnly;
  }

  /** Damage has cut the metadata log, and it can neither be read alone nor written again. */
  #isUseless(partition: Partition): boolean {
    const { log, replica } = partition;
    return log.suspect && !replica.readOnly && !this.#shard.partitions.isUndecided(partition);
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.#shard.options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }
}

function refusalIn(answer: RegistrationAnswer | null): string | null {
  return answer?.refusal ?? null;
}

/** Why a start cannot go on with a damaged log. */
function useless({ log }: Partition, recovery: StartRecovery): JoinRefusal {
  const what =
    `The cluster's metadata log (${log.directory}) cannot be used: damage may have cut it, and its loss is not accepted`;
  const others = recovery.holders();
  if (others.length === 0) return { kind: "damaged", reason: what };
  const names = others.map(({ nodeId }) => nodeId).join(", ");
  const reason =
    `${what}, because other nodes (${names}) may have more of it. If all of them are gone for good, with ` +
    `their disks: start this node once with \`${flagsFor(others, true)}\``;
  return { kind: "elsewhere", reason };
}

/** It knows who leads, and what is committed. */
function isFollowing({ replica, log }: Partition): boolean {
  return replica.leaderId >= 0 && !replica.leading && replica.commitOffset > log.startOffset;
}
