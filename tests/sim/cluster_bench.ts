/**
 * A simulated cluster that is founded from seeds, and questions to its nodes.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import type { Api } from "../../src/wire/api.ts";
import { CREATE_TOPICS, METADATA } from "../../src/wire/generated/apis.ts";
import { newCreatableTopic } from "../../src/wire/generated/create_topics_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import type { MetadataResponse } from "../../src/wire/generated/metadata_response.ts";
import { SimClient } from "./sim_client.ts";
import { SimCluster } from "./sim_cluster.ts";

/** Longest time for anything (virtual ms). */
const SOON_MS = 20_000;

export class ClusterBench {
  readonly cluster: SimCluster;
  /** A connection to each node, which later questions take too. */
  readonly #clients = new Map<number, SimClient>();

  /** @param founders the first nodes, which found the cluster; the others join it when they are begun */
  constructor(
    seed: number,
    nodes = 3,
    settings: Readonly<Record<string, string>> = {},
    founders = nodes,
  ) {
    const node = { settings: { "offsets.topic.num.partitions": "3", ...settings } };
    this.cluster = new SimCluster({ seed, nodes, node, founds: true, founders });
  }

  /** Starts a node that was not, or has died. */
  join(nodeId: number, shardCount = 1): void {
    const node = this.cluster.nodes[nodeId]!;
    node.begin(shardCount);
    this.until(() => node.accepting, `the start of node ${nodeId}`);
  }

  start(...shardCounts: readonly number[]): void {
    for (const [at, shardCount] of shardCounts.entries()) this.cluster.nodes[at]!.begin(shardCount);
    this.until(() => this.cluster.accepting.length === shardCounts.length);
  }

  until(done: () => boolean, what = "it"): void {
    const lateMs = this.cluster.nowMs + SOON_MS;
    while (!done()) {
      if (this.cluster.nowMs >= lateMs) {
        const remarks = this.cluster.nodes.map(({ name, refusal, remarks }) =>
          `${name}: ${refusal} ${remarks.join("; ")}`
        );
        assert.fail(`${what} does not come\n${remarks.join("\n")}`);
      }
      this.cluster.step();
    }
  }

  /** Sends a request to which no answer is waited for. */
  send<Request, Response>(
    nodeId: number,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): void {
    const { network, nodes } = this.cluster;
    const client = new SimClient(network.dial(`client-of-${nodeId}`, nodes[nodeId]!.address));
    client.send(api, version, request, () => {});
  }

  ask<Request, Response>(
    nodeId: number,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Response {
    const { network, nodes } = this.cluster;
    let client = this.#clients.get(nodeId);
    if (client === undefined || client.end.closed || client.open > 0) {
      client = new SimClient(network.dial(`client-of-${nodeId}`, nodes[nodeId]!.address));
      this.#clients.set(nodeId, client);
    }
    let answer: Response | undefined;
    client.send(api, version, request, (response) => answer = response);
    const asked = client;
    this.until(() => (asked.poll(), answer !== undefined), api.name);
    return answer!;
  }

  metadata(nodeId: number, topic?: string): MetadataResponse {
    const topics = topic === undefined ? null : [{ name: topic, topicId: "0".repeat(32) }];
    return this.ask(nodeId, METADATA, 12, newMetadataRequest({ topics }));
  }

  /** All nodes say the same, with a leader for every partition; then it. */
  settled(topic: string, alive: readonly number[]): MetadataResponse["topics"][number] {
    let views: MetadataResponse["topics"][number][] = [];
    const agreed = (): boolean => {
      views = alive.map((nodeId) => this.metadata(nodeId, topic).topics[0]!);
      const texts = new Set(views.map((view) => JSON.stringify(view)));
      return texts.size === 1 && views[0]!.errorCode === 0 &&
        views[0]!.partitions.every(({ errorCode }) => errorCode === 0);
    };
    const lateMs = this.cluster.nowMs + SOON_MS;
    while (!agreed()) {
      assert(this.cluster.nowMs < lateMs, JSON.stringify(views));
      this.cluster.rest(20);
    }
    return views[0]!;
  }

  create(nodeId: number, name: string, replicationFactor = 3, numPartitions = 3) {
    const topics = [newCreatableTopic({ name, numPartitions, replicationFactor })];
    const request = { topics, timeoutMs: 5_000, validateOnly: false };
    return this.ask(nodeId, CREATE_TOPICS, 7, request).topics[0]!;
  }
}
