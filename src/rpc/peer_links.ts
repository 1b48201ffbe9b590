/**
 * The links of one shard to the other nodes.
 *
 * Links are one-directional. What this shard sends goes over connections that it makes, each to one shard of one node for
 * one {@linkcode Lane}; what it receives comes over connections that the others made to it. No frame is answered by this
 * layer: a reply is a frame of its own, on the other direction's link.
 *
 * ```text
 *   setAddress(node, host, port)       who is where; forget(node) ends all links to it
 *   send(node, shard, lane, ...)       queues a small frame: its payload is copied
 *   sendRanges(node, shard, ...)       queues a frame with records that are sent in place, on the data lane
 *   flush()                            end of a turn: what was queued goes to the sockets
 *   adopt(socket, peer)                a connection from another node, whose preamble names this shard
 *   resume()                           frames that were HELD are handed over again
 *   contact(node)                      makes a link to the node's shard 0, to learn who it is
 *   stop()                             ends everything
 *
 *   listener.onFrame(node, fromShard, type, address, length) → TAKEN | HELD | WRONG
 *           .onUp(node, peer)          a link to the node was made (for each link)
 *           .onDown(node, refused)     a link broke (false, each time), or an attempt failed (true, once until the next onUp)
 *           .onRefused(node, status, peer)   the node answered and does not want us; of NO_SUCH_SHARD: it runs with fewer
 *                                      shards now, and the link, with what was sent over it, is over for good
 *           .onRoom(node, shard)       a send that was FULL may be tried again
 * ```
 *
 * What a caller may rely on:
 *
 * - Frames of one link arrive in the order in which they were sent, none twice, and none after one that is missing. Frames
 *   of different links (lanes, shards, connections made one after another) may pass each other.
 * - QUEUED is no promise: what has not arrived when a connection breaks is lost. DOWN and FULL are said at once.
 * - A {@linkcode FrameOwner} is told exactly once, after the kernel has let go of its ranges.
 * - The listener is never called from inside `send`, `sendRanges`, `contact` or `setAddress`.
 * - A frame's bytes (`address`, `length`) are valid during onFrame only, unless it returns HELD. A HELD frame keeps its
 *   link from being read, and no other link; one that is held for {@linkcode RPC_STALL_MS} may make its sender give up.
 * - After a broken connection the first attempt follows at once: a node that was killed is refused (onDown with true) within
 *   a round trip. Later attempts back off, up to {@linkcode RPC_RETRY_MS_MAX}, and are cut short when the node connects to us.
 * - Nothing waits for a peer: queues are bounded per link, a send or a frame that makes no progress ends its connection.
 *
 * A node id below {@linkcode ANY_NODE} is a placeholder for a seed of which only the address is known: onUp or onRefused say
 * who answered.
 *
 * Lives on one shard. Pure: sockets, time, chance and name resolution are given.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { EventLog } from "../base/event_log.ts";
import {
  RPC_CHECK_MS,
  RPC_CONTROL_RECEIVE_SIZE,
  RPC_DATA_RECEIVE_SIZE,
  RPC_LINK_BLOCK_SIZE,
  RPC_LINKS_SHARE,
  RPC_SPARE_BLOCKS_MAX,
} from "../base/limits.ts";
import { LogLevel } from "../base/logger.ts";
import type { Random } from "../base/prng.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { RangeList } from "../bytes/range_list.ts";
import type { Sockets } from "../io/sockets.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { frameMaxOf } from "./frame.ts";
import type { FrameOwner } from "./frame_queue.ts";
import { IncomingLink, type IncomingPeer, receiveBlockSize } from "./incoming_link.ts";
import {
  FrameVerdict,
  type IncomingHost,
  type LinkContext,
  type LinkMemory,
  type OutgoingHost,
  type PeerAddress,
} from "./link_host.ts";
import { ANY_NODE, OutgoingLink, SendOutcome } from "./outgoing_link.ts";
import { type Answer, GreetingStatus, Lane, type NodeIdentity } from "./preamble.ts";

export { ANY_NODE, FrameVerdict, Lane, SendOutcome };
export type { FrameOwner, IncomingPeer, NodeIdentity };

/** Who uses the links of a shard. */
export interface PeerLinksListener {
  /** A frame has come, checked. It is input: nothing in it may be trusted. */
  onFrame(
    node: number,
    fromShard: number,
    type: number,
    address: number,
    length: number,
  ): FrameVerdict;
  onUp(node: number, peer: NodeIdentity): void;
  /**
   * @param refused no connection can be made; else one broke, and may be made again within a moment
   * @param why for people
   */
  onDown(node: number, refused: boolean, why: string): void;
  onRefused(node: number, status: GreetingStatus, peer: NodeIdentity): void;
  onRoom(node: number, shard: number): void;
}

