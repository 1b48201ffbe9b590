/**
 * One simulated client that lives longer than its connections and the brokers' lives.
 *
 * It connects to any node, and asks leaders, coordinators and the controller for what only they answer: it learns of
 * them from Metadata and FindCoordinator, and asks again when it was refused ({@linkcode Actor.misled}). When one of
 * its connections is lost it gives up all of them, with everything that was open on any.
 *
 * An actor acts only in {@linkcode Actor.tick} and when an answer comes; every request is remembered
 * until it is answered, so that a forgotten one is found out.
 *
 * @module
 */

import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { FIND_COORDINATOR, METADATA } from "../../src/wire/generated/apis.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import type { Checker } from "./checker.ts";
import type { DamageBook } from "./damage_book.ts";
import { Directory, UNKNOWN_NODE } from "./directory.ts";
import type { ClientEnd } from "./memory_sockets.ts";
import { SimClient } from "./sim_client.ts";
import { SimFailure } from "./sim_failure.ts";
import type { SimCluster } from "./sim_cluster.ts";

/** Longest time for an answer while the disk lives (virtual ms). */
const ANSWER_MAX_MS = 60_000;

/** The same of data, where nuisances are about: they must not cost others that long. */
const PROMPT_MAX_MS = 10_000;
const PROMPT_APIS = ["Produce", "Fetch"];

/** Refusals of a node that is not the right one. */
const MISLED: ReadonlySet<number> = new Set([
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.NOT_CONTROLLER,
]);

const METADATA_VERSION = 12;
const FIND_COORDINATOR_VERSION = 2;
/** Pause between two questions of who leads what (virtual ms), in a cluster of one and of several nodes. */
const DISCOVERY_PAUSE_MS = 5;
const REDISCOVERY_PAUSE_MS = 50;
/** One pause in this many is this much longer. */
const REST_ONE_IN = 50;
const REST_TIMES = 20;

/** A topic that actors use. */
export interface SimTopic {
  readonly name: string;
  id: string;
  partitions: number;
  /** May be deleted: is named by its id only. */
  readonly mortal: boolean;
  readonly trimmed: boolean;
  deleting: boolean;
  /** The cluster said that it is gone. */
  deleted: boolean;
}

export interface Stage {
  readonly cluster: SimCluster;
  readonly checker: Checker;
  readonly topics: SimTopic[];
  /** What was done to the disk of each node, by its id. */
  readonly books: readonly DamageBook[];
  /** The disk fills or fails: appends may be refused with KAFKA_STORAGE_ERROR. */
  readonly failingDisk: boolean;
  /** There are clients that stall, crowd and take nothing. */
  readonly nuisances: boolean;
  /** Connections may stall, because of those clients or of the network. */
  readonly stalls: boolean;
  /** Clients ask who leads what; else they take the one node for everything. */
  readonly discovers: boolean;
  /** No new work: what is open is brought to its end. */
  draining: boolean;
  /** Since when nothing goes wrong any more (virtual ms): what is sent from then on must be answered. */
  calmSinceMs: number;
  /** After this time without an answer a client gives up what was sent before that (ms). */
  readonly patienceMs: number;
  /** Clients pause for about this long between two actions (ms); 0: they act in every step. */
  readonly thinkMs: number;
  /** Clients so far: each has a host of its own. */
  clients: number;
}

interface OpenRequest {
  readonly name: string;
  readonly sentMs: number;
  /** How long its answer may take. */
  readonly maxMs: number;
}

/** A connection to one node. */
interface Line {
  readonly client: SimClient;
  readonly open: OpenRequest[];
}

export abstract class Actor {
  readonly stage: Stage;
  readonly random: Random;
  readonly name: string;
  readonly #directory = new Directory();
  /** By node. */
  #lines = new Map<number, Line>();
  /** The node that it connected to first. */
  #home = UNKNOWN_NODE;
  #openRequests = 0;
  #discovering = false;
  #discoverAtMs = 0;
  #actAtMs = 0;

