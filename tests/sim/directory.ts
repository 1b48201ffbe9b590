/**
 * What a simulated client knows of the cluster, as answers told it: addresses of nodes, leaders of partitions, the
 * controller, coordinators of groups. All of it may be out of date: a client asks again where it was refused. A leader of
 * an epoch before one that it knows is not believed.
 *
 * @module
 */

import { hostPort } from "../../src/base/address.ts";
import type { MetadataResponse } from "../../src/wire/generated/metadata_response.ts";

export const UNKNOWN_NODE = -1;

export class Directory {
  readonly #addresses = new Map<number, string>();
  readonly #leaders = new Map<string, number>();
  /** The latest epoch of each partition that any answer named. */
  readonly #epochs = new Map<string, number>();
  readonly #coordinators = new Map<string, number>();
  #controllerId = UNKNOWN_NODE;

  /** Replaces what is known of leaders and of the controller. */
  take(response: MetadataResponse): void {
    for (const { nodeId, host, port } of response.brokers) this.place(nodeId, host, port);
    this.#controllerId = response.controllerId;
    this.#leaders.clear();
    for (const { topicId, partitions } of response.topics) {
      for (const { partitionIndex, leaderId, leaderEpoch } of partitions) {
        const key = `${topicId}/${partitionIndex}`;
        const known = this.#epochs.get(key) ?? -1;
        if (leaderEpoch < known) continue;
        this.#epochs.set(key, leaderEpoch);
        this.#leaders.set(key, leaderId);
      }
    }
  }

  place(nodeId: number, host: string, port: number): void {
    this.#addresses.set(nodeId, hostPort(host, port));
  }

  noteCoordinator(group: string, nodeId: number): void {
    this.#coordinators.set(group, nodeId);
  }

  addressOf(nodeId: number): string | undefined {
    return this.#addresses.get(nodeId);
  }

  leaderOf(topicId: string, index: number): number {
    return this.#known(this.#leaders.get(`${topicId}/${index}`));
  }

  /** The latest epoch that is known; -1: none. */
  epochOf(topicId: string, index: number): number {
    return this.#epochs.get(`${topicId}/${index}`) ?? -1;
  }

  coordinatorOf(group: string): number {
    return this.#known(this.#coordinators.get(group));
  }

  get controllerId(): number {
    return this.#known(this.#controllerId);
  }

  /** Somebody was not who he was taken for. */
  forget(): void {
    this.#leaders.clear();
    this.#coordinators.clear();
    this.#controllerId = UNKNOWN_NODE;
  }

  /** A node without an address cannot be asked. */
  #known(nodeId = UNKNOWN_NODE): number {
    return this.#addresses.has(nodeId) ? nodeId : UNKNOWN_NODE;
  }
}
