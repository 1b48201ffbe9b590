/**
 * A shard among the shards of other nodes: its links, and who gets what comes over them.
 *
 * ```text
 *   frame 1        HELLO          controller's shard     hello_links.ts
 *         2        LEADERS        controller's shard     leader_feed.ts
 *         3, 4     CALL, REPLY    any                    node_calls.ts
 *         16 ...   replication    the group's shard      replication/
 * ```
 *
 * Every shard has links to the nodes that are registered; the controller's shard also to the founders, before it knows
 * any other.
 *
 * @module
 */

import {
  LEADER_GROUPS_AHEAD_MAX,
  LIFE_SILENT_MS,
  NODE_SILENT_MS,
  RPC_LINKS_SHARE,
} from "../base/limits.ts";
import { LogLevel } from "../base/logger.ts";
import type { RpcAddress } from "../cluster/founding.ts";
import { hasLife } from "../cluster/given_up.ts";
import type { ClusterImage } from "../cluster/image.ts";
import type { NodeRecord } from "../cluster/records.ts";
import { Timer } from "../io/timers.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { ReplicationFrame } from "../replication/frames.ts";
import type { ShardReplication } from "../replication/shard_replication.ts";
import { GREETER_MEMORY_SIZE } from "../rpc/greeter.ts";
import {
  ANY_NODE,
  FrameVerdict,
  LINKS_BYTES_PER_SHARD,
  type NodeIdentity,
  type PeerLinksListener,
} from "../rpc/peer_links.ts";
import { describeStatus, GreetingStatus } from "../rpc/preamble.ts";
import { HelloLinks } from "./hello_links.ts";
import { LeaderFeed, type LedGroup, type OnLeader } from "./leader_feed.ts";
import { NodeCalls, type ServeNode } from "./node_calls.ts";
import { NodeLinks, type NodeLinksOptions } from "./node_links.ts";
import type { NodeNews } from "./node_news.ts";
import { LinkSender, PeerFrame } from "./peer_sender.ts";

export interface ShardPeersOptions extends NodeLinksOptions {
  /** The groups that this shard leads now. */
  readonly led: () => Iterable<LedGroup>;
  readonly onLeader: OnLeader;
  readonly serve: ServeNode;
  readonly nodeNews: NodeNews;
  /** Gets its own frames, and hears of the nodes that groups are on. */
  readonly replication: Pick<ShardReplication, "onFrame" | "onUp" | "onDown" | "onRoom">;
}

/** How long a node may take to register the address that it has now (ms). */
const LOCATED_MS = 60_000;

export class ShardPeers implements PeerLinksListener {
  readonly nodeLinks: NodeLinks;
  readonly calls: NodeCalls;
  readonly feed: LeaderFeed;
  readonly hellos: HelloLinks;
  readonly #options: ShardPeersOptions;
  readonly #isFirst: boolean;
  /** Nodes that are connected and silent, and will be shown as gone. */
  readonly #silent = new Map<number, Timer>();
  /** Shards of other nodes that there was memory for, or not. */
  #shardsSeen = 0;
  #givenUp: readonly Pick<NodeIdentity, "incarnation">[] = [];
  /** Whether the life that a node has is one of them, as far as anybody asked since it connected. */
  readonly #shunned = new Map<number, boolean>();
  /** Nodes that said themselves where they are. */
  readonly #located = new Map<number, RpcAddress & { readonly untilMs: number }>();

