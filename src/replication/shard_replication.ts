/**
 * The replicas of one shard, and their messages.
 *
 * ```text
 *     GroupReplica ── rows ──────► one frame per peer shard and turn ──► control lane
 *                  ── replicate ─► AppendFrame (reads the log) ────────► data lane, records in place
 *     PeerLinks ──── onFrame ────► the group of each row; onUp, onDown ► the groups with that node
 * ```
 *
 * A group lives on shard `group % shards` of each node, so messages go from shard to shard. Messages to a node whose
 * number of shards is not known yet are lost, as Raft allows, and a link is made to learn it.
 *
 * How many frames are read or in flight at once: `append_frames.ts`.
 *
 * @module
 */

import type { EventLog } from "../base/event_log.ts";
import { RECOVERY_FRAME_BYTES } from "../base/limits.ts";
import { LogLevel } from "../base/logger.ts";
import type { Random } from "../base/prng.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { RangeList } from "../bytes/range_list.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import type { Timer } from "../io/timers.ts";
import { AppendRuns } from "../raft/append_runs.ts";
import { RAFT_TIMING, type RaftTiming } from "../raft/limits.ts";
import { MessageKind, RaftMessage } from "../raft/message.ts";
import { NOTHING } from "../raft/raft_group.ts";
import {
  type FrameOwner,
  FrameVerdict,
  Lane,
  type PeerLinks,
  SendOutcome,
} from "../rpc/peer_links.ts";
import { type Log, LOG_BUSY, ReadError } from "../storage/log.ts";
import { APPEND_HEAD_MAX, type AppendFrame, type AppendFrameOwner } from "./append_frame.ts";
import { AppendFrames } from "./append_frames.ts";
import {
  APPEND_HEAD_SIZE,
  decodeRow,
  groupOfRow,
  LIFE_SIZE,
  ReplicationFrame,
  ROW_SIZE,
} from "./frames.ts";
import { GoneNodes } from "./gone_nodes.ts";
import { GroupReplica } from "./group_replica.ts";
import { Liveness } from "./liveness.ts";
import { type RecoveryLimits, RecoveryPace } from "./recovery_pace.ts";
import { ReceivedAppend } from "./received_append.ts";
import type { ReplicaGroup } from "./replica.ts";
import type { ReplicaHost } from "./replica_host.ts";
import { noteOverruled, notePeerFull, noteTooLarge } from "./replica_notes.ts";
import { type RefillHost, type RefillOptions, Refills } from "./refills.ts";
import { RowQueue, ROWS_PER_FRAME_MAX } from "./row_queue.ts";
import { decodeSnapshot } from "./snapshot_frame.ts";
import { type SnapshotHost, SnapshotSender } from "./snapshot_sender.ts";

/** Memory in which a frame's first bytes are put together. */
export const STAGING_SIZE = Math.max(APPEND_HEAD_MAX, ROWS_PER_FRAME_MAX * ROW_SIZE);

/** The links as replication uses them. */
export type ReplicationLinks = Pick<
  PeerLinks,
  "send" | "sendRanges" | "shardCountOf" | "frameMaxOf" | "isUp" | "contact"
>;

export interface ReplicationOptions extends RefillOptions {
  readonly nodeId: number;
  readonly shard: number;
  /** Of this node, as a member of groups; see `cluster/members.ts`. */
  readonly incarnation: number;
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  readonly random: Random;
  readonly timing?: RaftTiming;
  /** A replica that has not had everything for this long is out of sync (ms). */
  readonly inSyncMs: number;
  readonly wallMs: () => number;
  readonly events: EventLog;
  /** How long the journal's present write has been under way (ms); 0: there is none. */
  readonly flushWaitMs: () => number;
  /** Bytes of records that may be pinned in addition. */
  readonly pinRoom: () => number;
  /** Whether the shard's logs would take so many bytes now; it is asked again. */
  readonly canAppend: (bytes: number) => boolean;
  /** Bytes of batches that the shard has appended so far. */
  readonly appendedBytes: () => number;
  readonly recovery?: RecoveryLimits;
  /** A shard of a node to which there is a connection gives no sign of life, or does again. */
  readonly onSilence?: (node: number, shard: number, isSilent: boolean) => void;
  /** The log of a group is not the group's any more. */
  readonly onOverruled?: (groupId: number) => void;
  /** Takes a block of memory, for good or until it is released; -1: none. */
  readonly allocate: (size: number) => number;
  readonly release: (address: number) => void;
}

