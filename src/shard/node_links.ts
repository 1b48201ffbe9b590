/**
 * A shard's part in talking to other nodes: its links, and on the shard that accepts, the greeting of connections and their
 * way to the shard that they name.
 *
 * A descriptor is valid on every shard of the process, so a connection changes hands by one message, which carries what its
 * preamble said.
 *
 * @module
 */

import type { EventLog } from "../base/event_log.ts";
import type { Random } from "../base/prng.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { ClusterImage } from "../cluster/image.ts";
import type { Sockets } from "../io/sockets.ts";
import type { Timers } from "../io/timers.ts";
import { Greeter, GREETER_MEMORY_SIZE } from "../rpc/greeter.ts";
import {
  type IncomingPeer,
  type NodeIdentity,
  PeerLinks,
  type PeerLinksListener,
} from "../rpc/peer_links.ts";
import { type Lane, type Preamble, ZERO_ID } from "../rpc/preamble.ts";
import { uuidFromBase64 } from "../wire/uuid.ts";
import { type Mailboxes, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import type { ShardMemory } from "./shard_memory.ts";

/** How a node presents itself to others, and finds them. */
export interface Peering {
  /** Of this life of the data directory: 32 hexadecimal digits. */
  readonly incarnation: string;
  /** Of this process, below 2^32. */
  readonly process: number;
  /** Connections from other nodes that this shard may have. */
  readonly incomingMax: number;
  /** As `LinkContext.resolve`. */
  readonly resolve: (host: string, done: (address: string | null) => void) => void;
}

export interface NodeLinksOptions extends Peering {
  readonly nodeId: number;
  /** The highest that the node is able to do. */
  readonly logicalVersion: number;
  readonly image: ClusterImage;
  readonly mailboxes: Mailboxes;
  readonly memory: Memory;
  readonly blocks: ShardMemory;
  readonly sockets: Sockets;
  readonly timers: Timers;
  readonly random: Random;
  readonly crc32c: Crc32c;
  readonly nowMs: () => number;
  readonly events: EventLog;
}

export class NodeLinks {
  readonly links: PeerLinks;
  readonly #options: NodeLinksOptions;
  /** Made while there is memory. Null: no other node comes to this one. */
  readonly #greeter: Greeter | null;
  #identity: NodeIdentity;
  /** As the image spells the cluster id of {@linkcode #identity}. */
  #clusterId = "";

  constructor(options: NodeLinksOptions, listener: PeerLinksListener) {
    this.#options = options;
    this.#identity = {
      clusterId: ZERO_ID,
      nodeId: options.nodeId,
      incarnation: options.incarnation,
      process: options.process,
      shardCount: options.mailboxes.shardCount,
      logicalVersion: options.logicalVersion,
    };
    const identity = (): NodeIdentity => this.identity;
    const { shard } = options.mailboxes;
    this.links = new PeerLinks({ ...options, shard, identity }, listener);
    this.#greeter = options.incomingMax > 0 ? this.#makeGreeter() : null;
  }

  /** This node, as it is now: its cluster may have been formed meanwhile. */
  get identity(): NodeIdentity {
    const { clusterId } = this.#options.image;
    if (clusterId !== this.#clusterId) {
      this.#clusterId = clusterId;
      this.#identity = { ...this.#identity, clusterId: uuidFromBase64(clusterId) ?? ZERO_ID };
    }
    return this.#identity;
  }

  /** Takes a connection that was accepted from another node. */
  greet(socket: number, peer: string): void {
    if (this.#greeter === null) this.#options.sockets.close(socket);
    else this.#greeter.adopt(socket, peer);
  }

  /** Takes a connection that another shard has greeted. */
  onPeerConnection(view: DataView, at: number): void {
    const socket = messageArgument(view, at, 0);
    const peer = readPeer(view, at);
    if (this.links.adopt(socket, peer)) return;
    // The node hears why: as long as nothing is said, it would take the address for a wrong one.
    if (this.#greeter === null) this.#options.sockets.close(socket);
    else this.#greeter.refuse(socket, "", peer.node);
  }

  /** Ends every connection with other nodes. */
  stop(): void {
    this.#greeter?.stop();
    this.links.stop();
  }

  #makeGreeter(): Greeter | null {
    const { blocks } = this.#options;
    const block = blocks.allocateLink(GREETER_MEMORY_SIZE);
    if (block < 0) return null;
    const identity = (): NodeIdentity => this.identity;
    const hand = (socket: number, preamble: Preamble): boolean => this.#hand(socket, preamble);
    const isTaken = (preamble: Preamble): boolean => this.#isTaken(preamble);
    return new Greeter({ ...this.#options, identity, hand, isTaken }, block);
  }

  /** A process that ends breaks its connections; as long as there is one to it, nobody else is that node. */
  #isTaken({ nodeId, process }: Preamble): boolean {
    if (!this.links.isUp(nodeId)) return false;
    const known = this.links.identityOf(nodeId);
    return known !== null && known.nodeId === nodeId && known.process !== process;
  }

  #hand(socket: number, preamble: Preamble): boolean {
    const { mailboxes } = this.#options;
    const { targetShard } = preamble;
    if (targetShard === mailboxes.shard) {
      return this.links.adopt(socket, { ...preamble, node: preamble.nodeId });
    }
    if (mailboxes.roomForNotices(targetShard) === 0) return false;
    sendPeer(mailboxes, targetShard, socket, preamble);
    return true;
  }
}

// Arguments of PEER_CONNECTION: socket | node | numbers | four words of the incarnation. Two of these hold half of the
// process's number besides.
const SHARD_COUNT_AT = 2 ** 10;
const LANE_AT = 2 ** 21;
const VERSION_AT = 2 ** 22;
const ID_WORDS = 4;
const ID_WORD_DIGITS = 8;
const HALF_AT = 2 ** 32;
const HALF = 2 ** 16;

/** Hands a connection to another shard, with what its preamble says. */
export function sendPeer(
  mailboxes: Mailboxes,
  toShard: number,
  socket: number,
  preamble: Preamble,
): void {
  const { fromShard, shardCount, lane, logicalVersion, incarnation, process } = preamble;
  const word = (index: number): number =>
    Number.parseInt(incarnation.substr(index * ID_WORD_DIGITS, ID_WORD_DIGITS), 16);
  const numbers = fromShard + shardCount * SHARD_COUNT_AT + lane * LANE_AT +
    logicalVersion * VERSION_AT;
  mailboxes.send(
    toShard,
    MessageType.PEER_CONNECTION,
    0,
    socket,
    preamble.nodeId,
    numbers,
    word(0) + process % HALF * HALF_AT,
    word(1) + Math.floor(process / HALF) * HALF_AT,
    word(2),
    word(3),
  );
}

/** Reads what {@linkcode sendPeer} wrote. */
export function readPeer(view: DataView, at: number): IncomingPeer {
  const numbers = messageArgument(view, at, 2);
  let incarnation = "";
  let process = 0;
  for (let i = 0; i < ID_WORDS; i++) {
    const word = messageArgument(view, at, 3 + i);
    incarnation += (word % HALF_AT).toString(16).padStart(ID_WORD_DIGITS, "0");
    if (i < 2) process += Math.floor(word / HALF_AT) * HALF ** i;
  }
  return {
    node: messageArgument(view, at, 1),
    incarnation,
    process,
    fromShard: numbers % SHARD_COUNT_AT,
    shardCount: Math.floor(numbers / SHARD_COUNT_AT) % (LANE_AT / SHARD_COUNT_AT),
    lane: Math.floor(numbers / LANE_AT) % (VERSION_AT / LANE_AT) as Lane,
    logicalVersion: Math.floor(numbers / VERSION_AT),
  };
}