  constructor(stage: Stage, seed: number) {
    this.stage = stage;
    this.random = new Xoshiro128(seed);
    this.name = `client-${stage.clients++}`;
  }

  /** Requests without an answer. */
  get openRequests(): number {
    return this.#openRequests;
  }

  get connected(): boolean {
    return this.#lines.size > 0;
  }

  /** Nothing is left to do. */
  abstract get idle(): boolean;

  /** Does something, or nothing. */
  protected abstract act(): void;

  /** The connection is gone, with everything that was open on it. */
  protected abstract forget(): void;

  /** Looks for answers, and acts. */
  tick(): void {
    const { cluster } = this.stage;
    if (this.#lines.size === 0 && !this.#connect()) return;
    for (const { client, open } of this.#lines.values()) {
      client.poll();
      // An answer may have hung up.
      if (this.#lines.size === 0) return;
      if (client.end.closed) {
        this.lose();
        return;
      }
      if (open[0] !== undefined && !this.#isPatient(open[0])) {
        this.#giveUp();
        return;
      }
    }
    if (cluster.nowMs < this.#actAtMs) return;
    this.#think();
    this.act();
  }

  /** Whether it goes on waiting for an answer; throws where that must have come. */
  #isPatient({ name, sentMs, maxMs }: OpenRequest): boolean {
    const { cluster, calmSinceMs, patienceMs } = this.stage;
    const waitedMs = cluster.nowMs - sentMs;
    if (sentMs < calmSinceMs) return waitedMs <= patienceMs;
    if (waitedMs <= maxMs) return true;
    throw new SimFailure("liveness", `${name} of ${this.name} is not answered in ${maxMs} ms`);
  }

  /** No answer comes: what is on its way to the brokers is lost as well. */
  #giveUp(): void {
    this.note(() => "gives up");
    for (const { client } of this.#lines.values()) client.end.abort();
    this.#endAll();
  }

  #think(): void {
    const { thinkMs, draining, cluster } = this.stage;
    if (thinkMs === 0 || draining) return;
    const times = this.random.nextBelow(REST_ONE_IN) === 0 ? REST_TIMES : 1;
    this.#actAtMs = cluster.nowMs + times * this.random.nextBelow(2 * thinkMs);
  }

  /** A node has died, or goes: it takes no more of what was sent to it. */
  leave(nodeId: number): void {
    if (!this.#lines.delete(nodeId)) return;
    this.#endAll();
  }

  /** A broker closed a connection. */
  lose(): void {
    if (this.#lines.size > 0) this.#endAll();
  }

  /** Ends all connections from this side. */
  hangUp(): void {
    this.lose();
  }

  #endAll(): void {
    for (const { client } of this.#lines.values()) client.end.hangUp();
    this.#lines = new Map();
    this.#openRequests = 0;
    this.#discovering = false;
    this.#directory.forget();
    this.forget();
  }

  /** Connects to any node; false when none can be found. */
  #connect(): boolean {
    const { accepting } = this.stage.cluster;
    if (accepting.length === 0) return false;
    const { nodeId, address } = this.pick(accepting);
    this.#home = nodeId;
    this.#dial(nodeId, address);
    return true;
  }

  #dial(nodeId: number, address: string): Line {
    const line = {
      client: new SimClient(this.stage.cluster.network.dial(this.name, address)),
      open: [],
    };
    this.#lines.set(nodeId, line);
    return line;
  }

  /** The connection to a node, made when there is none. */
  #lineTo(nodeId: number): Line {
    const address = this.#directory.addressOf(nodeId);
    return this.#lines.get(nodeId) ?? this.#dial(nodeId, address!);
  }

