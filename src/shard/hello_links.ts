/**
 * Carries hellos over links, on the controller's shard: of whom a hello is for, only the address is known.
 *
 * The links take placeholders below {@linkcode ANY_NODE} for such addresses. There are few of them: seeds, founders, and
 * nodes that asked; the ones unused for the longest are forgotten. A node has room for one connection of each shard and
 * lane of another, so a placeholder goes when the node at its address is known by its id.
 *
 * @module
 */

import { HELLO_ADDRESSES_MAX } from "../base/limits.ts";
import type { RpcAddress } from "../cluster/founding.ts";
import { decodeHello, encodeHello } from "../cluster/hello.ts";
import { ANY_NODE, Lane, type NodeIdentity, type PeerLinks } from "../rpc/peer_links.ts";
import { describeStatus, GreetingStatus, ZERO_ID } from "../rpc/preamble.ts";
import type { NodeHello } from "../wire/generated/node_hello.ts";
import { uuidToBase64 } from "../wire/uuid.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import type { HelloTransport, NodeMembership } from "./node_membership.ts";
import { PeerFrame, type PeerSender } from "./peer_sender.ts";

export class HelloLinks implements HelloTransport {
  readonly #links: Pick<PeerLinks, "setAddress" | "forget">;
  readonly #sender: PeerSender;
  /** By address, those used last at the end. */
  readonly #nodes = new Map<string, { readonly node: number; readonly address: RpcAddress }>();
  #nextNode = ANY_NODE - 1;
  /** Nodes that the links know by their ids, by address. */
  readonly #members = new Map<string, number>();
  /** Told of what comes. */
  membership: NodeMembership | null = null;

  constructor(links: Pick<PeerLinks, "setAddress" | "forget">, sender: PeerSender) {
    this.#links = links;
    this.#sender = sender;
  }

  send(to: RpcAddress, hello: NodeHello): void {
    const node = this.nodeAt(to);
    const bytes = encodeHello(hello);
    this.#sender.send(node, CONTROLLER_SHARD, Lane.CONTROL, PeerFrame.HELLO, bytes);
  }

  /** The links know the node at that address by its id. */
  know(address: RpcAddress, nodeId: number): void {
    const key = keyOf(address);
    this.#members.set(key, nodeId);
    const placeholder = this.#nodes.get(key);
    if (placeholder === undefined) return;
    this.#nodes.delete(key);
    this.#links.forget(placeholder.node);
  }

  /** The node belongs to a cluster: what is still to be said goes to its members, or over new connections. */
  formed(): void {
    for (const { node } of this.#nodes.values()) this.#links.forget(node);
    this.#nodes.clear();
  }

  /** A HELLO frame came; false when it makes no sense. */
  onFrame(payload: Uint8Array): boolean {
    const hello = decodeHello(payload);
    if (hello === null) return false;
    this.membership?.received(hello);
    return true;
  }

  /** Nobody answers at a placeholder's address. */
  onDown(node: number, why: string): void {
    const address = this.#addressOf(node);
    if (address !== null) this.membership?.unreachable(address, why);
  }

  /** Whoever has a placeholder's address wants no connection. */
  onRefused(node: number, status: GreetingStatus, peer: NodeIdentity): void {
    const address = this.#addressOf(node);
    if (address === null) return;
    if (status === GreetingStatus.SELF) this.membership?.isSelf(address);
    if (status === GreetingStatus.BUSY || status === GreetingStatus.VERSION) {
      return this.membership?.unreachable(address, describeStatus(status));
    }
    if (status !== GreetingStatus.SAME_ID && status !== GreetingStatus.OTHER_CLUSTER) return;
    const { nodeId, incarnation } = peer;
    this.refused(address, status, peer);
    const clusterId = peer.clusterId === ZERO_ID ? "" : uuidToBase64(peer.clusterId);
    this.membership?.met(address, { nodeId, incarnation, clusterId });
  }

  /** Another node says that somebody else has this node's id. */
  refused(address: RpcAddress, status: GreetingStatus, { nodeId }: NodeIdentity): void {
    if (status === GreetingStatus.SAME_ID) this.membership?.isTaken(nodeId, address);
  }

  /** The number by which the links know whoever has that address. */
  nodeAt(address: RpcAddress): number {
    const key = keyOf(address);
    const member = this.#members.get(key);
    if (member !== undefined) return member;
    const known = this.#nodes.get(key) ?? { node: this.#nextNode--, address };
    this.#nodes.delete(key);
    this.#nodes.set(key, known);
    if (this.#nodes.size > HELLO_ADDRESSES_MAX) {
      const [oldest, { node }] = this.#nodes.entries().next().value!;
      this.#nodes.delete(oldest);
      this.#links.forget(node);
    }
    this.#links.setAddress(known.node, address.host, address.port);
    return known.node;
  }

  #addressOf(node: number): RpcAddress | null {
    for (const known of this.#nodes.values()) if (known.node === node) return known.address;
    return null;
  }
}

function keyOf({ host, port }: RpcAddress): string {
  return `${host} ${port}`;
}
