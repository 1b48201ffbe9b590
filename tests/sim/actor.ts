/**
 * One simulated client that lives longer than its connections and the broker's lives.
 *
 * An actor acts only in {@linkcode Actor.tick} and when an answer comes; every request is remembered
 * until it is answered, so that a forgotten one is found out.
 *
 * @module
 */

import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import type { Api } from "../../src/wire/api.ts";
import type { Checker } from "./checker.ts";
import type { DamageBook } from "./damage_book.ts";
import type { ClientEnd } from "./memory_sockets.ts";
import { SimClient } from "./sim_client.ts";
import { SimFailure } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";

/** Longest time for an answer while the disk lives (virtual ms). */
const ANSWER_MAX_MS = 60_000;

/** The same of data, where nuisances are about: they must not cost others that long. */
const PROMPT_MAX_MS = 10_000;
const PROMPT_APIS = ["Produce", "Fetch"];

/** A topic that actors use. */
export interface SimTopic {
  readonly name: string;
  id: string;
  partitions: number;
  /** May be deleted: is named by its id only. */
  readonly mortal: boolean;
  readonly trimmed: boolean;
  deleting: boolean;
}

export interface Stage {
  readonly node: SimNode;
  readonly checker: Checker;
  readonly topics: SimTopic[];
  readonly damage: DamageBook;
  /** The disk fills or fails: appends may be refused with KAFKA_STORAGE_ERROR. */
  readonly failingDisk: boolean;
  /** There are clients that stall, crowd and take nothing. */
  readonly nuisances: boolean;
  /** No new work: what is open is brought to its end. */
  draining: boolean;
}

interface OpenRequest {
  readonly name: string;
  readonly sentMs: number;
  /** How long its answer may take. */
  readonly maxMs: number;
}

export abstract class Actor {
  readonly stage: Stage;
  readonly random: Random;
  #client: SimClient | null = null;
  #open: OpenRequest[] = [];
  #shard = 0;

  constructor(stage: Stage, seed: number) {
    this.stage = stage;
    this.random = new Xoshiro128(seed);
  }

  /** Requests without an answer. */
  get openRequests(): number {
    return this.#open.length;
  }

  get connected(): boolean {
    return this.#client !== null;
  }

  /** Nothing is left to do. */
  abstract get idle(): boolean;

  /** Does something, or nothing. */
  protected abstract act(): void;

  /** The connection is gone, with everything that was open on it. */
  protected abstract forget(): void;

  /** Looks for answers, and acts. */
  tick(): void {
    const { node } = this.stage;
    if (this.#client === null) {
      this.#shard = this.random.nextBelow(node.shards.length);
      this.#client = new SimClient(node.connect(this.#shard));
    }
    this.#client.poll();
    // An answer may have hung up.
    if (this.#client === null) return;
    if (this.#client.end.closed) {
      this.lose();
      return;
    }
    const oldest = this.#open[0];
    if (oldest !== undefined && node.nowMs - oldest.sentMs > oldest.maxMs) {
      throw new SimFailure("liveness", `${oldest.name} is not answered in ${oldest.maxMs} ms`);
    }
    this.act();
  }

  /** The broker died, or closed the connection. */
  lose(): void {
    if (this.#client === null) return;
    this.#client = null;
    this.#open = [];
    this.forget();
  }

  /** Ends the connection from this side. */
  hangUp(): void {
    if (this.#client === null) return;
    this.#client.end.ended = true;
    this.lose();
  }

  protected ask<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
    onAnswer: (response: Response) => void,
  ): void {
    const { node, nuisances } = this.stage;
    const isPrompt = nuisances && PROMPT_APIS.includes(api.name);
    const open = {
      name: `${api.name} v${version}`,
      sentMs: node.nowMs,
      maxMs: isPrompt ? PROMPT_MAX_MS : ANSWER_MAX_MS,
    };
    this.#open.push(open);
    this.#client!.send(api, version, request, (response) => {
      this.#open.shift();
      onAnswer(response);
    });
  }

  /** The connection's client end, if there is one. */
  protected get end(): ClientEnd | null {
    return this.#client?.end ?? null;
  }

  /** Sends a request whose answer is owed to nobody. */
  protected send<Request>(api: Api<Request, unknown>, version: number, request: Request): void {
    this.#client!.send(api, version, request, () => {});
  }

  /** Sends a request that has no answer (acks=0). */
  protected tell<Request>(api: Api<Request, unknown>, version: number, request: Request): void {
    this.#client!.sendUnanswered(api, version, request);
  }

  protected chance(percent: number): boolean {
    return this.random.nextBelow(100) < percent;
  }

  protected pick<T>(from: readonly T[]): T {
    return from[this.random.nextBelow(from.length)]!;
  }
}
