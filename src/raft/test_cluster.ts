/**
 * Several nodes with one group, their network and their disks, in one thread: the stage of directed tests, of
 * transcripts and of the simulation.
 */

import type { Random } from "../base/prng.ts";
import { Xoshiro128 } from "../base/prng.ts";
import type { Configuration, Member } from "./configuration.ts";
import { RAFT_TIMING, type RaftTiming } from "./limits.ts";
import { MessageKind, Outcome, type RaftMessage } from "./message.ts";
import { Role } from "./raft_group.ts";
import { Checker } from "./test_checker.ts";
import { EventQueue } from "./test_event_queue.ts";
import { MemoryLog } from "./test_memory_log.ts";
import { type LinkPlan, Network, SILENCE_MS } from "./test_network.ts";
import { type Frame, type NodeWorld, TestNode } from "./test_node.ts";

export const CALM: LinkPlan = {
  delayMinMs: 1,
  delayMaxMs: 1,
  lost: 0,
  doubled: 0,
  inOrder: true,
};

export function members(...nodes: readonly number[]): Member[] {
  return nodes.map((node) => ({ node, incarnation: 0 }));
}

export function simple(...voters: readonly number[]): Configuration {
  return { voters: members(...voters), outgoing: [], learners: [] };
}

export interface ClusterOptions {
  readonly seed?: number;
  readonly link?: LinkPlan;
  readonly timing?: RaftTiming;
  /** Nodes that exist; the configuration's voters by default. */
  readonly nodes?: readonly number[];
  /** Bounds of a flush, and of a read of the disk (ms). */
  readonly flush?: readonly [number, number];
  readonly read?: readonly [number, number];
  /** Heartbeats may overtake records, as on links with lanes: they do not say what was sent before them. */
  readonly lanes?: boolean;
}

export class TestCluster implements NodeWorld {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly network: Network;
  readonly checker: Checker;
  readonly timing: RaftTiming;
  readonly nodes = new Map<number, TestNode>();
  /** Those whose disks were replaced. */
  readonly gone: TestNode[] = [];
  /** Disks that do nothing. */
  readonly frozen = new Set<number>();
  flush: readonly [number, number];
  read: readonly [number, number];
  readonly #lanes: boolean;
  /** Lines of what happened, when they are kept; and a hash over them in any case. */
  lines: string[] | null = null;
  hash = 0;
  /** Messages that a test swallows. */
  drop: ((from: number, to: number, message: RaftMessage) => boolean) | null = null;

  constructor(configuration: Configuration, options: ClusterOptions = {}) {
    this.random = new Xoshiro128(options.seed ?? 1);
    this.network = new Network(this.queue, this.random, options.link ?? CALM);
    this.checker = new Checker(() => [...this.nodes.values(), ...this.gone]);
    this.timing = options.timing ?? RAFT_TIMING;
    this.flush = options.flush ?? [1, 1];
    this.read = options.read ?? [0, 0];
    this.#lanes = options.lanes ?? false;
    const ids = options.nodes ?? configuration.voters.map(({ node }) => node);
    for (const id of ids) {
      this.nodes.set(
        id,
        new TestNode(this, { id, incarnation: 0 }, new MemoryLog(), configuration),
      );
    }
  }

  start(): void {
    for (const node of this.nodes.values()) node.start();
  }

  run(forMs: number): void {
    this.queue.run(this.queue.nowMs + forMs);
  }

  /** Runs until `isSo`, for at most `forMs`; returns whether it came to be. */
  runUntil(isSo: () => boolean, forMs = 60_000): boolean {
    const endMs = this.queue.nowMs + forMs;
    while (!isSo() && this.queue.nextMs <= endMs) this.queue.run(this.queue.nextMs);
    return isSo();
  }

  node(id: number): TestNode {
    return this.nodes.get(id)!;
  }

  /** The node that serves clients in the latest term, or null. */
  get leader(): TestNode | null {
    let leader: TestNode | null = null;
    for (const node of this.nodes.values()) {
      if (!node.isAlive || !node.group.isLeading) continue;
      if (leader === null || node.group.term > leader.group.term) leader = node;
    }
    return leader;
  }

  get candidates(): TestNode[] {
    return [...this.nodes.values()].filter(({ isAlive, group }) =>
      isAlive && group.role === Role.LEADER
    );
  }