/** A request that came to nothing. */
interface Unsent {
  readonly replica: GroupReplica;
  readonly node: number;
  readonly term: number;
  /** 0: a snapshot. */
  readonly fromIndex: number;
  readonly isGone: boolean;
}

export class ShardReplication implements ReplicaHost, AppendFrameOwner, SnapshotHost, RefillHost {
  readonly memory: Memory;
  readonly allocate: ReplicationOptions["allocate"];
  readonly release: ReplicationOptions["release"];
  readonly nodeId: number;
  readonly incarnation: number;
  readonly random: Random;
  readonly timing: RaftTiming;
  readonly inSyncMs: number;
  readonly #options: ReplicationOptions;
  readonly #replicas = new Map<number, GroupReplica>();
  /** Groups with a member on a node, by node. */
  readonly #byNode = new Map<number, Set<GroupReplica>>();
  #links: ReplicationLinks | null = null;
  #staging = -1;

  #unsettled: GroupReplica[] = [];
  #settling: GroupReplica[] = [];
  readonly #isUnsettled = new Set<GroupReplica>();

  readonly #rows = new Map<number, RowQueue[]>();
  readonly #dirtyRows: RowQueue[] = [];

  readonly #frames: AppendFrames;
  readonly #pace: RecoveryPace;
  readonly #unsent: Unsent[] = [];
  /** Read, and refused by a full link; by node. */
  readonly #full = new Map<number, AppendFrame[]>();
  readonly #snapshots = new SnapshotSender(this);
  /** Records that replicas have from each other where one was damaged. */
  readonly refills: Refills;
  readonly #liveness: Liveness;
  readonly #gone = new GoneNodes((node, groupId) => this.#liveness.isSilent(node, groupId));

  readonly #message = new RaftMessage();
  readonly #runs = new AppendRuns();
  readonly #received: ReceivedAppend;
  /** The frame that was handed over stays where it is, and is handed over again. */
  #isHeld = false;

