/**
 * One shard, put together by hand: storage, partitions, coordinators, the Kafka side, and the ways to
 * the other shards. This file knows every part and decides nothing.
 *
 * It uses only seams (disk, sockets, clock, mailboxes), so that the simulator builds it too. The
 * loop that drives it is `reactor.ts`; `boot.ts` answers the control thread.
 *
 * Lifecycle: created over its logs → on the controller's shard {@linkcode ClusterSeat.join}, {@linkcode ClusterSeat.lead} →
 * serving → {@linkcode Shard.drain} → {@linkcode Shard.stop}.
 *
 * @module
 */

import { EventLog } from "../base/event_log.ts";
import { LogLevel } from "../base/logger.ts";
import { Settings } from "../base/settings.ts";
import type { ControllerService } from "../cluster/controller_service.ts";
import { ClusterImage, NodeState } from "../cluster/image.ts";
import {
  COMPACTED_REPLICAS_SINCE_VERSION,
  OWN_VERSIONS,
  REFILLS_SINCE_VERSION,
  type VersionRange,
} from "../cluster/logical_version.ts";
import { memberIncarnation } from "../cluster/members.ts";
import { LeaderTable } from "../cluster/leaders.ts";
import { LiveNodes } from "../cluster/live_nodes.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { groupConfigOf } from "../group/config.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { ShardRecorder } from "../metrics/recorder.ts";
import { TrafficKind } from "../metrics/traffic.ts";
import type { AdminEvent } from "../kafka/admin_events.ts";
import { FetchPath } from "../kafka/fetch.ts";
import { FetchSessions } from "../kafka/fetch_session.ts";
import { MEMBERS_SETTLED, NODE_HANDLERS, REPLICA_LOST } from "../kafka/node_apis.ts";
import type { Partition } from "../kafka/partition.ts";
import { ProducePath } from "../kafka/produce.ts";
import { ProduceAppender } from "../kafka/produce_append.ts";
import { RecordChecks } from "../kafka/record_checks.ts";
import { type Caller, HandlerRegistry, Router } from "../kafka/router.ts";
import { RequestHeap } from "../kafka/request_heap.ts";
import { KafkaServer } from "../kafka/server.ts";
import type { StorageTrouble } from "../kafka/services.ts";
import type { MakeReplica } from "../replication/replica.ts";
import { Mender } from "../replication/mender.ts";
import { ShardReplication } from "../replication/shard_replication.ts";
import { SleepWatch } from "../replication/sleep_watch.ts";
import { keepBallast } from "../storage/ballast.ts";
import type { ShardStorage } from "../storage/shard_storage.ts";
import { Calls } from "./calls.ts";
import { ClusterSeat } from "./cluster_seat.ts";
import { tellDamaged } from "./damaged_log.ts";
import { ShardRemoteFetch } from "./fetch_remote.ts";
import { GroupRuntime } from "./group_runtime.ts";
import { kafkaHandlers } from "./handlers.ts";
import type { LedGroup } from "./leader_feed.ts";
import { ShardLeadership, TRANSFER_API } from "./leadership.ts";
import { LeaderNews } from "./leader_news.ts";
import { LostReplicas, REPLICAS_MIN } from "./lost_replicas.ts";
import { trafficRows } from "./metric_rows.ts";
import { NodeNews } from "./node_news.ts";
import { isNodeRequest } from "./node_requests.ts";
import { MemberSteward } from "./member_steward.ts";
import { ledGroup, PartitionTable } from "./partition_table.ts";
import { Outbox } from "./outbox.ts";
import { ShardRemoteProduce } from "./produce_remote.ts";
import { Receiver } from "./receiver.ts";
import { ShardRemoteCalls } from "./remote_calls.ts";
import { RemoteNews } from "./remote_news.ts";
import { ALONE, COORDINATOR_SNAPSHOTS, type ShardOptions } from "./shard_options.ts";
import { ReplicaWatch } from "./replica_watch.ts";
import { ShardPeers } from "./shard_peers.ts";
import { NO_CALLER, shardServices } from "./shard_services.ts";
import { ShardTransactions } from "./shard_transactions.ts";
import { TurnQueue } from "./turn_queue.ts";
import { LogCompaction } from "./log_compaction.ts";
import { Upkeep } from "./upkeep.ts";

