/**
 * Signs of life between shards of nodes that have groups in common.
 *
 * Each shard sends one small frame in each tick to each shard of another node with which it shares a group. Groups that
 * have nothing to say send nothing of their own: their followers rely on this sign, and on the connection. It is tied to
 * the journal: a shard whose journal does not get on with a write is not alive, although its network is. It says nothing
 * then, and its groups neither vote nor lead.
 *
 * ```text
 *              heard ◄──────────────┐
 *   alive ── silent for too long ──► silent     (its groups are told: peerDown, peerUp)
 * ```
 *
 * Without other nodes there is no tick.
 *
 * @module
 */

import { DISK_OVERDUE_MS, LIFE_INTERVAL_MS, LIFE_SILENT_MS } from "../base/limits.ts";
import { Timer, type Timers } from "../io/timers.ts";

/** Ticks that this shard may miss; after more it has not listened itself, and says nothing about others. */
const MISSED_TICKS_MAX = 3;

const NO_GROUPS: ReadonlySet<SharedGroup> = new Set();

/** A group with members on other nodes. */
interface SharedGroup {
  readonly groupId: number;
}

export interface LivenessHost {
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** How long the journal's present write has been under way (ms); 0: there is none. */
  readonly flushWaitMs: () => number;
  /** By node, the groups of this shard that have a member there. */
  readonly groupsByNode: ReadonlyMap<number, ReadonlySet<SharedGroup>>;
  /** Shards of a node; 0: not known yet. */
  readonly shardCountOf: (node: number) => number;
  /** @param isAnswer whoever gets it does not answer */
  readonly sendLife: (node: number, shard: number, isAnswer: boolean) => void;
  /** A shard of another node is not heard any more, or again. */
  readonly onSilent: (node: number, shard: number) => void;
  readonly onHeard: (node: number, shard: number) => void;
  /** The disk is overdue, or works again. */
  readonly onStalled: (isStalled: boolean) => void;
}

/** A shard of another node. */
interface Peer {
  readonly shard: number;
  heardMs: number;
  isSilent: boolean;
}

/** The shards of another node with which this one shares groups. */
class NodePeers {
  /** As it was when the list was made. */
  shardCount = 0;
  isStale = true;
  peers: Peer[] = [];
}

export class Liveness {
  readonly #host: LivenessHost;
  readonly #nodes = new Map<number, NodePeers>();
  readonly #timer = new Timer(() => this.#tick());
  #tickedMs = 0;
  #isStalled = false;

  constructor(host: LivenessHost) {
    this.#host = host;
  }

  /** The journal does not get on with a write. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** Groups with a member on the node came or went. */
  noteGroups(node: number): void {
    this.#peersOf(node).isStale = true;
    if (this.#timer.scheduled) return;
    const { timers, nowMs } = this.#host;
    this.#tickedMs = nowMs();
    timers.schedule(this.#timer, this.#tickedMs + LIFE_INTERVAL_MS);
  }

  /** A connection to the node was made: its shards have time to be heard. */
  onUp(node: number): void {
    const nowMs = this.#host.nowMs();
    for (const peer of this.#nodes.get(node)?.peers ?? []) {
      peer.heardMs = nowMs;
      peer.isSilent = false;
    }
  }

  /**
   * A shard of a node gave a sign of life. One that knows of a common group of which nothing is known here gets an answer:
   * a leader sends nothing to a new member that it does not hear, and only what it sends tells the member who leads.
   */
  heard(node: number, shard: number, isAnswer: boolean): void {
    const { shardCountOf, sendLife } = this.#host;
    for (const peer of this.#peersNow(node)) {
      if (peer.shard !== shard) continue;
      peer.heardMs = this.#host.nowMs();
      if (!peer.isSilent) return;
      peer.isSilent = false;
      this.#host.onHeard(node, shard);
      return;
    }
    if (!isAnswer && !this.#isStalled && shard < shardCountOf(node)) sendLife(node, shard, true);
  }

  /** Whether the shard that a node has a group on is not heard. */
  isSilent(node: number, groupId: number): boolean {
    const known = this.#nodes.get(node);
    if (known === undefined || known.shardCount === 0) return false;
    return known.peers.some(({ shard, isSilent }) =>
      isSilent && shard === groupId % known.shardCount
    );
  }

  #tick(): void {
    const { timers, groupsByNode, flushWaitMs, onStalled } = this.#host;
    const nowMs = this.#host.nowMs();
    const wasAway = nowMs - this.#tickedMs > MISSED_TICKS_MAX * LIFE_INTERVAL_MS;
    this.#tickedMs = nowMs;
    const isStalled = flushWaitMs() >= DISK_OVERDUE_MS;
    if (isStalled !== this.#isStalled) {
      this.#isStalled = isStalled;
      onStalled(isStalled);
    }
    let hasGroups = false;
    for (const [node, groups] of groupsByNode) {
      if (groups.size === 0) continue;
      hasGroups = true;
      this.#look(node, nowMs, wasAway);
    }
    // A disk that hangs has to be found to work again, whoever asks then.
    if (hasGroups || isStalled) timers.schedule(this.#timer, nowMs + LIFE_INTERVAL_MS);
  }

  #look(node: number, nowMs: number, wasAway: boolean): void {
    const { sendLife, onSilent } = this.#host;
    for (const peer of this.#peersNow(node)) {
      if (wasAway) peer.heardMs = nowMs;
      if (!this.#isStalled) sendLife(node, peer.shard, false);
      if (peer.isSilent || nowMs - peer.heardMs < LIFE_SILENT_MS) continue;
      peer.isSilent = true;
      onSilent(node, peer.shard);
    }
  }

  /** The shards of a node with which this one shares groups now: it gives them signs of life by itself. */
  #peersNow(node: number): readonly Peer[] {
    const { groupsByNode, shardCountOf } = this.#host;
    const known = this.#peersOf(node);
    const shardCount = shardCountOf(node);
    if (known.isStale || known.shardCount !== shardCount) {
      relist(known, groupsByNode.get(node) ?? NO_GROUPS, shardCount, this.#host.nowMs());
    }
    return known.peers;
  }

  #peersOf(node: number): NodePeers {
    let known = this.#nodes.get(node);
    if (known === undefined) {
      known = new NodePeers();
      this.#nodes.set(node, known);
    }
    return known;
  }
}

function relist(
  known: NodePeers,
  groups: ReadonlySet<SharedGroup>,
  shardCount: number,
  nowMs: number,
): void {
  const before = known.shardCount === shardCount ? known.peers : [];
  const shards = new Set<number>();
  if (shardCount > 0) { for (const { groupId } of groups) shards.add(groupId % shardCount); }
  known.peers = [...shards].map((shard) =>
    before.find((peer) => peer.shard === shard) ?? { shard, heardMs: nowMs, isSilent: false }
  );
  known.shardCount = shardCount;
  known.isStale = false;
}