  constructor(options: ReplicationOptions) {
    this.#options = options;
    this.#pace = new RecoveryPace(options);
    this.memory = options.memory;
    this.allocate = options.allocate;
    this.release = options.release;
    this.nodeId = options.nodeId;
    this.incarnation = options.incarnation;
    this.random = options.random;
    this.inSyncMs = options.inSyncMs;
    this.timing = options.timing ?? RAFT_TIMING;
    this.#received = new ReceivedAppend(options.memory, options.crc32c);
    this.refills = new Refills(this, options);
    const { nodeId, memory: { view }, pinRoom } = options;
    this.#frames = new AppendFrames({ owner: this, nodeId, view, pinRoom });
    this.#liveness = new Liveness({
      ...options,
      groupsByNode: this.#byNode,
      shardCountOf: (node) => this.#links?.shardCountOf(node) ?? 0,
      sendLife: (node, shard, isAnswer) => this.#sendLife(node, shard, isAnswer),
      onSilent: (node, shard) => this.#onSilent(node, shard),
      onHeard: (node, shard) => this.#onHeard(node, shard),
      onStalled: (isStalled) => this.#onStalled(isStalled),
    });
  }

  /** Joins the other nodes; without links every group of several replicas is without a leader. */
  connect(links: ReplicationLinks): void {
    this.#links = links;
  }

  /** Makes the replica of a group over its log. */
  makeReplica(log: Log, group: ReplicaGroup): GroupReplica {
    const replica = new GroupReplica(this, log, group);
    this.#replicas.set(log.groupId, replica);
    return replica;
  }

  /** The block of the shard's memory that it keeps for good; -1: none yet. */
  get stagingAddress(): number {
    return this.#staging;
  }

  /** No replica of this shard has another one elsewhere. */
  get isAlone(): boolean {
    return this.#byNode.size === 0;
  }

  get replicas(): Iterable<GroupReplica> {
    return this.#replicas.values();
  }

  replicaOf(groupId: number): GroupReplica | undefined {
    return this.#replicas.get(groupId);
  }

  /** Ends a turn: what was decided goes to the links, before they are flushed. */
  flush(): void {
    this.#gone.tell();
    while (this.#unsettled.length > 0) {
      const batch = this.#unsettled;
      this.#unsettled = this.#settling;
      this.#settling = batch;
      this.#isUnsettled.clear();
      for (const replica of batch) replica.settle();
      batch.length = 0;
    }
    for (const queue of this.#dirtyRows) this.#sendRows(queue);
    this.#dirtyRows.length = 0;
    if (this.#unsent.length === 0) return;
    for (const { replica, node, term, fromIndex, isGone } of this.#unsent.splice(0)) {
      replica.unsent(node, term, fromIndex, isGone);
    }
  }

  // Events of the links.

  onUp(node: number): void {
    this.#liveness.onUp(node);
    this.#gone.onUp(node);
    for (const replica of this.#byNode.get(node) ?? []) replica.peerUp(node);
    this.onRoom(node);
  }

  onDown(node: number): void {
    const frames = this.#full.get(node);
    this.#full.delete(node);
    for (const frame of frames ?? []) this.#giveUp(frame, false);
    this.#gone.onDown(node, this.#byNode.get(node) ?? []);
  }

  onRoom(node: number): void {
    const frames = this.#full.get(node);
    if (frames === undefined) return;
    this.#full.delete(node);
    for (const frame of frames) this.#offer(frame);
  }

  /** Takes a frame of one of the types in {@linkcode ReplicationFrame}. */
  onFrame(node: number, type: number, address: number, length: number): FrameVerdict {
    let problem: string | null;
    if (type === ReplicationFrame.ROWS) problem = this.#onRows(node, address, length);
    else if (type === ReplicationFrame.APPEND) problem = this.#onAppend(node, address, length);
    else if (type === ReplicationFrame.SNAPSHOT) problem = this.#onSnapshot(node, address, length);
    else if (type === ReplicationFrame.LIFE) problem = this.#onLife(node, address, length);
    else if (type === ReplicationFrame.REFILL_ASK) {
      problem = this.refills.onAsk(node, address, length);
    } else if (type === ReplicationFrame.REFILL) {
      problem = this.refills.onRefill(node, address, length);
    } else problem = `a frame of the unknown type ${type}`;
    if (problem === null) return this.#takeHeld() ? FrameVerdict.HELD : FrameVerdict.TAKEN;
    this.#options.events.note("A node sent what makes no sense", { node, problem }, LogLevel.WARN);
    return FrameVerdict.WRONG;
  }

  // For replicas.

  get isStalled(): boolean {
    return this.#liveness.isStalled;
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  schedule(timer: Timer, atMs: number): void {
    this.#options.timers.schedule(timer, atMs);
  }

  cancel(timer: Timer): void {
    this.#options.timers.cancel(timer);
  }

  settleLater(replica: GroupReplica): void {
    if (this.#isUnsettled.has(replica)) return;
    this.#isUnsettled.add(replica);
    this.#unsettled.push(replica);
  }

  sendRow(replica: GroupReplica, node: number, message: RaftMessage): void {
    const { groupId } = replica.log;
    const shard = this.#shardOf(groupId, node);
    if (shard < 0) return;
    if (message.kind === MessageKind.HEARTBEAT && !message.quiet) {
      // It may overtake what was sent on the other lane, where nothing is lost without `onDown`.
      message.index = 0;
    }
    const queue = this.#queueOf(node, shard);
    if (queue.count === 0) this.#dirtyRows.push(queue);
    queue.push(groupId, message);
    if (queue.isFull) this.#sendRows(queue);
  }

  batchBytesMaxOf(node: number): number {
    // Where the frame takes the largest block of memory, the log, which writes whole disk blocks, takes less.
    return (this.#links?.frameMaxOf(node) ?? Infinity) - Math.max(APPEND_HEAD_SIZE, BLOCK_SIZE);
  }

  replicate(replica: GroupReplica, node: number, fromIndex: number, room: number): void {
    if (!replica.isSpare(node)) return this.#replicate(replica, node, fromIndex, room);
    const { raft } = replica;
    const { term } = raft;
    const go = (): void => {
      if (raft.term !== term || raft.leaderId !== this.nodeId) return;
      this.#replicate(replica, node, fromIndex, Math.min(room, RECOVERY_FRAME_BYTES));
    };
    const request = { isSpare: () => replica.isSpare(node), go };
    if (!this.#pace.holdsBack(replica.log.groupId, node, request)) go();
  }

  #replicate(replica: GroupReplica, node: number, fromIndex: number, room: number): void {
    const bytesMax = Math.min(room, this.#links?.frameMaxOf(node) ?? room);
    this.#frames.ask(replica, node, fromIndex, bytesMax);
  }

  sendSnapshot(replica: GroupReplica, node: number): void {
    this.#snapshots.begin(replica, node);
  }

  sendFrame(
    type: ReplicationFrame,
    groupId: number,
    node: number,
    head: Uint8Array,
    ranges: RangeList,
    owner: FrameOwner,
  ): boolean {
    const shard = this.#shardOf(groupId, node);
    const staging = this.#stage();
    if (shard < 0 || staging < 0 || head.length > STAGING_SIZE) return false;
    this.memory.bytes.set(head, staging);
    const { length } = head;
    const outcome = this.#links!.sendRanges(node, shard, type, staging, length, ranges, owner);
    return outcome === SendOutcome.QUEUED;
  }

  frameMaxOf(node: number): number {
    return this.#links?.frameMaxOf(node) ?? 0;
  }

  onSnapshotUnsent(replica: GroupReplica, node: number, term: number): void {
    this.#unsent.push({ replica, node, term, fromIndex: 0, isGone: false });
  }

  onMembers(replica: GroupReplica, before: readonly number[], now: readonly number[]): void {
    for (const node of before) {
      if (now.includes(node)) continue;
      this.#byNode.get(node)?.delete(replica);
      this.#liveness.noteGroups(node);
    }
    for (const node of now) {
      let replicas = this.#byNode.get(node);
      if (replicas === undefined) {
        replicas = new Set();
        this.#byNode.set(node, replicas);
      }
      replicas.add(replica);
      if (!before.includes(node)) this.#gone.joined(replica, node);
      this.#liveness.noteGroups(node);
      this.#links?.contact(node);
    }
  }

  onOverruled({ log, raft }: GroupReplica): void {
    noteOverruled(this.#options.events, log, raft.leaderId);
    this.#options.onOverruled?.(log.groupId);
  }

  onClosed(replica: GroupReplica): void {
    this.#replicas.delete(replica.log.groupId);
  }

  // For frames.

  onRead(frame: AppendFrame): void {
    if (frame.isEmpty || this.#links === null) {
      return this.#giveUp(frame, frame.error === ReadError.OFFSET_OUT_OF_RANGE);
    }
    this.#offer(frame);
  }

  onOver(frame: AppendFrame): void {
    this.#frames.over(frame);
  }

  /** Raft hears of it when the turn ends: it would ask again at once. */
  #giveUp(frame: AppendFrame, isGone: boolean): void {
    const { replica, node, term, fromIndex } = frame;
    frame.end();
    this.#unsent.push({ replica, node, term, fromIndex, isGone });
  }

  #offer(frame: AppendFrame): void {
    const { replica, node, term } = frame;
    const { raft, log } = replica;
    const shard = this.#shardOf(log.groupId, node);
    const staging = this.#stage();
    const isStale = raft.term !== term || raft.leaderId !== this.nodeId;
    const isWanted = !isStale && replica.wants(node, frame.fromIndex);
    if (!isWanted || shard < 0 || staging < 0) return this.#giveUp(frame, false);
    // The log start moved past it, or into its first batch, while it was read, or waited.
    if (frame.firstIndex < replica.firstIndex) return this.#giveUp(frame, true);
    const { view, bytes } = this.#options.memory;
    frame.encodeHead(view, bytes, staging);
    const { headBytes, ranges, fromIndex, lastIndex } = frame;
    const total = frame.bytes;
    const type = ReplicationFrame.APPEND;
    const outcome = this.#links!.sendRanges(node, shard, type, staging, headBytes, ranges, frame);
    if (outcome === SendOutcome.QUEUED) {
      if (replica.isSpare(node)) this.#pace.sent(total);
      replica.sent(node, term, fromIndex, lastIndex, total);
    } else if (outcome === SendOutcome.FULL) {
      const frames = this.#full.get(node);
      if (frames === undefined) this.#full.set(node, [frame]);
      else frames.push(frame);
    } else {
      if (outcome === SendOutcome.TOO_LARGE) {
        noteTooLarge(this.#options.events, frame, this.#links!.frameMaxOf(node));
      }
      this.#giveUp(frame, false);
    }
  }

  onPeerFull({ log }: GroupReplica, node: number): void {
    notePeerFull(this.#options.events, log, node);
  }

  // Life and death of other nodes, and of the disk.

  #sendLife(node: number, shard: number, isAnswer: boolean): void {
    const staging = this.#stage();
    if (staging < 0) return;
    const { view } = this.memory;
    view.setUint32(staging, this.#options.shard, true);
    view.setUint32(staging + 4, isAnswer ? 1 : 0, true);
    this.#links?.send(node, shard, Lane.CONTROL, ReplicationFrame.LIFE, staging, LIFE_SIZE);
  }

  #onLife(node: number, address: number, length: number): string | null {
    if (length !== LIFE_SIZE) return "a sign of life that has no meaning";
    const { view } = this.memory;
    const isAnswer = view.getUint32(address + 4, true) === 1;
    this.#liveness.heard(node, view.getUint32(address, true), isAnswer);
    return null;
  }

  /** The groups that are on a shard of a node. */
  #groupsOn(node: number, shard: number): GroupReplica[] {
    const shardCount = this.#links?.shardCountOf(node) ?? 0;
    return [...this.#byNode.get(node) ?? []].filter(({ groupId }) =>
      groupId % shardCount === shard
    );
  }

  /** Where there is no connection, its end was the news. */
  #onSilent(node: number, shard: number): void {
    if (this.#links?.isUp(node) !== true) return;
    this.#options.onSilence?.(node, shard, true);
    this.#gone.lose(node, this.#groupsOn(node, shard));
  }

  /** Where there is no connection to the node, its groups hear when there is. */
  #onHeard(node: number, shard: number): void {
    if (this.#links?.isUp(node) !== true) return;
    this.#options.onSilence?.(node, shard, false);
    for (const replica of this.#groupsOn(node, shard)) replica.peerUp(node);
  }

  #onStalled(isStalled: boolean): void {
    const { events, flushWaitMs } = this.#options;
    if (isStalled) {
      const fields = { waitedMs: Math.round(flushWaitMs()) };
      const what =
        "The disk does not get on with a write: partitions with other replicas are led there";
      events.note(what, fields, LogLevel.WARN);
    } else events.note("The disk gets on with its writes again", {});
    for (const replica of this.#replicas.values()) replica.stalled(isStalled);
  }

  // Receiving.

  #onRows(node: number, address: number, length: number): string | null {
    if (length === 0 || length % ROW_SIZE !== 0) return "rows of a wrong size";
    const { view } = this.#options.memory;
    const message = this.#message;
    for (let at = address; at < address + length; at += ROW_SIZE) {
      if (!decodeRow(view, at, node, message)) return "a message that has no meaning";
      const { kind } = message;
      if (kind === MessageKind.APPEND || kind === MessageKind.SNAPSHOT) return "entries in a row";
      // A group that this node does not have (yet, or any more) says nothing.
      this.#replicas.get(groupOfRow(view, at))?.step(message);
    }
    return null;
  }

  #onAppend(node: number, address: number, length: number): string | null {
    const { view } = this.#options.memory;
    const message = this.#message;
    if (length < APPEND_HEAD_SIZE || !decodeRow(view, address, node, message)) {
      return "an append that has no meaning";
    }
    if (message.kind !== MessageKind.APPEND) return "an append that is another message";
    const replica = this.#replicas.get(groupOfRow(view, address));
    if (replica === undefined) return null;
    // What the logs of the shard have no room for would be sent again, with all that follows it.
    if (!this.#options.canAppend(length)) {
      this.#isHeld = true;
      return null;
    }
    const runs = this.#runs;
    const problem = this.#received.wrap(address, length, message.index, runs);
    if (problem !== null) return problem;
    const prevIndex = message.index;
    const first = replica.stepAppend(message, runs);
    if (first === NOTHING) return null;
    const nowMs = this.#options.wallMs();
    const before = replica.log.lastIndex;
    const wrong = this.#received.appendTo(replica, prevIndex + 1, first, nowMs);
    const { refusal } = this.#received;
    // Handed over again, the rest is taken. Other groups do not wait for what keeps one log busy.
    this.#isHeld = refusal === LOG_BUSY && wrong === null && !replica.log.busy;
    replica.received(this.#isHeld ? 0 : refusal, replica.log.lastIndex > before, this.#isHeld);
    return wrong;
  }

  #takeHeld(): boolean {
    const isHeld = this.#isHeld;
    this.#isHeld = false;
    return isHeld;
  }

  #onSnapshot(node: number, address: number, length: number): string | null {
    const { view, bytes } = this.#options.memory;
    const message = this.#message;
    if (length < ROW_SIZE || !decodeRow(view, address, node, message)) {
      return "a snapshot that has no meaning";
    }
    if (message.kind !== MessageKind.SNAPSHOT) return "a snapshot that is another message";
    const point = decodeSnapshot(view, bytes, address, length, message);
    if (point === null) return "a snapshot that has no meaning";
    this.#replicas.get(groupOfRow(view, address))?.stepSnapshot(message, () => point);
    return null;
  }

  // Sending.

  /** The group's shard on a node; -1: not known yet. */
  #shardOf(groupId: number, node: number): number {
    const links = this.#links;
    if (links === null) return -1;
    const shardCount = links.shardCountOf(node);
    if (shardCount > 0) return groupId % shardCount;
    links.contact(node);
    return -1;
  }

  #queueOf(node: number, shard: number): RowQueue {
    let queues = this.#rows.get(node);
    if (queues === undefined) {
      queues = [];
      this.#rows.set(node, queues);
    }
    while (queues.length <= shard) queues.push(new RowQueue(node, queues.length));
    return queues[shard]!;
  }

  #sendRows(queue: RowQueue): void {
    const { length, node, shard } = queue;
    if (length === 0) return;
    const staging = this.#stage();
    const { bytes } = this.#options.memory;
    if (staging < 0 || this.#links === null) {
      queue.count = 0;
      return;
    }
    queue.take(bytes, staging);
    // A link that is full or down loses them, as Raft allows.
    this.#links.send(node, shard, Lane.CONTROL, ReplicationFrame.ROWS, staging, length);
  }

  /** Address of the block in which frames are put together, taken when it is first needed; -1: no memory. */
  #stage(): number {
    if (this.#staging < 0) this.#staging = this.#options.allocate(STAGING_SIZE);
    return this.#staging;
  }
}