export interface PeerLinksOptions extends LinkContext {
  readonly events: EventLog;
  /** Connections from other nodes. */
  readonly incomingMax: number;
}

const LANES = 2;

/** What a shard occupies for one shard of another node: links of both lanes, in both directions (bytes). */
export const LINKS_BYTES_PER_SHARD = LANES * RPC_LINK_BLOCK_SIZE + RPC_CONTROL_RECEIVE_SIZE +
  RPC_DATA_RECEIVE_SIZE;

/** For people. */
export const LINKS_REMEDY = `raise --memory: each shard needs ${
  LINKS_BYTES_PER_SHARD / 1024 / RPC_LINKS_SHARE
} KiB for every shard of the other nodes`;

/** What is known of another node. */
class Peer {
  address: PeerAddress | null = null;
  /** As it last answered this shard. */
  identity: NodeIdentity | null = null;
  /** As it last said, in an answer or in a preamble; 0: not known. */
  shardCount = 0;
  /** An attempt has failed since it was last up. */
  refused = false;
  /** Largest payload on the data lane, as it last said; Infinity: not known. */
  frameMax = Infinity;
  /** By shard and lane. */
  readonly outgoing: (OutgoingLink | undefined)[] = [];
  readonly incoming: (IncomingLink | undefined)[] = [];
}

export class PeerLinks implements OutgoingHost, IncomingHost {
  readonly memory: Memory;
  readonly blocks: LinkMemory;
  readonly sockets: Sockets;
  readonly timers: Timers;
  readonly random: Random;
  readonly crc32c: Crc32c;
  readonly shard: number;
  readonly nowMs: () => number;
  readonly identity: () => NodeIdentity;
  readonly resolve: LinkContext["resolve"];
  sentBytes = 0;
  receivedBytes = 0;
  readonly #events: EventLog;
  readonly #incomingMax: number;
  readonly #listener: PeerLinksListener;
  readonly #peers = new Map<number, Peer>();
  /** Every incoming link that is not closed, those that were replaced included. */
  readonly #incoming = new Set<IncomingLink>();
  /** Outgoing links that end. */
  #ending: OutgoingLink[] = [];
  #dirty: OutgoingLink[] = [];
  #flushing: OutgoingLink[] = [];
  #held: IncomingLink[] = [];
  #resuming: IncomingLink[] = [];
  /** Blocks of control links that have ended: votes and heartbeats are heard, however full the memory is. */
  readonly #spare: number[] = [];
  readonly #check: Timer;
  #stopped = false;

  constructor(options: PeerLinksOptions, listener: PeerLinksListener) {
    this.memory = options.memory;
    this.blocks = options.blocks;
    this.sockets = options.sockets;
    this.timers = options.timers;
    this.random = options.random;
    this.crc32c = options.crc32c;
    this.shard = options.shard;
    this.nowMs = options.nowMs;
    this.identity = options.identity;
    this.resolve = options.resolve;
    this.#events = options.events;
    this.#incomingMax = options.incomingMax;
    this.#listener = listener;
    this.#check = new Timer(() => this.#checkDeadlines());
  }

  /** Says where a node is. A link to an earlier address ends soon, and is made again. */
  setAddress(node: number, host: string, port: number): void {
    const peer = this.#peer(node);
    const before = peer.address;
    if (before !== null && before.host === host && before.port === port) return;
    peer.address = { host, port };
    if (before === null) return;
    for (const link of peer.outgoing) {
      if (link !== undefined) this.timers.schedule(new Timer(() => link.readdress()), this.nowMs());
    }
  }

