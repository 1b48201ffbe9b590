/**
 * Links to the brokers of a cluster: each to the one that leads a partition or coordinates a group, as the brokers
 * themselves say when a connection is made. Brokers are asked in turn, whichever of them is there.
 *
 * @module
 */

import { Connection, ConnectionFailure } from "../../src/cli/client/connection.ts";
import type { Address } from "../../src/cli/flags.ts";
import type { Api } from "../../src/wire/api.ts";
import { FIND_COORDINATOR, METADATA } from "../../src/wire/generated/apis.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import type { MetadataResponse } from "../../src/wire/generated/metadata_response.ts";
import type { About, Brokers } from "../crash/brokers.ts";
import { Link, type Locate } from "../crash/link.ts";

const ASK_MS = 5_000;
/** Metadata is asked for at most this often, however many links look for their broker. */
const REFRESH_MS = 50;
/** Highest versions that name topics, and take a single group. */
const METADATA_NAMES = 9;
const FIND_COORDINATOR_ONE = 2;

export class ClusterLinks implements Brokers {
  readonly #addresses: readonly Address[];
  readonly #links = new Map<string, Link>();
  #turn = 0;
  #metadata: Promise<MetadataResponse> | null = null;
  #askedMs = -Infinity;

  constructor(addresses: readonly Address[]) {
    this.#addresses = addresses;
  }

  get links(): readonly Link[] {
    return [...this.#links.values()];
  }

  link(client: string, about: About): Link {
    const key = `${client} ${nameOf(about)}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new Link(this.#locate(about), client);
      this.#links.set(key, link);
    }
    return link;
  }

  /** The node that leads a partition, as the next broker in turn says; -1: nobody, or it is not known. */
  async leaderOf(topic: string, partition: number): Promise<number> {
    return leaderIn(await this.metadata(), topic, partition);
  }

  /** What the next broker in turn says. */
  metadata(): Promise<MetadataResponse> {
    const nowMs = performance.now();
    if (this.#metadata === null || nowMs - this.#askedMs > REFRESH_MS) {
      this.#askedMs = nowMs;
      const request = newMetadataRequest({ topics: null, allowAutoTopicCreation: false });
      this.#metadata = this.#ask(METADATA, request, METADATA_NAMES);
      // Whoever waits for it hears of a failure, and the next one asks anew.
      this.#metadata.catch(() => this.#metadata = null);
    }
    return this.#metadata;
  }

  #locate(about: About): Locate {
    if (about === null) return () => Promise.resolve(this.#anybody());
    if ("group" in about) return () => this.#coordinatorOf(about.group);
    return () => this.#leaderAddress(about.topic, about.partition);
  }

  async #leaderAddress(topic: string, partition: number): Promise<Address> {
    const metadata = await this.metadata();
    const leader = leaderIn(metadata, topic, partition);
    const broker = metadata.brokers.find(({ nodeId }) => nodeId === leader);
    if (broker === undefined) {
      throw new ConnectionFailure(this.#addresses[0]!, `nobody leads ${topic}/${partition}`);
    }
    return { host: broker.host, port: broker.port };
  }

  async #coordinatorOf(group: string): Promise<Address> {
    const request = newFindCoordinatorRequest({ key: group });
    const { errorCode, host, port } = await this.#ask(
      FIND_COORDINATOR,
      request,
      FIND_COORDINATOR_ONE,
    );
    if (errorCode !== 0) {
      throw new ConnectionFailure(this.#addresses[0]!, `nobody coordinates ${group}`);
    }
    return { host, port };
  }

  async #ask<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    maxVersion: number,
  ): Promise<Response> {
    const options = { timeoutMs: ASK_MS, clientId: "locator" };
    const connection = await Connection.open(this.#anybody(), options);
    try {
      return await connection.call(api, request, { maxVersion });
    } finally {
      connection.close();
    }
  }

  #anybody(): Address {
    return this.#addresses[this.#turn++ % this.#addresses.length]!;
  }
}

function leaderIn({ topics }: MetadataResponse, topic: string, partition: number): number {
  const found = topics.find(({ name }) => name === topic);
  return found?.partitions.find(({ partitionIndex }) => partitionIndex === partition)?.leaderId ??
    -1;
}

function nameOf(about: About): string {
  if (about === null) return "";
  return "group" in about ? about.group : `${about.topic}/${about.partition}`;
}
