/**
 * One shard, put together by hand: storage, partitions, coordinators, the Kafka side, and the ways to
 * the other shards. This file knows every part and decides nothing.
 *
 * It uses only seams (disk, sockets, clock, mailboxes), so that the simulator builds it too. The
 * loop that drives it is `reactor.ts`; `boot.ts` answers the control thread.
 *
 * Lifecycle: created over its logs → on the controller's shard {@linkcode Shard.join}, {@linkcode Shard.lead} →
 * serving → {@linkcode Shard.drain} → {@linkcode Shard.stop}.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { EventLog } from "../base/event_log.ts";
import { LogLevel } from "../base/logger.ts";
import { Settings } from "../base/settings.ts";
import { ControllerService } from "../cluster/controller_service.ts";
import type { Founder } from "../cluster/founding.ts";
import { ClusterImage } from "../cluster/image.ts";
import { memberIncarnation } from "../cluster/members.ts";
import { LeaderTable } from "../cluster/leaders.ts";
import { LiveNodes } from "../cluster/live_nodes.ts";
import { controllerMembers } from "../cluster/members.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { groupConfigOf } from "../group/config.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import type { AdminEvent } from "../kafka/admin_events.ts";
import { FetchPath } from "../kafka/fetch.ts";
import { FetchSessions } from "../kafka/fetch_session.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import type { Partition } from "../kafka/partition.ts";
import { ProducePath } from "../kafka/produce.ts";
import { ProduceAppender } from "../kafka/produce_append.ts";
import { RecordChecks } from "../kafka/record_checks.ts";
import { type Caller, HandlerRegistry, Router } from "../kafka/router.ts";
import { RequestHeap } from "../kafka/request_heap.ts";
import { KafkaServer } from "../kafka/server.ts";
import type { Services, StorageTrouble } from "../kafka/services.ts";
import type { MakeReplica } from "../replication/replica.ts";
import { ShardReplication } from "../replication/shard_replication.ts";
import { keepBallast } from "../storage/ballast.ts";
import { LOG_BUSY } from "../storage/log.ts";
import type { ShardStorage } from "../storage/shard_storage.ts";
import { Calls } from "./calls.ts";
import { ShardRemoteFetch } from "./fetch_remote.ts";
import { GroupRuntime } from "./group_runtime.ts";
import { kafkaHandlers } from "./handlers.ts";
import { LeaderNews } from "./leader_news.ts";
import type { NodeMembership } from "./node_membership.ts";
import { NodeNews } from "./node_news.ts";
import { MetadataFeed } from "./metadata_feed.ts";
import { controllerPartition } from "./metadata_partition.ts";
import { PartitionTable, shardOfGroupId } from "./partition_table.ts";
import { Outbox } from "./outbox.ts";
import { ShardRemoteProduce } from "./produce_remote.ts";
import { Receiver } from "./receiver.ts";
import { ShardRemoteCalls } from "./remote_calls.ts";
import { RemoteNews } from "./remote_news.ts";
import { register } from "./registration.ts";
import {
  ALONE,
  COORDINATOR_SNAPSHOTS,
  METADATA_SNAPSHOTS,
  type ShardOptions,
} from "./shard_options.ts";
import { Registrar, registrationOf } from "./registrar.ts";
import { ShardPeers } from "./shard_peers.ts";
import { metadataWait } from "./start_wait.ts";
import { TurnQueue } from "./turn_queue.ts";
import type { AdvertisedNode, JoinRefusal } from "./start_sequence.ts";

const NO_CALLER: Caller = { clientId: null, clientHost: "" };
/** How long a metadata command waits for its new partitions (ms). */
const SETTLE_MS = 2_000;
/** How long a start waits for the registration of its node (ms). */
const REGISTER_MS = 2_000;
/** How long a stop waits for open requests (ms), and at most half of `shutdown.timeout.ms`. */
const DRAIN_MS = 2_000;
/** Between two slices of a round that expires silent producers. */
const EXPIRE_SLICE_PAUSE_MS = 10;
/** A disk too full to keep room for the next start is asked again after this time (ms). */
const BALLAST_RETRY_MS = 5_000;
export class Shard {
  readonly options: ShardOptions;
  readonly settings: Settings;
  /** This shard's actions, for the log. */
  readonly events: EventLog;
  readonly calls: Calls;
  readonly outbox: Outbox;
  readonly image: ClusterImage;
  readonly leaders = new LeaderTable();
  readonly storage: ShardStorage;
  readonly replication: ShardReplication;
  readonly partitions: PartitionTable;
  readonly news: RemoteNews;
  readonly leaderNews: LeaderNews;
  readonly remoteCalls: ShardRemoteCalls;
  readonly remoteProduce: ShardRemoteProduce;
  readonly remoteFetch: ShardRemoteFetch;
  readonly groups: GroupRuntime;
  readonly produce: ProducePath;
  readonly fetch: FetchPath;
  readonly sessions: FetchSessions;
  readonly router: Router;
  readonly server: KafkaServer;
  /** Which nodes can be reached. */
  readonly live = new LiveNodes();
  readonly nodeNews: NodeNews;
  readonly peers: ShardPeers;
  readonly #receiver: Receiver;
  /** Requests that take many turns. */
  readonly #later = new TurnQueue();
  #membership: NodeMembership | null = null;
  #metadata: MetadataFeed | null = null;
  /** The nodes that keep the metadata, while this one waits for a leader among them. */
  #awaited: readonly Founder[] = [];
  /** The controller, when this node is it; only on its shard. */
  controller: ControllerService | null = null;
  readonly registrar: Registrar;
  /** Problems of the node's storage, as the control thread reports them. */
  trouble: StorageTrouble = { diskFull: false, damagedGroups: new Set() };
  /** Of batches that clients produce. */
  readonly #checks: RecordChecks;
  #writable = false;
  readonly #retention: Timer;
  readonly #expiration: Timer;
  /** Space that could not be held yet; 0: none is missing. */
  #ballastBytes = 0;
  readonly #ballast = new Timer(() => runTask(this.keepBallast(this.#ballastBytes), () => {}));

