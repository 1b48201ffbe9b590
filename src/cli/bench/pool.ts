/**
 * Several connections to every leader of a topic, found again after a failure.
 *
 * @module
 */

import type { Cluster, TopicPlace } from "../client/cluster.ts";
import type { Connection } from "../client/connection.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { brokerRefusal } from "../client/outcome.ts";

const REFRESH_INTERVAL_MS = 200;

export class Pool {
  readonly #cluster: Cluster;
  readonly #size: number;
  #topic: TopicPlace;
  #refreshedAt = 0;
  #refreshing: Promise<void> | null = null;
  /** By node and slot. */
  readonly #connections = new Map<string, Connection | Promise<Connection>>();

  /** @param size connections to each leader */
  constructor(cluster: Cluster, topic: TopicPlace, size: number) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#size = size;
  }

  get partitionCount(): number {
    return this.#topic.partitions.length;
  }

  /** The open connection of `slot` to the partition's leader, or a promise of one. */
  connection(partition: number, slot: number): Connection | Promise<Connection> {
    const leader = this.#topic.partitions[partition]!.leader;
    if (leader < 0) {
      throw brokerRefusal(`reach partition ${partition}`, ErrorCode.LEADER_NOT_AVAILABLE);
    }
    const key = `${leader}#${slot % this.#size}`;
    const known = this.#connections.get(key);
    if (known !== undefined && (known instanceof Promise || known.isOpen)) return known;
    const opening = this.#cluster.extraConnection(leader).then(
      (connection) => {
        this.#connections.set(key, connection);
        return connection;
      },
      (error) => {
        this.#connections.delete(key);
        throw error;
      },
    );
    this.#connections.set(key, opening);
    return opening;
  }

  /** Looks again for the leaders, at most every 200 ms however many ask. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh();
    await this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const wait = this.#refreshedAt + REFRESH_INTERVAL_MS - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      this.#topic = await this.#cluster.topic(this.#topic.name);
    } finally {
      this.#refreshedAt = performance.now();
      this.#refreshing = null;
    }
  }
}
