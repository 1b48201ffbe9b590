/**
 * A replica of one group on this node: Raft's decisions, carried out on the log.
 *
 * ```text
 *     log ── durable, writable ──► GroupReplica ──► RaftGroup (src/raft, pure)
 *     links ── messages, news ──►       │   ◄── effects: hard state, cut, send, replicate
 *                                       ▼
 *                        ReplicaListener (the partition): leading, committed, following
 * ```
 *
 * A group of one replica goes the same way; nothing is sent then.
 *
 * The listener is notified at the end of an input, when the group is in order; where that input is a call of the
 * listener itself, at the end of the turn ({@linkcode ReplicaHost.settleLater}).
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { runTask } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import type { AppendRuns } from "../raft/append_runs.ts";
import { type Configuration, memberOf } from "../raft/configuration.ts";
import { MessageKind, type RaftMessage } from "../raft/message.ts";
import type { WantedMembers } from "../raft/next_members.ts";
import { NOTHING, RaftGroup } from "../raft/raft_group.ts";
import type { RaftEffects, RaftMeta } from "../raft/raft_log.ts";
import {
  type Log,
  LOG_BUSY,
  type LogListener,
  MetaKind,
  type SnapshotPoint,
} from "../storage/log.ts";
import { AppendPatience } from "./append_patience.ts";
import { stepTowards } from "./approach.ts";
import { Followers } from "./followers.ts";
import { LogView } from "./log_view.ts";
import {
  NOT_LEADER,
  type Replica,
  type ReplicaGroup,
  type ReplicaListener,
  type ReplicaStatus,
} from "./replica.ts";
import type { ReplicaHost } from "./replica_host.ts";
import { statusOf } from "./replica_status.ts";
import { Succession } from "./succession.ts";
import { Takeover } from "./takeover.ts";
import { Trims } from "./trims.ts";
import { UncutLog } from "./uncut_log.ts";

const NOBODY = -1;
const ANY_INCARNATION = 0;

export class GroupReplica implements Replica, LogListener, RaftEffects {
  readonly log: Log;
  listener: ReplicaListener | null = null;
  readonly raft: RaftGroup;
  readonly #takeover: Takeover;
  readonly #succession: Succession;
  readonly #host: ReplicaHost;
  readonly #view: LogView;
  readonly #followers: Followers;
  readonly #timer = new Timer(() => this.#tick());
  readonly #patience = new AppendPatience();
  readonly #trims: Trims;
  readonly #again = new Timer(() => this.onWritable());
  #others: readonly number[] = [];
  #batchBytesMax: number;
  #leading = false;
  #commitIndex: number;
  #commitOffset: number;
  #started = false;
  /** The log was damaged when this began, and nobody else has it. */
  #isFrozen = false;
  #closed = false;

  // What the listener is to be notified of.
  #grew = false;
  #mustLead = false;
  #mustFollow = false;
  #mustCommit = false;
  #mustOpen = false;
  /** The last entry that it committed as the leader. */
  #ledIndex = 0;
  #cutIndex = -1;
  /** The result of a cut or reset that has ended. */
  #cutResult: number | null = null;
  readonly #uncut = new UncutLog();
  #settling = false;

  constructor(host: ReplicaHost, log: Log, group: ReplicaGroup) {
    this.#host = host;
    this.log = log;
    const { voters, termFloor, isActedUpon = false } = group;
    this.#batchBytesMax = log.appendBytesMax;
    // A member without an incarnation is whoever has that id.
    const isAny = voters.length === 0 ||
      memberOf(voters, host.nodeId)?.incarnation === ANY_INCARNATION;
    const incarnation = group.incarnation ?? (isAny ? ANY_INCARNATION : host.incarnation);
    const self = { node: host.nodeId, incarnation };
    this.#view = new LogView(log);
    this.#trims = new Trims(log);
    this.raft = new RaftGroup({
      self,
      log: this.#view,
      effects: this,
      random: host.random,
      timing: host.timing,
      configuration: { voters: voters.length === 0 ? [self] : voters, outgoing: [], learners: [] },
      termFloor,
      commitIndex: log.startIndex,
      isActedUpon,
    });
    this.#takeover = new Takeover(this.raft);
    this.#succession = new Succession(this.raft, host);
    this.#followers = new Followers(this.raft, log, host);
    this.#commitIndex = log.startIndex;
    this.#commitOffset = log.startOffset;
  }

  get term(): number {
    // Of a damaged log nothing is known but its last term.
    return this.#isFrozen ? this.log.lastTerm : this.raft.term;
  }

  get leaderId(): number {
    const { leaderId } = this.raft;
    return leaderId === this.#host.nodeId && !this.#leading ? NOBODY : leaderId;
  }

  get leading(): boolean {
    return this.#leading;
  }

  get handingOver(): boolean {
    return this.#leading && !this.raft.accepts;
  }

  get opening(): boolean {
    return !this.#leading && !this.#mustFollow && this.#others.length > 0 && this.raft.isOpen;
  }

  get heirId(): number {
    return this.#leading ? NOBODY : this.raft.heirId;
  }

  get heirEpoch(): number {
    return this.raft.heirTerm;
  }

  get undecided(): boolean {
    return !this.#leading && this.#others.length > 0 && this.#succession.isUndecided;
  }

  get transferring(): boolean {
    return this.#leading && this.raft.isTransferring;
  }

  get readOnly(): boolean {
    return this.log.suspect && this.#others.length === 0;
  }

  get overruled(): boolean {
    return this.raft.isOverruled;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get commitOffset(): number {
    return this.#commitOffset;
  }

  get trimmedIndex(): number {
    return this.#trims.trimmedIndex;
  }

  get inSyncCount(): number {
    return this.#followers.inSyncCount;
  }

  inSyncOffset(node: number): number {
    return this.#leading ? this.#followers.inSyncOffset(node) : -1;
  }

  safeOffset(copies: number): number {
    if (copies <= (this.voterCount >>> 1) + 1) return this.#commitOffset;
    return Math.min(this.#commitOffset, this.#followers.durableOffset(copies));
  }

  successor(may: (node: number) => boolean): number {
    return this.#leading ? this.#followers.furthest(may) : NOBODY;
  }

  get voterCount(): number {
    return this.raft.configuration.voters.length;
  }

  get isAlone(): boolean {
    return this.#others.length === 0;
  }

  get batchBytesMax(): number {
    return this.#batchBytesMax;
  }

  get groupId(): number {
    return this.log.groupId;
  }

  transfer(node: number): number {
    if (!this.#leading) return NOT_LEADER;
    const result = this.raft.transfer(node, this.#host.nowMs());
    if (result === 0) this.#succession.begin();
    this.#afterInput(true);
    return result;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** The first entry that can be sent: it begins a batch, in which the log may start, or is a meta entry. */
  get firstIndex(): number {
    return this.#view.startIndex + 1;
  }

  /** Whether an append that was asked for is still wanted: its leader has not begun again with the peer since. */
  wants(node: number, fromIndex: number): boolean {
    return this.#followers.waitsFor(node, fromIndex);
  }

  /** See {@linkcode LogView.noteBoundary}. */
  noteBoundary(startIndex: number, index: number): void {
    this.#view.noteBoundary(startIndex, index);
  }

  /** For how long it has to cut its log where that cannot be read (ms); 0: it has not. */
  get uncutForMs(): number {
    return this.#uncut.forMs(this.#host.nowMs());
  }

  /** The other members of the group. */
  get others(): readonly number[] {
    return this.#others;
  }

  start(): void {
    assert(this.log.listener === null, "a log has one replica");
    this.#started = true;
    this.log.listener = this;
    this.#noteMembers(this.raft.configuration);
    if (this.readOnly) {
      this.#isFrozen = true;
      // Everything that recovery kept was durable before; with one voter that is committed.
      this.#commitOffset = this.log.durableEndOffset;
      return;
    }
    this.raft.start(this.#host.nowMs());
    if (this.#host.isStalled && this.#others.length > 0) {
      this.raft.stalled(true, this.#host.nowMs());
    }
    this.#afterInput(true);
  }

  appended(): void {
    if (this.#others.length === 0 || this.#grew) return;
    this.#grew = true;
    this.#host.settleLater(this);
  }

  proposeTrim(offset: number): number {
    if (!this.#leading && !this.opening) return NOT_LEADER;
    if (!this.raft.accepts) return LOG_BUSY;
    assert(offset <= this.#commitOffset, "a trim goes at most to the commit");
    const index = this.#trims.propose(offset, this.raft.term);
    if (index < 0) return index;
    this.appended();
    return index;
  }

  force(): void {
    if (!this.#isFrozen) this.#takeover.want(this.#host.nodeId, this.#host.nowMs());
    this.#afterInput(false);
  }

  status(): ReplicaStatus {
    return statusOf(this.raft, this.log, this.#host, this.#isFrozen);
  }

  close(): void {
    this.#closed = true;
    this.#leading = false;
    this.#host.cancel(this.#timer);
    this.#host.cancel(this.#again);
    this.#host.onMembers(this, this.#others, []);
    this.#host.onClosed(this);
    this.listener = null;
    this.log.listener = null;
  }

  // The log's notices.

  onDurable(): void {
    if (this.#isFrozen) return;
    this.listener!.onDurable();
    if (this.#closed) return;
    this.raft.durable(this.#host.nowMs());
    this.#afterInput(false);
  }

  onWritable(): void {
    if (this.#closed) return;
    const { untilMs } = this.#patience;
    if (untilMs > this.#host.nowMs()) this.#host.schedule(this.#again, untilMs);
    else if (!this.#isFrozen) {
      this.raft.writable(this.#host.nowMs());
      const { isDue } = this.#trims;
      if (isDue && this.#trims.apply(this.#commitIndex, this.#commitOffset)) {
        this.#mustCommit = true;
      }
      this.#afterInput(false);
    }
    this.listener?.onWritable();
  }

  // Inputs of the shard.

  /** A message that carries no entries. */
  step(message: RaftMessage): void {
    if (!this.#takesPart) return;
    this.#succession.note(message);
    this.raft.step(message, this.#host.nowMs());
    const { kind } = message;
    if (this.#patience.isFull) this.#trims.obey(message, this.raft, this.#commitIndex);
    this.#afterInput(false);
    const isReply = kind === MessageKind.APPEND_REPLY || kind === MessageKind.HEARTBEAT_REPLY;
    if (!isReply || !this.#leading) return;
    if (message.full && kind === MessageKind.APPEND_REPLY) {
      this.#host.onPeerFull(this, message.from);
    }
    this.listener?.onReplicated();
  }

  /** The first entry of an APPEND that is to be appended, with `received` to follow, or NOTHING. */
  stepAppend(message: RaftMessage, runs: AppendRuns): number {
    if (!this.#takesPart) return NOTHING;
    const wasOverruled = this.overruled;
    const first = this.raft.stepAppend(message, runs, this.#host.nowMs());
    if (this.overruled && !wasOverruled) this.#host.onOverruled(this);
    this.#afterInput(false);
    return first;
  }

  /** Appends a meta entry of the leader's. */
  appendReceived(kind: MetaKind, term: number, payload: Uint8Array<ArrayBuffer>): number {
    const index = this.log.appendMeta(kind, term, payload);
    if (index >= 0 && kind === MetaKind.PREFIX) this.#trims.noteReceived();
    return index;
  }

  /** See {@linkcode AppendPatience.note}; `comesAgain`: what was not taken is not lost. */
  received(refusal: number, hasTaken: boolean, comesAgain: boolean): void {
    const nowMs = this.#host.nowMs();
    this.#patience.note(refusal, hasTaken, nowMs);
    this.raft.received(nowMs, this.#patience.isFull, comesAgain);
    this.#afterInput(false);
  }

  /** A SNAPSHOT, whose contents are asked for if it is needed. */
  stepSnapshot(message: RaftMessage, contents: () => SnapshotPoint): void {
    if (!this.#takesPart) return;
    const wasOverruled = this.overruled;
    const isNeeded = this.raft.stepSnapshot(message, this.#host.nowMs());
    if (this.overruled && !wasOverruled) this.#host.onOverruled(this);
    this.#afterInput(false);
    if (isNeeded) runTask(this.log.reset(contents()), (result) => this.#onCut(result));
  }

  peerUp(node: number): void {
    if (!this.#takesPart) return;
    this.#limitBatches();
    this.raft.peerUp(node, this.#host.nowMs());
    this.#afterInput(false);
  }

  /** @param delayMs before a campaign, if the node led */
  peerDown(node: number, delayMs: number): void {
    if (!this.#takesPart) return;
    this.raft.peerDown(node, this.#host.nowMs(), delayMs);
    this.#afterInput(false);
  }

  /** The disk is overdue, or works again. A group of one goes on: nobody else could. */
  stalled(isStalled: boolean): void {
    if (!this.#takesPart || (isStalled && this.#others.length === 0)) return;
    this.raft.stalled(isStalled, this.#host.nowMs());
    this.#afterInput(false);
  }

  sent(node: number, term: number, fromIndex: number, last: number, bytes: number): void {
    if (!this.#closed) this.raft.sent(node, term, fromIndex, last, bytes);
  }

  unsent(node: number, term: number, fromIndex: number, isGone: boolean): void {
    if (!this.#closed) this.raft.unsent(node, term, fromIndex, isGone);
  }

  snapshotSent(node: number, term: number, index: number): void {
    if (!this.#closed) this.raft.snapshotSent(node, term, index, this.#host.nowMs());
  }

  /** The turn ends: does what could not be done within a call of the listener. */
  settle(): void {
    if (this.#closed) return;
    if (this.#grew) {
      this.#grew = false;
      if (this.raft.isOpen) this.raft.appended(this.#host.nowMs());
    }
    if (this.#cutResult !== null) {
      const result = this.#cutResult;
      this.#cutResult = null;
      const nowMs = this.#host.nowMs();
      this.#uncut.end(result < 0, nowMs);
      if (result < 0) this.raft.failed(nowMs);
      else this.raft.truncated(nowMs);
    }
    this.#afterInput(false);
  }

  /** A step towards the members that the group should have (`shard/member_steward.ts`). */
  approach(wanted: WantedMembers): boolean {
    if (!this.#takesPart || !this.raft.isLeading) return false;
    const isThere = stepTowards(this.raft, wanted, this.#host.nodeId, this.#host.nowMs());
    this.#afterInput(false);
    return isThere;
  }

  /** Of this leader: a member of which nobody waits for what it lacks. */
  isSpare(node: number): boolean {
    return this.raft.isSpare(node, this.#host.nowMs());
  }

  // Effects.

  setHardState(term: number, vote: number): number {
    return this.log.setHardState(term, vote);
  }

  appendMeta(kind: RaftMeta, term: number, payload: Uint8Array<ArrayBuffer>): number {
    this.#mustOpen = true;
    return this.log.appendMeta(kind, term, payload);
  }

  truncate(index: number): void {
    this.#cutIndex = index;
    this.#uncut.begin(this.#host.nowMs());
    runTask(this.log.truncate(index), (result) => this.#onCut(result));
  }

  send(node: number, message: RaftMessage): void {
    if (message.kind === MessageKind.HEARTBEAT) message.prevIndex = this.#trims.wantedIndex;
    this.#host.sendRow(this, node, message);
  }

  replicate(node: number, fromIndex: number, bytesMax: number): void {
    this.#host.replicate(this, node, fromIndex, bytesMax);
  }

  sendSnapshot(node: number): void {
    this.#host.sendSnapshot(this, node);
  }

  onCommit(): void {
    this.#mustCommit = true;
    if (this.#leading && !this.#mustFollow) this.#ledIndex = this.raft.commitIndex;
  }

  onLeading(): void {
    this.#mustLead = true;
  }

  onFollowing(): void {
    this.#mustFollow = true;
    this.#mustLead = false;
  }

  /** Consumers are served by the commit of an elected leader. */
  onRead(): void {}

  onConfiguration(configuration: Configuration): void {
    if (this.#started) this.#noteMembers(configuration);
  }

  onDeadline(atMs: number): void {
    this.#host.schedule(this.#timer, atMs);
  }

  // Private.

  get #takesPart(): boolean {
    return this.#started && !this.#closed && !this.#isFrozen;
  }

  #tick(): void {
    if (!this.#takesPart) return;
    this.raft.tick(this.#host.nowMs());
    this.#takeover.tick(this.#host.nodeId, this.#host.nowMs());
    this.#afterInput(false);
    const { deadlineMs } = this.raft;
    if (deadlineMs < Infinity && !this.#timer.scheduled) {
      this.#host.schedule(this.#timer, deadlineMs);
    }
  }

  #noteMembers({ voters, outgoing, learners }: Configuration): void {
    const nodes = new Set([...voters, ...outgoing, ...learners].map(({ node }) => node));
    nodes.delete(this.#host.nodeId);
    const before = this.#others;
    this.#others = [...nodes];
    this.#host.onMembers(this, before, this.#others);
    this.#limitBatches();
  }

  #limitBatches(): void {
    this.#batchBytesMax = this.log.appendBytesMax;
    for (const node of this.#others) {
      this.#batchBytesMax = Math.min(this.#batchBytesMax, this.#host.batchBytesMaxOf(node));
    }
  }

  /** May be called from inside the log. */
  #onCut(result: number): void {
    this.#cutResult = result;
    this.#host.settleLater(this);
  }

  /** @param inListener this is a call of the listener: it is notified when the turn ends */
  #afterInput(inListener: boolean): void {
    const hasChanged = this.#mustFollow || this.#mustLead || this.#mustOpen;
    if (!hasChanged && !this.#mustCommit && this.#cutIndex < 0) return;
    if (inListener || this.#settling) this.#host.settleLater(this);
    else this.#notify();
  }

  #notify(): void {
    this.#settling = true;
    const listener = this.listener!;
    if (this.#cutIndex >= 0) {
      const index = this.#cutIndex;
      this.#cutIndex = -1;
      listener.onCut(index);
    }
    if (this.#mustFollow) {
      this.#mustFollow = false;
      // A leader that hands over has committed first what it took, and answers it.
      if (this.#ledIndex > this.#commitIndex) {
        this.#noteCommit(this.#ledIndex);
        listener.onCommitted();
      }
      this.#leading = false;
      listener.onFollowing(this.raft.term, this.raft.leaderId);
    }
    const commits = this.#mustCommit;
    this.#mustCommit = false;
    if (commits && !this.#closed) this.#noteCommit(this.raft.commitIndex);
    if (this.#mustLead && !this.#closed && !this.#awaitsStart()) {
      this.#mustLead = false;
      // A transfer failed: it goes on leading, and what was held back is taken.
      if (this.#leading) listener.onWritable();
      else {
        this.#leading = true;
        listener.onLeading(this.raft.term);
      }
    }
    if (commits && !this.#closed) listener.onCommitted();
    if (this.#mustOpen && this.opening) listener.onWritable();
    this.#mustOpen = false;
    this.#settling = false;
  }

  /** It is about to lead, and where its log starts is not committed. Where the log takes no entry now, it leads all the same. */
  #awaitsStart(): boolean {
    const { lastIndex } = this.log;
    const index = this.#leading || this.isAlone ? 0 : this.#trims.affirm(this.raft.term);
    if (this.log.lastIndex > lastIndex) this.appended();
    return index > this.#commitIndex;
  }

  #noteCommit(index: number): void {
    assert(index >= this.#commitIndex, "the commit index never goes back");
    this.#commitIndex = index;
    this.#commitOffset = this.log.offsetAt(index + 1);
    this.log.setCommitted(index);
    if (this.#trims.isDue) this.#trims.apply(this.#commitIndex, this.#commitOffset);
  }
}