  /** @param storage with the logs of this shard, opened and recovered */
  constructor(options: ShardOptions, storage: ShardStorage) {
    this.options = options;
    this.storage = storage;
    const { memory, blocks, mailboxes, timers, random, nowMs } = options;
    const { shard, shardCount } = mailboxes;
    const wallMs = (): number => options.clock.wallMs();
    this.settings = new Settings(options.settings);
    this.events = new EventLog({
      logger: options.logger,
      nowMs,
      later: (run, ms) => timers.schedule(new Timer(run), nowMs() + ms),
    });
    this.calls = new Calls(mailboxes);
    this.outbox = new Outbox(mailboxes);
    this.image = new ClusterImage(options.nodeId, options.settings);
    this.leaderNews = new LeaderNews(mailboxes, this.leaders);
    this.replication = new ShardReplication({
      ...options,
      incarnation: memberIncarnation((options.peering ?? ALONE).incarnation),
      wallMs,
      events: this.events,
      pinRoom: () => storage.pinRoom,
      allocate: (size) => blocks.arena.allocate(size),
    });
    const makeReplica: MakeReplica = options.makeReplica ??
      ((log, group) => this.replication.makeReplica(log, group));
    this.partitions = new PartitionTable(storage, {
      nodeId: options.nodeId,
      shardCount,
      makeReplica,
      isKnown: (groupId) => this.image.partitionByGroup(groupId) !== undefined,
      onWritable: () => this.#writable = true,
      onLeading: (partition) => this.#tellLeader(partition),
      onFollowing: (partition) => {
        this.#writable = true;
        this.#tellLeader(partition);
      },
    });
    this.image.listen(this.partitions);
    const carriers = { memory, blocks, calls: this.calls, outbox: this.outbox };
    const { partitions } = this;
    this.news = new RemoteNews(mailboxes, partitions);
    this.remoteCalls = new ShardRemoteCalls(carriers);
    this.#checks = new RecordChecks(options.openWalk(), options.openWalk());
    const appender = new ProduceAppender({
      memory,
      crc32c: options.crc32c,
      checks: this.#checks,
      checkCompressed: this.settings.text("produce.records.check") === "all",
    });
    this.remoteProduce = new ShardRemoteProduce(carriers, partitions, appender, wallMs);
    this.remoteFetch = new ShardRemoteFetch(
      carriers,
      partitions,
      this.news,
      () => storage.pinRoom,
    );
    this.groups = new GroupRuntime({
      ...options,
      clockMs: () => options.clock.monotonicMs(),
      config: groupConfigOf(this.settings),
      image: this.image,
      events: this.events,
      shardCount,
      wallMs,
      snapshots: options.snapshots ?? COORDINATOR_SNAPSHOTS,
    });
    this.partitions.listen(this.groups);
    const heap = new RequestHeap(blocks.arena.size);
    const hints = { image: this.image, leaders: this.leaders };
    const common = { memory, image: this.image, partitions, hints, shard, shardCount, heap };
    this.produce = new ProducePath({
      ...common,
      appender,
      remote: this.remoteProduce,
      room: storage,
      wallMs,
    });
    const slots = this.settings.number("max.incremental.fetch.session.cache.slots");
    this.sessions = new FetchSessions(Math.max(1, Math.ceil(slots / shardCount)), random);
    this.fetch = new FetchPath({
      ...common,
      remote: this.remoteFetch,
      sessions: this.sessions,
      timers,
      nowMs,
      responseBytesMax: this.settings.number("fetch.max.bytes"),
      pinRoom: () => storage.pinRoom,
      whenReleased: (again) => blocks.whenReleased(again),
    });
    const registry: HandlerRegistry = new HandlerRegistry(kafkaHandlers(() => registry.all()));
    const now = () => ({ nowMs: nowMs(), wallMs: wallMs() });
    const tellEvent = ({ message, fields }: AdminEvent, { clientId, clientHost }: Caller): void => {
      // The broker's own doing, such as a topic that a client only named, has no client.
      const by = clientHost === ""
        ? { by: "broker" }
        : { client: clientId ?? "", from: clientHost };
      this.events.note(message, { ...fields, ...by });
    };
    this.router = new Router(registry, this.#services(), this.remoteCalls, now, tellEvent);
    this.server = new KafkaServer({
      memory,
      blocks,
      sockets: options.sockets,
      heap,
      timers,
      registry,
      router: this.router,
      produce: this.produce,
      fetch: this.fetch,
      logger: options.logger,
      nowMs,
      idleMaxMs: this.settings.number("connections.max.idle.ms"),
      onConnectionClosed: () => mailboxes.noteConnections(shard, -1),
    });
    this.nodeNews = new NodeNews(mailboxes, this.live);
    this.peers = new ShardPeers({
      ...options,
      ...options.peering ?? ALONE,
      image: this.image,
      events: this.events,
      nodeNews: this.nodeNews,
      replication: this.replication,
      led: () => partitions.led(),
      onLeader: (groupId, nodeId, epoch) => this.leaderNews.tell(groupId, nodeId, epoch),
      serve: (request, done) => this.registrar.serve(request, done),
    });
    this.replication.connect(this.peers.nodeLinks.links);
    this.registrar = new Registrar(this);
    this.router.controllerCalls = this.registrar;
    this.#receiver = new Receiver(this);
    this.#retention = new Timer(() => this.#applyRetention());
    timers.schedule(this.#retention, nowMs() + this.#retentionIntervalMs);
    this.#expiration = new Timer(() => this.#expireProducers());
    timers.schedule(this.#expiration, nowMs() + this.#expirationIntervalMs);
  }

  /** What {@linkcode Shard.join} waits for of other nodes, for people; null: for nothing. */
  get waitsFor(): string | null {
    if (this.#awaited.length < 2) return null;
    const { links } = this.peers.nodeLinks;
    const { nodeId } = this.options;
    return metadataWait(this.#awaited, (other) => other === nodeId || links.isUp(other));
  }

  /** Damage may have taken commands from the metadata log; known on the controller's shard. */
  get metadataReadOnly(): boolean {
    return this.#metadata?.isFrozen ?? false;
  }

  /** The metadata log lost commands, perhaps, and an operator has accepted that. */
  get metadataLossAccepted(): boolean {
    return this.#metadata?.isLossAccepted ?? false;
  }

  /**
   * Controller's shard: joins or founds a cluster, opens the metadata log, loads it into the image, and sends that
   * to the other shards. Where damage may have taken commands from the log, what is left of it is served, and
   * nothing can be changed.
   *
   * @param membership in which cluster this node is
   * @param acceptLoss also when a part of the metadata log cannot be read
   * @returns why there is nothing that could be served; null when all is well
   */
  *join(membership: NodeMembership, acceptLoss: boolean): Task<JoinRefusal | null> {
    assert(this.options.mailboxes.shard === CONTROLLER_SHARD, "metadata has a shard of its own");
    const refused = yield* membership.decide(this.storage.logs.has(CONTROLLER_GROUP_ID));
    if (refused !== null) return refused;
    this.#membership = membership;
    this.peers.hellos.formed();
    const { founders } = membership.state;
    for (const founder of founders) this.peers.setAddress(founder.nodeId, founder);
    const voters = controllerMembers(founders);
    const partition = controllerPartition(this.partitions, this.settings, voters);
    this.#awaited = founders.filter(({ nodeId }) => voters.some(({ node }) => node === nodeId));
    while (!partition.leading && !isFollowing(partition) && !partition.replica.readOnly) {
      if (partition.log.suspect && voters.length > 1) {
        const { directory } = partition.log;
        const what =
          `The cluster's metadata log (${directory}) cannot be used: damage may have cut it`;
        return { kind: "damaged", reason: what };
      }
      yield* this.#pause(1);
    }
    this.#awaited = [];
    if (partition.replica.readOnly) {
      // Nobody leads it; clients find here why nothing can be changed.
      this.leaderNews.tell(CONTROLLER_GROUP_ID, this.options.nodeId, partition.leaderEpoch);
    }
    this.partitions.controllerTerm = partition.leaderEpoch;
    // Until it is known whether all of the log can be read.
    this.partitions.freeze();
    const feed = new MetadataFeed(this.image, partition, (done) => this.whenSettled(done), {
      ...this.options,
      calls: this.calls,
      clockMs: () => this.options.clock.monotonicMs(),
      snapshots: this.options.snapshots ?? METADATA_SNAPSHOTS,
      wallMs: () => this.options.clock.wallMs(),
    });
    const loaded = yield* feed.log.load();
    if (feed.newer !== null) return feed.refusal("newer", feed.newer);
    this.#metadata = feed;
    feed.isLossAccepted = acceptLoss;
    const lost = loaded?.lostOffsets ?? 0;
    const isFrozen = partition.replica.readOnly || (lost > 0 && !acceptLoss);
    if (isFrozen && this.image.clusterId === "") {
      const what = lost > 0 ? `${lost} of its commands cannot be read` : "damage may have cut it";
      return feed.refusal("damaged", `${what}, and the cluster's id is not among the others`);
    }
    const strange = yield* membership.adopt(this.image.clusterId);
    if (strange !== null) return strange;
    if (isFrozen) feed.freeze(this.options.logger, lost);
    else this.partitions.thaw();
    yield* feed.sendSnapshot();
    return null;
  }

  /**
   * Controller's shard: becomes the controller or follows it, and registers this node. Finishes after a while even if that is
   * not committed by then: clients are answered from the image meanwhile.
   *
   * @param firstFreeGroupId above the id of every log of the node
   * @returns why the cluster does not take this node; null: it does, as far as is known
   */
  *lead(node: AdvertisedNode, firstFreeGroupId: number): Task<string | null> {
    const membership = this.#membership;
    assert(this.#metadata !== null && membership !== null, "who leads has joined");
    const { random } = this.options;
    const controller = new ControllerService(this.image, this.#metadata, {
      random,
      partitionsPerNodeMax: this.settings.number("max.partitions.per.node"),
      isAlive: (nodeId) => this.live.isAlive(nodeId),
    });
    const registration = registrationOf(node, membership, this.options.nodeId, firstFreeGroupId);
    if (this.metadataReadOnly) {
      controller.activate();
      const { clusterId } = this.image;
      yield* register({ controller, clusterId, isAlive: () => false }, registration);
      return null;
    }
    this.#metadata.controller = controller;
    this.#metadata.onLeading();
    this.controller = controller;
    return yield* until<string | null>((done) =>
      this.#within<string | null>(
        REGISTER_MS,
        done,
        null,
        (end) => runTask(this.registrar.register(registration, membership), end),
      )
    );
  }

  /** Calls `done` when new partitions may be served, and at the latest after a while (a full disk). */
  whenSettled(done: () => void): void {
    this.#within(SETTLE_MS, done, null, (end) => this.partitions.whenSettled(() => end(null)));
  }

  /** Calls `done` once: with the outcome of what `start` begins, or after `ms` with `late`. */
  #within<T>(
    ms: number,
    done: (value: T) => void,
    late: T,
    start: (end: (value: T) => void) => void,
  ): void {
    const { timers, nowMs } = this.options;
    let told = false;
    const tell = (value: T): void => {
      if (told) return;
      told = true;
      timers.cancel(timer);
      done(value);
    };
    const timer = new Timer(() => tell(late));
    timers.schedule(timer, nowMs() + ms);
    start(tell);
  }

  /** Drains the mailboxes; returns how many messages there were. */
  drainMessages(): number {
    return this.options.mailboxes.drain(this.#receiver);
  }

  /** Ends a turn; false when there is more to do at once. */
  endTurn(nowMs: number): boolean {
    const { blocks, mailboxes } = this.options;
    this.#later.run();
    const checked = this.#checks.turn();
    const writable = this.#writable;
    this.#writable = false;
    if (checked || writable) {
      this.remoteProduce.retry();
      this.produce.retry();
    }
    if (writable) {
      this.groups.retry();
      this.#metadata?.log.retry();
    }
    // Held connections wait for no log, but for room in the journal or in memory, of which nothing notifies them.
    this.server.resumeHeld();
    const rereads = this.fetch.runRereads();
    this.replication.flush();
    this.storage.turnEnd(nowMs);
    blocks.resumeWaiting(nowMs);
    this.server.flush();
    this.peers.flush();
    const released = this.outbox.flush();
    const told = this.news.flush();
    const led = this.leaderNews.flush();
    const reached = this.nodeNews.flush();
    mailboxes.publish(this.options.wake);
    const isSent = released && told && led && reached;
    return !rereads && isSent && !this.server.wantsTurn && !this.#checks.busy && this.#later.idle;
  }

  /** Makes suspect logs writable again (`--accept-loss`); before anything is led. */
  *acceptLoss(): Task<void> {
    for (const log of this.storage.logs.values()) {
      if (!log.suspect) continue;
      // The journal takes a limited number of CREATE records at once.
      while (log.acceptLoss() === LOG_BUSY) yield* this.#pause(1);
      const fields = { log: log.directory };
      this.options.logger.log(
        LogLevel.WARN,
        "Accepted a damaged log: it is writable again",
        fields,
      );
    }
  }

  /**
   * Deletes logs of topics whose deletion a stop cut short; once, after the image is complete. A log of which
   * the metadata log has no removal is kept, because the metadata log may have lost records.
   */
  deleteOrphans(): void {
    const { logger, timers, nowMs } = this.options;
    // The first look: of producers of whom it is not known, time runs from here.
    timers.schedule(this.#expiration, nowMs() + EXPIRE_SLICE_PAUSE_MS);
    const { deleted, unowned } = this.partitions.deleteOrphans(this.image.removedGroups);
    if (deleted > 0) {
      logger.log(LogLevel.INFO, "Deleting logs of topics that are gone", { deleted });
    }
    for (const log of unowned) {
      logger.log(LogLevel.WARN, "Kept a log that the metadata log does not mention", { log });
    }
  }

  /** Controller's shard: holds disk space for the next start, and tries again later where there is too little. */
  *keepBallast(bytes: number): Task<void> {
    const { disk, timers, nowMs, logger } = this.options;
    const held = yield* keepBallast(disk, bytes);
    if (held >= bytes) return;
    if (this.#ballastBytes === 0) {
      const fields = { heldBytes: Math.max(0, held), wantedBytes: bytes };
      logger.log(LogLevel.WARN, "The disk is too full to reserve space for the next start", fields);
    }
    this.#ballastBytes = bytes;
    timers.schedule(this.#ballast, nowMs() + BALLAST_RETRY_MS);
  }

  /**
   * Answers open requests and ends connections. Afterwards this shard sends no requests to the others, which may
   * still send it some: storage is stopped when all have drained.
   */
  *drain(): Task<void> {
    const { timers } = this.options;
    timers.cancel(this.#retention);
    timers.cancel(this.#expiration);
    timers.cancel(this.#ballast);
    this.registrar.stop();
    this.server.drain();
    const drainMs = Math.min(DRAIN_MS, this.settings.number("shutdown.timeout.ms") / 2);
    const deadlineMs = this.options.nowMs() + drainMs;
    while (this.server.openRequests > 0 && this.options.nowMs() < deadlineMs) {
      yield* this.#pause(5);
    }
    this.server.shutdown();
    yield* this.#pause(5);
  }

  /** Writes everything out; every shard has drained. */
  *stop(): Task<void> {
    this.#membership?.stop();
    yield* this.groups.stop();
    if (this.#metadata !== null) yield* this.#metadata.log.stop();
    yield* this.storage.stop();
    this.peers.stop();
  }

  #tellLeader({ image, replica }: Partition): void {
    this.leaderNews.tell(image.groupId, replica.leaderId, replica.term);
    if (replica.leading) this.peers.feed.tell(image.groupId, replica.term);
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }

  get #retentionIntervalMs(): number {
    return this.settings.number("log.retention.check.interval.ms");
  }

  #applyRetention(): void {
    const { clock, timers, nowMs } = this.options;
    this.partitions.applyRetention(clock.wallMs());
    timers.schedule(this.#retention, nowMs() + this.#retentionIntervalMs);
  }

  /** Drops silent producers of the next logs; pauses after each round through all of them. */
  #expireProducers(): void {
    const { clock, timers, nowMs } = this.options;
    const expirationMs = this.settings.number("producer.id.expiration.ms");
    const again = this.partitions.expireProducers(clock.wallMs(), expirationMs);
    const pauseMs = again ? EXPIRE_SLICE_PAUSE_MS : this.#expirationIntervalMs;
    timers.schedule(this.#expiration, nowMs() + pauseMs);
  }

  get #expirationIntervalMs(): number {
    return this.settings.number("producer.id.expiration.check.interval.ms");
  }

  #services(): Services {
    const { mailboxes, nodeId, disk, dataDir } = this.options;
    const { shard, shardCount } = mailboxes;
    const controller = (): ControllerService | null => this.controller;
    const trouble = (): StorageTrouble => this.trouble;
    const metadataReadOnly = (): boolean => this.metadataReadOnly;
    return {
      shard,
      shardCount,
      nodeId,
      image: this.image,
      leaders: this.leaders,
      live: this.live,
      get controller() {
        return controller();
      },
      get metadataReadOnly() {
        return metadataReadOnly();
      },
      get trouble() {
        return trouble();
      },
      partitions: this.partitions,
      groups: this.groups,
      dataDirectory: {
        path: dataDir,
        freeBytes: () => disk.freeBytes(),
        totalBytes: () => disk.totalBytes(),
      },
      nextTurn: () => this.#later.next(),
      shardOfGroup: (groupId: number) => shardOfGroupId(groupId, shardCount),
      call: (api, version, request) => this.router.call(api, version, NO_CALLER, request),
    };
  }
}

/** It knows who leads, and what is committed. */
function isFollowing({ replica, log }: Partition): boolean {
  return replica.leaderId >= 0 && !replica.leading && replica.commitOffset > log.startOffset;
}