  constructor(options: ShardPeersOptions) {
    this.#options = options;
    const { memory, blocks, image, mailboxes, onLeader } = options;
    this.#isFirst = mailboxes.shard === CONTROLLER_SHARD;
    this.nodeLinks = new NodeLinks(options, this);
    const { links } = this.nodeLinks;
    const sender = new LinkSender(links, memory, blocks);
    this.calls = new NodeCalls({ ...options, sender });
    this.feed = new LeaderFeed({
      ...options,
      sender,
      // A table has room for every group up to the largest.
      onLeader: (groupId, nodeId, epoch, inSync) => {
        if (groupId < image.nextGroupId + LEADER_GROUPS_AHEAD_MAX) {
          onLeader(groupId, nodeId, epoch, inSync);
        }
      },
    });
    this.hellos = new HelloLinks(links, sender);
    image.listen({ nodesChanged: () => this.#followNodes(image) });
  }

  /**
   * Lives of nodes without which the cluster went on. What their replicas say counts for nothing: they may have gone on
   * without this node, in a later term. On the controller's shard.
   */
  shun(givenUp: readonly Pick<NodeIdentity, "incarnation">[]): void {
    this.#givenUp = givenUp;
    this.#shunned.clear();
  }

  #shuns(node: number): boolean {
    if (this.#givenUp.length === 0) return false;
    let shunned = this.#shunned.get(node);
    if (shunned === undefined) {
      const life = this.nodeLinks.links.identityOf(node);
      if (life === null) return false;
      shunned = hasLife(this.#givenUp, life);
      this.#shunned.set(node, shunned);
    }
    return shunned;
  }

  /** A node says itself where it is, which counts until the metadata has heard it, too. */
  locate(nodeId: number, address: RpcAddress): void {
    const untilMs = this.#options.nowMs() + LOCATED_MS;
    this.#located.set(nodeId, { host: address.host, port: address.port, untilMs });
    this.setAddress(nodeId, address);
  }

  /** Where a node is, before the metadata says so. */
  setAddress(nodeId: number, { host, port }: RpcAddress): void {
    if (nodeId === this.#options.nodeId) return;
    const { links } = this.nodeLinks;
    links.setAddress(nodeId, host, port);
    if (this.#isFirst) this.hellos.know({ host, port }, nodeId);
    links.contact(nodeId);
  }

  /** Whether a node's program is able to work at this logical version; false also while it has not been reached. */
  isAbleAt(node: number, version: number): boolean {
    const program = this.nodeLinks.links.identityOf(node);
    return program !== null && program.logicalVersion >= version;
  }

  /** Takes what other nodes' links hold, as far as there is room now. */
  resume(): void {
    this.nodeLinks.links.resume();
  }

  flush(): void {
    this.feed.flush();
    this.nodeLinks.links.flush();
  }

  stop(): void {
    for (const node of this.#silent.keys()) this.#forgetSilence(node);
    this.calls.stop();
    this.nodeLinks.stop();
  }

  onFrame(
    node: number,
    fromShard: number,
    type: number,
    address: number,
    length: number,
  ): FrameVerdict {
    if (type >= ReplicationFrame.ROWS) {
      if (this.#shuns(node)) return FrameVerdict.TAKEN;
      return this.#options.replication.onFrame(node, type, address, length);
    }
    return this.#takes(node, fromShard, type, address, length)
      ? FrameVerdict.TAKEN
      : FrameVerdict.WRONG;
  }

  #takes(
    node: number,
    fromShard: number,
    type: number,
    address: number,
    length: number,
  ): boolean {
    const { memory: { bytes, view } } = this.#options;
    const payload = (): Uint8Array => bytes.slice(address, address + length);
    switch (type) {
      case PeerFrame.HELLO:
        return this.#isFirst && this.hellos.onFrame(payload());
      case PeerFrame.LEADERS:
        return this.#isFirst && this.feed.onFrame(node, view, address, length);
      case PeerFrame.CALL:
        return this.calls.onCall(node, fromShard, payload());
      case PeerFrame.CALL_REPLY:
        return this.calls.onReply(node, payload());
      default:
        return false;
    }
  }

  onUp(node: number, _peer: NodeIdentity): void {
    if (node < ANY_NODE) return;
    this.#shunned.delete(node);
    this.#options.replication.onUp(node);
    this.feed.onUp(node);
    if (!this.#isFirst) return;
    this.#forgetSilence(node);
    this.#options.nodeNews.tell(node, true);
    this.#checkMemory();
  }

  /** There is to be room for the links to all shards of all nodes; otherwise that is said, once for each larger number. */
  #checkMemory(): void {
    const { blocks, events, image, mailboxes, nodeId } = this.#options;
    let shards = 0;
    for (const other of image.nodes.keys()) {
      if (other !== nodeId) shards += this.nodeLinks.links.shardCountOf(other);
    }
    if (shards <= this.#shardsSeen) return;
    this.#shardsSeen = shards;
    const needed = shards * LINKS_BYTES_PER_SHARD + GREETER_MEMORY_SIZE;
    if (needed <= blocks.links.limit) return;
    const least = needed / RPC_LINKS_SHARE * mailboxes.shardCount;
    events.note("The memory has no room for the links to all other nodes", {
      shardsOfOtherNodes: shards,
      remedy: `start with --memory ${
        Math.ceil(least / 2 ** 20)
      }MiB or more; until then some replicas may get nothing`,
    }, LogLevel.WARN);
  }

  /**
   * A shard of a node that is connected gives no sign of life, or does again. Its first shard stands for the node: clients
   * would wait for one that stands still.
   */
  onSilence(node: number, shard: number, isSilent: boolean): void {
    const { events, nodeNews, timers, nowMs } = this.#options;
    const fields = { node, fromShard: shard };
    if (isSilent) {
      events.note("A node is connected and gives no sign of life", fields, LogLevel.WARN);
    } else events.note("A node gives signs of life again", fields);
    if (!this.#isFirst || shard !== CONTROLLER_SHARD) return;
    this.#forgetSilence(node);
    if (!isSilent) return nodeNews.tell(node, true);
    const timer = new Timer(() => nodeNews.tell(node, false));
    this.#silent.set(node, timer);
    timers.schedule(timer, nowMs() + NODE_SILENT_MS - LIFE_SILENT_MS);
  }

  #forgetSilence(node: number): void {
    const timer = this.#silent.get(node);
    if (timer === undefined) return;
    this.#options.timers.cancel(timer);
    this.#silent.delete(node);
  }

  onDown(node: number, _refused: boolean, why: string): void {
    if (node < ANY_NODE) return this.hellos.onDown(node, why);
    this.#shunned.delete(node);
    this.#options.replication.onDown(node);
    this.calls.onDown(node);
    if (this.nodeLinks.links.isUp(node)) return;
    this.feed.onDown(node);
    this.#forgetSilence(node);
    if (this.#isFirst) this.#options.nodeNews.tell(node, false);
  }

  onRefused(node: number, status: GreetingStatus, peer: NodeIdentity): void {
    if (node < ANY_NODE) return this.hellos.onRefused(node, status, peer);
    const address = this.nodeLinks.links.addressOf(node);
    if (this.#isFirst && address !== null) this.hellos.refused(address, status, peer);
    this.onDown(node, true, describeStatus(status));
    // The node is there, with fewer shards than before: only what was sent to one that is gone is lost.
    const isThere = status === GreetingStatus.NO_SUCH_SHARD && this.nodeLinks.links.isUp(node);
    if (isThere) this.#options.replication.onUp(node);
  }

  onRoom(node: number, _shard: number): void {
    this.#options.replication.onRoom(node);
  }

  #followNodes(image: ClusterImage): void {
    for (const node of image.nodes.values()) {
      const address = rpcAddressOf(node);
      if (address === null || this.#hasMoved(node.nodeId, address)) continue;
      this.setAddress(node.nodeId, address);
    }
    if (this.#isFirst) this.#checkMemory();
  }

  /** A node said itself that it is elsewhere than the metadata says. */
  hasMoved(nodeId: number): boolean {
    const node = this.#options.image.nodes.get(nodeId);
    const address = node === undefined ? null : rpcAddressOf(node);
    return address !== null && this.#hasMoved(nodeId, address);
  }

  #hasMoved(nodeId: number, { host, port }: RpcAddress): boolean {
    const located = this.#located.get(nodeId);
    if (located === undefined) return false;
    const isSame = located.host === host && located.port === port;
    if (!isSame && this.#options.nowMs() < located.untilMs) return true;
    this.#located.delete(nodeId);
    return false;
  }
}

/** Where other nodes reach a node; null: nowhere. */
export function rpcAddressOf({ endpoints }: NodeRecord): RpcAddress | null {
  return endpoints.find(({ name }) => name === "rpc") ?? null;
}