  /** Ends all links to a node, and forgets it. What it sends to this shard is still received. */
  forget(node: number): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    for (const link of peer.outgoing) this.#stopLink(link);
    peer.outgoing.length = 0;
    peer.address = null;
    if (!peer.incoming.some((link) => link !== undefined)) this.#peers.delete(node);
  }

  /** Shards of a node, as it last said; 0: not known yet (see {@linkcode contact}). */
  shardCountOf(node: number): number {
    return this.#peers.get(node)?.shardCount ?? 0;
  }

  /** The largest payload on the data lane that this node makes and a node takes, as it last said (bytes). */
  frameMaxOf(node: number): number {
    const own = frameMaxOf(Lane.DATA, this.blocks.peerFrameMax);
    return Math.min(own, this.#peers.get(node)?.frameMax ?? own);
  }

  /** Who a node last said it is; null: it has not been reached yet. */
  identityOf(node: number): NodeIdentity | null {
    return this.#peers.get(node)?.identity ?? null;
  }

  /** Whether there is any link to the node. */
  isUp(node: number): boolean {
    const peer = this.#peers.get(node);
    if (peer === undefined) return false;
    for (const link of peer.outgoing) if (link !== undefined && link.isUp) return true;
    return false;
  }

  /** Links that are there, in both directions. */
  get openCount(): number {
    let count = this.#incoming.size;
    for (const { outgoing } of this.#peers.values()) {
      for (const link of outgoing) if (link?.isUp === true) count++;
    }
    return count;
  }

  /** Makes a link to the node's shard 0, if there is none. */
  contact(node: number): void {
    if (!this.#stopped) this.#link(node, 0, Lane.CONTROL)?.open();
  }

  /**
   * Queues a frame whose payload is the `length` bytes at `address`; they are copied.
   *
   * @param shard of the other node
   */
  send(
    node: number,
    shard: number,
    lane: Lane,
    type: number,
    address: number,
    length: number,
  ): SendOutcome {
    if (this.#stopped) return SendOutcome.DOWN;
    const link = this.#link(node, shard, lane);
    if (link === null) return SendOutcome.DOWN;
    return link.send(type, address, length, null, null);
  }

  /**
   * Queues a frame on the data lane whose payload is the `length` bytes at `address`, which are copied, followed by
   * `ranges`, which are sent as they lie.
   *
   * @param ranges copied; what they name must not change until `owner` is told
   * @param owner told once if the answer is QUEUED, and never otherwise
   */
  sendRanges(
    node: number,
    shard: number,
    type: number,
    address: number,
    length: number,
    ranges: RangeList,
    owner: FrameOwner,
  ): SendOutcome {
    if (this.#stopped) return SendOutcome.DOWN;
    const link = this.#link(node, shard, Lane.DATA);
    if (link === null) return SendOutcome.DOWN;
    return link.send(type, address, length, ranges, owner);
  }

  /** Hands what was queued this turn to the sockets. */
  flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = this.#flushing;
    this.#flushing = dirty;
    for (let i = 0; i < dirty.length; i++) {
      dirty[i]!.dirty = false;
      dirty[i]!.flush();
    }
    dirty.length = 0;
  }

  /** Whether a further connection may come to this shard; where not, the answer is BUSY. */
  get hasRoom(): boolean {
    return !this.#stopped && this.#incoming.size < this.#incomingMax;
  }

  /**
   * Takes over a connection whose preamble has come, and answers it.
   *
   * @returns false: there is no room, or no memory, and the connection is the caller's
   */
  adopt(socket: number, from: IncomingPeer): boolean {
    if (!this.hasRoom) return false;
    const block = this.#takeBlock(from.lane);
    if (block < 0) {
      const { node, fromShard } = from;
      this.#noteStarved("Cannot take a node's connection: no memory", { node, fromShard });
      return false;
    }
    const peer = this.#peer(from.node);
    peer.shardCount = from.shardCount;
    // Connections of an earlier process are left over; one for the same shard and lane replaces the earlier.
    for (const other of peer.incoming) {
      if (other !== undefined && other.peer.process !== from.process) other.shutdown();
    }
    const slot = slotOf(from.fromShard, from.lane);
    peer.incoming[slot]?.shutdown();
    const link = new IncomingLink(this, socket, from, block);
    peer.incoming[slot] = link;
    this.#incoming.add(link);
    this.#awaken();
    link.open();
    for (const outgoing of peer.outgoing) outgoing?.retrySoon();
    return true;
  }

  /** Hands over again what was held. */
  resume(): void {
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = this.#resuming;
    this.#resuming = held;
    for (let i = 0; i < held.length; i++) held[i]!.resume();
    held.length = 0;
  }

  /** Ends every link. Owners of frames are told; the listener hears nothing more. */
  stop(): void {
    this.#stopped = true;
    this.timers.cancel(this.#check);
    for (const peer of this.#peers.values()) {
      for (const link of peer.outgoing) this.#stopLink(link);
      peer.outgoing.length = 0;
    }
    for (const link of [...this.#incoming]) link.shutdown();
    for (const block of this.#spare.splice(0)) this.blocks.releaseLink(block);
  }

  /** Every link has ended, and nothing is in flight. */
  get isOver(): boolean {
    this.#ending = this.#ending.filter((link) => !link.isOver);
    return this.#stopped && this.#ending.length === 0 && this.#incoming.size === 0;
  }

  /** For links. */
  addressOf(node: number): PeerAddress | null {
    return this.#peers.get(node)?.address ?? null;
  }

  /** For links. */
  onStarved(link: OutgoingLink): void {
    const peer = this.#peers.get(link.node);
    if (this.#stopped || peer === undefined) return;
    this.#noteStarved("Cannot connect to a node: no memory", fieldsOf(link, peer));
  }

  #noteStarved(what: string, fields: Record<string, string | number>): void {
    this.#events.note(what, { ...fields, remedy: LINKS_REMEDY }, LogLevel.WARN);
  }

  /** For links. */
  markDirty(link: OutgoingLink): void {
    if (link.dirty) return;
    link.dirty = true;
    this.#dirty.push(link);
  }

  /** For links. */
  onUp(link: OutgoingLink, answer: Answer): void {
    const peer = this.#peers.get(link.node);
    if (this.#stopped || peer === undefined) return;
    const { shardCount } = answer;
    if (peer.refused || peer.identity === null) {
      this.#events.note("Connected to a node", {
        ...fieldsOf(link, peer),
        id: answer.nodeId,
        shards: shardCount,
      });
    }
    peer.refused = false;
    peer.identity = answer;
    peer.shardCount = shardCount;
    if (link.lane === Lane.DATA) peer.frameMax = answer.frameSizeMax;
    this.#listener.onUp(link.node, answer);
  }

  /** For links. */
  onDown(link: OutgoingLink, refused: boolean, why: string): void {
    const peer = this.#peers.get(link.node);
    if (this.#stopped || peer === undefined || (refused && peer.refused)) return;
    const what = refused ? "Cannot connect to a node" : "Lost the connection to a node";
    this.#events.note(what, { ...fieldsOf(link, peer), why }, LogLevel.WARN);
    if (refused) peer.refused = true;
    this.#listener.onDown(link.node, refused, why);
  }

  /** For links. */
  onRefused(link: OutgoingLink, answer: Answer, why: string): void {
    const peer = this.#peers.get(link.node);
    if (this.#stopped || peer === undefined) return;
    if (!peer.refused) {
      const fields = { ...fieldsOf(link, peer), id: answer.nodeId, why };
      this.#events.note("A node refused a connection", fields, LogLevel.WARN);
    }
    if (link.node < ANY_NODE || answer.nodeId === link.node) {
      peer.identity = answer;
      peer.shardCount = answer.shardCount;
    }
    if (answer.status === GreetingStatus.NO_SUCH_SHARD) this.#dropLink(peer, link);
    else peer.refused = true;
    this.#listener.onRefused(link.node, answer.status, answer);
  }

  /** For links. */
  onRoom(link: OutgoingLink): void {
    if (!this.#stopped) this.#listener.onRoom(link.node, link.shard);
  }

  /** For links. */
  deliver(link: IncomingLink, type: number, address: number, length: number): FrameVerdict {
    if (this.#stopped) return FrameVerdict.TAKEN;
    const { node, fromShard } = link.peer;
    const verdict = this.#listener.onFrame(node, fromShard, type, address, length);
    if (verdict === FrameVerdict.HELD) this.#held.push(link);
    return verdict;
  }

  /** For links. */
  onViolation(link: IncomingLink, why: string): void {
    const { node, fromShard } = link.peer;
    this.#events.note("Closed a node's connection", { node, fromShard, why }, LogLevel.WARN);
  }

  /** For links. */
  onClosed(link: IncomingLink, block: number): void {
    this.#incoming.delete(link);
    const { node, fromShard, lane } = link.peer;
    const isSpare = lane === Lane.CONTROL && this.#spare.length < RPC_SPARE_BLOCKS_MAX;
    if (isSpare && !this.#stopped) this.#spare.push(block);
    else this.blocks.releaseLink(block);
    const peer = this.#peers.get(node);
    const slot = slotOf(fromShard, lane);
    if (peer === undefined || peer.incoming[slot] !== link) return;
    peer.incoming[slot] = undefined;
    if (peer.address !== null || peer.incoming.some((other) => other !== undefined)) return;
    this.#peers.delete(node);
  }

  #peer(node: number): Peer {
    let peer = this.#peers.get(node);
    if (peer === undefined) {
      peer = new Peer();
      this.#peers.set(node, peer);
    }
    return peer;
  }

  /** The link, made if there is none; null: the node's address is not known. */
  #link(node: number, shard: number, lane: Lane): OutgoingLink | null {
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.address === null) return null;
    const slot = slotOf(shard, lane);
    const link = peer.outgoing[slot];
    if (link !== undefined) return link;
    assert(node !== this.identity().nodeId, "a link of a node to itself");
    const made = new OutgoingLink(this, node, shard, lane);
    while (peer.outgoing.length < slot) peer.outgoing.push(undefined);
    peer.outgoing[slot] = made;
    this.#awaken();
    return made;
  }

  #takeBlock(lane: Lane): number {
    const spare = lane === Lane.CONTROL ? this.#spare.pop() : undefined;
    return spare ?? this.blocks.allocateLink(receiveBlockSize(lane));
  }

  #stopLink(link: OutgoingLink | undefined): void {
    if (link === undefined) return;
    link.stop();
    if (!link.isOver) this.#ending.push(link);
  }

  /** The shard that the link is for is gone: it would be refused again and again. */
  #dropLink(peer: Peer, link: OutgoingLink): void {
    const slot = slotOf(link.shard, link.lane);
    if (peer.outgoing[slot] === link) peer.outgoing[slot] = undefined;
    this.#stopLink(link);
  }

  #awaken(): void {
    if (this.#check.scheduled || this.#stopped) return;
    this.timers.schedule(this.#check, this.nowMs() + RPC_CHECK_MS);
  }

  #checkDeadlines(): void {
    const nowMs = this.nowMs();
    this.#ending = this.#ending.filter((link) => !link.isOver);
    for (const peer of this.#peers.values()) {
      for (const link of peer.outgoing) link?.checkDeadlines(nowMs);
    }
    for (const link of this.#incoming) link.checkDeadlines(nowMs);
    if (this.#peers.size > 0 || this.#incoming.size > 0) this.#awaken();
  }
}

function slotOf(shard: number, lane: Lane): number {
  return shard * LANES + lane;
}

function fieldsOf(link: OutgoingLink, peer: Peer): Record<string, string | number> {
  const { host, port } = peer.address ?? { host: "", port: 0 };
  const node = link.node < ANY_NODE ? {} : { node: link.node };
  return { ...node, shard: link.shard, address: `${host}:${port}` };
}