/** A value of `replica.selector.class`. */
const RACK_AWARE = ".RackAwareReplicaSelector";
/** How long a metadata command waits for its new partitions (ms). */
const SETTLE_MS = 2_000;
/** How long a stop waits for open requests (ms), and at most half of `shutdown.timeout.ms`. */
const DRAIN_MS = 2_000;
/** A disk too full to keep room for the next start is asked again after this time (ms). */
const BALLAST_RETRY_MS = 5_000;
export class Shard {
  readonly options: ShardOptions;
  /** The logical versions at which this node works. */
  readonly versions: VersionRange;
  readonly settings: Settings;
  /** This shard's actions, for the log. */
  readonly events: EventLog;
  readonly recorder: ShardRecorder;
  readonly heap: RequestHeap;
  readonly calls: Calls;
  readonly outbox: Outbox;
  readonly image: ClusterImage;
  readonly leaders: LeaderTable;
  readonly storage: ShardStorage;
  readonly replication: ShardReplication;
  /** Has what is damaged here from other nodes. */
  readonly mender: Mender;
  readonly partitions: PartitionTable;
  readonly news: RemoteNews;
  readonly leaderNews: LeaderNews;
  readonly remoteCalls: ShardRemoteCalls;
  readonly remoteProduce: ShardRemoteProduce;
  readonly remoteFetch: ShardRemoteFetch;
  readonly groups: GroupRuntime;
  readonly transactions: ShardTransactions;
  readonly produce: ProducePath;
  readonly fetch: FetchPath;
  readonly sessions: FetchSessions;
  readonly router: Router;
  readonly server: KafkaServer;
  /** Which nodes can be reached. */
  readonly live: LiveNodes;
  readonly nodeNews: NodeNews;
  readonly peers: ShardPeers;
  readonly #receiver: Receiver;
  readonly #watch: ReplicaWatch;
  readonly #sleep: SleepWatch;
  readonly #lost: LostReplicas;
  /** Requests that take many turns. */
  readonly later = new TurnQueue();
  /** This node in its cluster; of use on the controller's shard. */
  readonly seat: ClusterSeat;
  /** Brings the groups that this shard leads to the members that they should have. */
  readonly steward: MemberSteward;
  /** Groups of which the controller is being told that their members have settled. */
  readonly #settling = new Set<number>();
  /** Hands leadership of groups from node to node. */
  readonly leadership: ShardLeadership;
  /** Problems of the node's storage, as the control thread reports them. */
  trouble: StorageTrouble = {
    diskFull: false,
    damagedGroups: new Set(),
    readOnlyGroups: new Set(),
  };
  /** Of batches that clients produce. */
  readonly #checks: RecordChecks;
  #writable = false;
  readonly #upkeep: Upkeep;
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
    this.versions = options.versions ?? OWN_VERSIONS;
    this.settings = new Settings(options.settings);
    const recorder = this.recorder = options.recorder ?? new ShardRecorder();
    const { traffic } = recorder;
    this.events = new EventLog({
      logger: options.logger,
      nowMs,
      later: (run, ms) => timers.schedule(new Timer(run), nowMs() + ms),
    });
    this.calls = new Calls(mailboxes);
    this.outbox = new Outbox(mailboxes);
    this.image = new ClusterImage(options.nodeId, options.settings);
    this.image.listen(trafficRows(traffic));
    this.leaders = new LeaderTable(options.nodeId);
    this.live = new LiveNodes(wallMs);
    this.leaderNews = new LeaderNews(mailboxes, this.leaders);
    this.replication = new ShardReplication({
      ...options,
      incarnation: memberIncarnation((options.peering ?? ALONE).incarnation),
      wallMs,
      inSyncMs: this.settings.number("replica.lag.time.max.ms"),
      events: this.events,
      shard,
      flushWaitMs: () => storage.flushWaitMs(nowMs()),
      pinRoom: () => storage.pinRoom,
      canAppend: (bytes) => storage.canAppend(bytes),
      appendedBytes: () => storage.appendedBytes,
      knowsRefills: (node) => this.peers.isAbleAt(node, REFILLS_SINCE_VERSION),
      onSilence: (...silence) => this.peers.onSilence(...silence),
      onOverruled: (groupId) => {
        if (groupId === CONTROLLER_GROUP_ID) this.seat.onOverruled();
      },
      allocate: (size) => blocks.arena.allocate(size),
      release: (address) => blocks.arena.release(address),
    });
    this.#sleep = new SleepWatch(timers, this.replication);
    const makeReplica: MakeReplica = options.makeReplica ??
      ((log, group) => this.replication.makeReplica(log, group));
    this.partitions = new PartitionTable(storage, {
      nodeId: options.nodeId,
      life: this.replication.incarnation,
      shardCount,
      makeReplica,
      epochFloor: () => this.image.epochFloor,
      metadata: () => this.seat,
      imageOf: (groupId) => this.image.partitionByGroup(groupId),
      onCurrent: () => this.#watchLed(),
      onWritable: () => this.#writable = true,
      onDamaged: (partition, isAccepted) => tellDamaged(this, partition, isAccepted),
      onLeading: (partition) => {
        this.#writable = true;
        traffic.add(partition.image.topic.trafficRow, TrafficKind.LEADERSHIPS, 1);
        this.#tellLeader(partition);
        this.steward.watch(partition.image.groupId);
        this.leadership.noteLeading(partition);
      },
      onFollowing: (partition) => {
        this.#writable = true;
        this.#tellLeader(partition);
      },
    });
    this.image.listen(this.partitions);
    this.mender = new Mender({
      storage,
      replication: this.replication,
      timers,
      nowMs,
      events: this.events,
      mayAsk: (groupId) => {
        const { logicalVersion } = this.image;
        // While the metadata is loaded the version is not known; a part of it must not be passed by. Each node says its own.
        const isUnknown = logicalVersion === 0 && groupId === CONTROLLER_GROUP_ID;
        return isUnknown || logicalVersion >= REFILLS_SINCE_VERSION;
      },
    });
    storage.mayGiveUp = (groupId) => this.partitions.mayGiveUp(groupId);
    const carriers = { memory, blocks, calls: this.calls, outbox: this.outbox };
    const { partitions } = this;
    this.news = new RemoteNews(mailboxes, partitions);
    this.remoteCalls = new ShardRemoteCalls(carriers);
    this.#checks = new RecordChecks(options.openWalk(), options.openWalk());
    this.transactions = new ShardTransactions(this, () => this.#writable = true);
    const appender = new ProduceAppender({
      transactions: this.transactions.guard,
      memory,
      crc32c: options.crc32c,
      checks: this.#checks,
      checkCompressed: this.settings.text("produce.records.check") === "all",
      traffic,
    });
    this.remoteProduce = new ShardRemoteProduce(carriers, partitions, appender, { nowMs, wallMs });
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
    const heap = this.heap = new RequestHeap(blocks.arena.size);
    const hints = { image: this.image, leaders: this.leaders };
    const common = {
      memory,
      image: this.image,
      partitions,
      hints,
      shard,
      shardCount,
      heap,
      recorder,
    };
    this.produce = new ProducePath({
      ...common,
      appender,
      remote: this.remoteProduce,
      room: storage,
      nowMs,
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
      isRackAware: this.settings.text("replica.selector.class")?.endsWith(RACK_AWARE) === true,
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
    const services = shardServices(this, () => this.later.next());
    const all = new HandlerRegistry([...registry.all(), ...NODE_HANDLERS]);
    this.router = new Router(all, services, this.remoteCalls, now, tellEvent);
    this.server = new KafkaServer({
      memory,
      blocks,
      sockets: options.sockets,
      heap,
      recorder,
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
    this.nodeNews = new NodeNews(
      mailboxes,
      this.live,
      () => this.steward.watch(CONTROLLER_GROUP_ID),
    );
    this.peers = new ShardPeers({
      ...options,
      ...options.peering ?? ALONE,
      logicalVersion: this.versions.max,
      image: this.image,
      events: this.events,
      nodeNews: this.nodeNews,
      replication: this.replication,
      led: () => this.#watch.telling(partitions.led()),
      onLeader: (...leader) => this.leaderNews.tell(...leader),
      serve: (request, done) => {
        const { apiKey, version, caller, body } = request;
        if (apiKey === TRANSFER_API) this.leadership.serve(request, done);
        else if (isNodeRequest(apiKey)) this.router.serveNode(apiKey, version, caller, body, done);
        else this.seat.registrar.serve(request, done);
      },
    });
    this.replication.connect(this.peers.nodeLinks.links);
    this.steward = new MemberSteward({
      timers,
      nowMs,
      replicaOf: (groupId) => this.replication.replicaOf(groupId),
      wanted: (groupId) => this.seat.wantedMembers(groupId),
      onSettled: (groupId) => this.#settleMembers(groupId) || this.leadership.spares(groupId),
    });
    this.seat = new ClusterSeat(this);
    this.leadership = new ShardLeadership(this);
    this.image.listen({
      nodesChanged: () => {
        this.steward.watch(CONTROLLER_GROUP_ID);
        if (this.#isInMaintenance) this.#watchLed();
      },
      partitionChanged: ({ groupId }) => this.steward.watch(groupId),
    });
    this.router.controllerCalls = this.seat.registrar;
    this.#receiver = new Receiver(this);
    this.#lost = new LostReplicas({
      nodeId: options.nodeId,
      timers,
      nowMs,
      events: this.events,
      partitions: () => {
        const { nodes, logicalVersion } = this.image;
        const mayBe = nodes.size >= REPLICAS_MIN && logicalVersion >= REFILLS_SINCE_VERSION;
        return mayBe && partitions.isCurrent ? partitions.all() : [];
      },
      uncutForMs: (groupId) => this.replication.replicaOf(groupId)?.uncutForMs ?? 0,
      inSyncOf: (partition) => this.leaders.inSyncOf(partition),
      tell: (lost) => runTask(this.router.call(REPLICA_LOST, 0, NO_CALLER, lost), () => {}),
    });
    this.#watch = new ReplicaWatch({
      timers,
      nowMs,
      partitions: () => partitions.all(),
      tell: (led) => this.#tellLed(led),
      onLooked: () => this.#writable = true,
    });
    const compaction = new LogCompaction({
      storage,
      partitions: () => partitions.mayChangeLogs ? partitions.all() : [],
      mayCompactReplicas: () => this.image.logicalVersion >= COMPACTED_REPLICAS_SINCE_VERSION,
      compactor: options.openCompactor(),
      settings: this.settings,
      shardCount,
      blockSizeMax: blocks.arena.blockSizeMax,
      timers,
      nowMs,
      wallMs,
      events: this.events,
      recorder,
    });
    this.#upkeep = new Upkeep({
      ...options,
      partitions,
      compaction,
      settings: this.settings,
      wallMs,
    });
  }

  /** The controller, when this node is it; only on its shard. */
  get controller(): ControllerService | null {
    return this.seat.controller;
  }

  /** Damage may have taken commands from the metadata log; known on the controller's shard. */
  get metadataReadOnly(): boolean {
    return this.seat.metadata?.isFrozen ?? false;
  }

  /** Calls `done` when new partitions may be served, and at the latest after a while (a full disk). */
  whenSettled(done: () => void): void {
    this.within(SETTLE_MS, done, null, (end) => this.partitions.whenSettled(() => end(null)));
  }

  /** Calls `done` once: with the outcome of what `start` begins, or after `ms` with `late`. */
  within<T>(
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
    this.#sleep.look();
    return this.options.mailboxes.drain(this.#receiver);
  }

  /** Ends a turn; false when there is more to do at once. */
  endTurn(nowMs: number): boolean {
    const { blocks, mailboxes } = this.options;
    this.later.run();
    const checked = this.#checks.turn();
    const writable = this.#writable;
    this.#writable = false;
    if (checked || writable) {
      this.remoteProduce.retry();
      this.produce.retry();
    }
    this.partitions.acceptMore();
    if (writable) {
      this.groups.retry();
      this.transactions.retry();
      this.seat.metadata?.log.retry();
    }
    // Held connections wait for no log, but for room in the journal or in memory, of which nothing notifies them.
    this.server.resumeHeld();
    this.peers.resume();
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
    // Of what may be tried again some was only said in the last steps.
    const isQuiet = !this.#writable && !this.server.wantsTurn && !this.#checks.busy;
    return !rereads && isSent && isQuiet && this.later.idle;
  }

  /**
   * Deletes logs of topics whose deletion a stop cut short; once, after the image is complete. A log of which
   * the metadata log has no removal is kept, because the metadata log may have lost records.
   */
  deleteOrphans(): void {
    const { logger } = this.options;
    this.#upkeep.begin();
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
    // Clients go where leadership went, while they are still answered here.
    yield* this.leadership.handOver();
    yield* this.#upkeep.stop();
    timers.cancel(this.#ballast);
    this.seat.drain();
    this.steward.stop();
    this.#watch.stop();
    this.#lost.stop();
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
    this.seat.leave();
    yield* this.groups.stop();
    yield* this.transactions.stop();
    if (this.seat.metadata !== null) yield* this.seat.metadata.log.stop();
    yield* this.storage.stop();
    this.peers.stop();
  }

  #watchLed(): void {
    for (const { groupId } of this.partitions.led()) this.steward.watch(groupId);
  }

  get #isInMaintenance(): boolean {
    return this.image.stateOf(this.options.nodeId) === NodeState.MAINTENANCE;
  }

  /** The members of a group that this shard leads are as wanted: the controller is told where it waits for that. */
  #settleMembers(groupId: number): boolean {
    const partition = this.image.partitionByGroup(groupId);
    if (partition === undefined || !partition.isChanging) return false;
    const { change } = partition;
    if (this.#settling.has(groupId)) return true;
    this.#settling.add(groupId);
    const told = this.router.call(MEMBERS_SETTLED, 0, NO_CALLER, { groupId, change });
    runTask(told, () => this.#settling.delete(groupId));
    return true;
  }

  #tellLeader(partition: Partition): void {
    const { image, replica } = partition;
    const { heirId } = replica;
    if (replica.leading) this.#tellLed(ledGroup(partition));
    // Nobody leads any more in this term: clients go there at once.
    else if (heirId >= 0) this.leaderNews.tell(image.groupId, heirId, replica.heirEpoch);
    else this.leaderNews.tell(image.groupId, replica.leaderId, replica.term);
  }

  #tellLed(led: LedGroup): void {
    this.leaderNews.tell(led.groupId, this.options.nodeId, led.epoch, led.inSync);
    this.peers.feed.tell(led);
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }
}