  /** Sends a request to the node that it connected to first, or to another one. */
  protected ask<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
    onAnswer: (response: Response) => void,
    nodeId = this.#home,
  ): void {
    const { cluster, nuisances } = this.stage;
    const isPrompt = nuisances && PROMPT_APIS.includes(api.name);
    const name = `${api.name} v${version}`;
    const { client, open } = this.#lineTo(nodeId);
    open.push({ name, sentMs: cluster.nowMs, maxMs: isPrompt ? PROMPT_MAX_MS : ANSWER_MAX_MS });
    this.#openRequests++;
    this.note(() => `${name} to node-${nodeId}`);
    client.send(api, version, request, (response) => {
      open.shift();
      this.#openRequests--;
      this.note(() => `${name} is answered by node-${nodeId}`);
      onAnswer(response);
    });
  }

  /** The connection's client end, if there is one. */
  protected get end(): ClientEnd | null {
    return this.#lines.get(this.#home)?.client.end ?? null;
  }

  /** Sends a request whose answer is owed to nobody. */
  protected send<Request>(api: Api<Request, unknown>, version: number, request: Request): void {
    this.#lineTo(this.#home).client.send(api, version, request, () => {});
  }

  /** Sends a request that has no answer (acks=0). */
  protected tell<Request>(
    api: Api<Request, unknown>,
    version: number,
    request: Request,
    nodeId: number,
  ): void {
    this.#lineTo(nodeId).client.sendUnanswered(api, version, request);
  }

  /** The node that leads a partition; -1: asks for it, and does not know yet. */
  protected leaderOf(topicId: string, index: number): number {
    if (!this.stage.discovers) return this.#home;
    const nodeId = this.#directory.leaderOf(topicId, index);
    if (nodeId < 0) this.#discover();
    return nodeId;
  }

  /** The epoch in which a partition is led, as this client knows; -1: it does not. */
  protected epochOf(topicId: string, index: number): number {
    return this.#directory.epochOf(topicId, index);
  }

  /** The controller; -1 as above. */
  protected controller(): number {
    if (!this.stage.discovers) return this.#home;
    const { controllerId } = this.#directory;
    if (controllerId < 0) this.#discover();
    return controllerId;
  }

  /** A group's coordinator; -1 as above. */
  protected coordinatorOf(group: string): number {
    if (!this.stage.discovers) return this.#home;
    const nodeId = this.#directory.coordinatorOf(group);
    if (nodeId < 0 && this.#mayDiscover()) {
      const request = newFindCoordinatorRequest({ key: group, keyType: 0 });
      this.ask(FIND_COORDINATOR, FIND_COORDINATOR_VERSION, request, (response) => {
        this.#discovering = false;
        this.stage.checker.observe(response.errorCode);
        if (response.errorCode !== ErrorCode.NONE) return;
        this.#directory.place(response.nodeId, response.host, response.port);
        this.#directory.noteCoordinator(group, response.nodeId);
      });
    }
    return nodeId;
  }

  /** A node refused what only another one does. */
  protected misled(errorCode: number): void {
    if (MISLED.has(errorCode)) this.#directory.forget();
  }

  #discover(): void {
    if (!this.#mayDiscover()) return;
    const request = newMetadataRequest({ topics: null, allowAutoTopicCreation: false });
    this.ask(METADATA, METADATA_VERSION, request, (response) => {
      this.#discovering = false;
      this.stage.checker.observe(response.topics.length);
      this.#directory.take(response);
    });
  }

  /** One question at a time, and not too often. */
  #mayDiscover(): boolean {
    const { nowMs, nodes } = this.stage.cluster;
    if (this.#discovering || nowMs < this.#discoverAtMs) return false;
    this.#discovering = true;
    this.#discoverAtMs = nowMs + (nodes.length === 1 ? DISCOVERY_PAUSE_MS : REDISCOVERY_PAUSE_MS);
    return true;
  }

  /** A line of the trace, if there is one. */
  protected note(what: () => string): void {
    this.stage.cluster.trace?.note(this.name, what());
  }

  protected chance(percent: number): boolean {
    return this.random.nextBelow(100) < percent;
  }

  protected pick<T>(from: readonly T[]): T {
    return from[this.random.nextBelow(from.length)]!;
  }
}