  trace(line: string): void {
    const text = `${this.queue.nowMs} ${line}`;
    this.lines?.push(text);
    let hash = this.hash;
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    }
    this.hash = hash >>> 0;
  }

  flushMs(node: TestNode): number {
    return this.frozen.has(node.id) ? Infinity : this.#between(this.flush);
  }

  readMs(_node: TestNode): number {
    return this.#between(this.read);
  }

  #between([min, max]: readonly [number, number]): number {
    return max === min ? min : min + this.random.nextBelow(max - min + 1);
  }

  onServed(node: TestNode, index: number): void {
    if (node.isLeading && index > this.checker.servedIndex) this.checker.servedIndex = index;
  }

  send(from: TestNode, to: number, frame: Frame): void {
    const { message } = frame;
    if (this.#lanes && message.kind === MessageKind.HEARTBEAT && !message.quiet) message.index = 0;
    this.trace(`${from.id}>${to} ${describe(message, frame.entries.length)}`);
    if (this.drop?.(from.id, to, message)) return;
    this.network.send(from.id, to, frame, (arrived) => {
      const target = this.nodes.get(to);
      if (target?.isAlive) target.deliver(arrived);
    });
  }

  /** Ends a node's run; its peers learn of it when their connections break, or by its silence. */
  crash(id: number, isSilent = false): void {
    const node = this.node(id);
    node.isAlive = false;
    this.trace(`${id} crashes`);
    for (const other of this.nodes.values()) {
      if (other.id === id) continue;
      this.#tellLater(other.id, id, isSilent ? SILENCE_MS : 1 + this.random.nextBelow(5));
    }
  }

  /** Starts a node that crashed, perhaps without what its disk had. */
  restart(id: number, isWiped = false): void {
    if (isWiped) this.gone.push(this.node(id));
    const node = isWiped ? this.node(id).wiped() : this.node(id).restarted();
    this.nodes.set(id, node);
    this.frozen.delete(id);
    this.trace(`${id} starts`);
    node.start();
    for (const other of this.nodes.values()) {
      if (other.id === id) continue;
      this.#tellLater(other.id, id, 1 + this.random.nextBelow(5));
      this.#tellLater(id, other.id, 1 + this.random.nextBelow(5));
    }
  }

  /** What `from` says does not reach `to` any more. */
  block(from: number, to: number): void {
    if (this.network.isBlocked(from, to)) return;
    this.network.block(from, to);
    this.trace(`${from} does not reach ${to}`);
    this.#tellLater(to, from, SILENCE_MS);
  }

  /** Neither hears the other. */
  part(a: number, b: number): void {
    this.block(a, b);
    this.block(b, a);
  }

  isolate(id: number): void {
    for (const other of this.nodes.keys()) if (other !== id) this.part(id, other);
  }

  heal(): void {
    this.trace("all links heal");
    for (const [from, to] of this.network.heal()) this.#tellLater(to, from, 1);
  }

  freeze(id: number): void {
    this.frozen.add(id);
    this.trace(`${id}'s disk freezes`);
  }

  thaw(id: number): void {
    this.frozen.delete(id);
    const node = this.node(id);
    if (node.isAlive) node.flush();
  }

  /** Tells a node, later, how its connection with a peer is by then. */
  #tellLater(id: number, peer: number, delayMs: number): void {
    this.queue.at(this.queue.nowMs + delayMs, () => {
      const node = this.nodes.get(id)!;
      if (!node.isAlive) return;
      if (this.nodes.get(peer)!.isAlive && !this.network.isBlocked(peer, id)) {
        node.group.peerUp(peer, this.queue.nowMs);
      } else node.group.peerDown(peer, this.queue.nowMs);
      node.after();
    });
  }
}

const KIND_NAMES = new Map<number, string>(
  Object.entries(MessageKind).map(([name, kind]) => [kind, name.toLowerCase()]),
);
const OUTCOME_NAMES = Object.keys(Outcome).map((name) => name.toLowerCase());

/** A message in words, for traces. */
export function describe(message: RaftMessage, entries: number): string {
  const { kind, term, index, indexTerm } = message;
  const words: (string | number)[] = [`${KIND_NAMES.get(kind)}`, `t${term}`];
  if (message.pre) words.push("pre");
  if (message.transfer) words.push("transfer");
  const reply = (): void => {
    if (message.outcome !== Outcome.OK) words.push(`${OUTCOME_NAMES[message.outcome]}`);
    words.push(`match ${message.match}`);
    if (message.accepted !== message.match) words.push(`accepted ${message.accepted}`);
  };
  switch (kind) {
    case MessageKind.VOTE_REQUEST:
      words.push(`last ${index}/${indexTerm}`);
      break;
    case MessageKind.VOTE_REPLY:
      words.push(message.granted ? "yes" : "no");
      break;
    case MessageKind.APPEND:
      words.push(`after ${index}/${indexTerm}`, `+${entries}`, `commit ${message.commit}`);
      break;
    case MessageKind.APPEND_REPLY:
      reply();
      if (message.outcome === Outcome.CONFLICT) {
        words.push(`refused ${message.prevIndex} hint ${index}/${indexTerm}`);
      }
      break;
    case MessageKind.HEARTBEAT:
      words.push(`commit ${message.commit}`, `sent ${index}`);
      break;
    case MessageKind.HEARTBEAT_REPLY:
      reply();
      break;
    case MessageKind.SNAPSHOT:
      words.push(`to ${index}/${indexTerm}`);
      break;
  }
  if (message.token > 0) words.push(`token ${message.token}`);
  if (message.quiet) words.push("quiet");
  return words.join(" ");
}
