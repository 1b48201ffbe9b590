/**
 * A node of two shards that knows of a second node, and whose leaderships come and go as a test says.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { RecordType } from "../../src/cluster/records.ts";
import type { Api } from "../../src/wire/api.ts";
import { CREATE_TOPICS } from "../../src/wire/generated/apis.ts";
import { newNodeRecord } from "../../src/wire/generated/node_record.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { type FickleReplica, fickleReplicas } from "./fickle_replica.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { topicRequest } from "./sim_requests.ts";

export const OTHER_NODE = 1;
/** Where clients find it, as a response says. */
export const OTHER_ENDPOINT = { nodeId: OTHER_NODE, host: "other.example", port: 4711, rack: null };
const SOON_MS = 200;

export class FickleBench {
  readonly node: SimNode;
  readonly #replicas = fickleReplicas();
  clients: SimClient[] = [];

  constructor(seed: number) {
    const settings = {
      "offsets.topic.num.partitions": "1",
      "offsets.topic.replication.factor": "1",
    };
    this.node = new SimNode({ seed, settings, makeReplica: this.#replicas.make });
    this.mount();
  }

  /** Begins a life. */
  mount(): void {
    assert(this.node.mount(2), this.node.refusal ?? "it does not start");
    this.clients = [0, 1].map((shard) => new SimClient(this.node.connect(shard)));
    const { host, port } = OTHER_ENDPOINT;
    const endpoints = [{ name: "kafka", host, port }];
    const body = newNodeRecord({ nodeId: OTHER_NODE, incarnation: ZERO_UUID, endpoints });
    for (const { shard } of this.node.shards) {
      assert.equal(shard.image.replay({ type: RecordType.NODE, body }), null);
    }
  }

  step(): void {
    this.node.step();
    for (const client of this.clients) client.poll();
  }

  until(done: () => boolean, boundMs = SOON_MS): void {
    const lateMs = this.node.nowMs + boundMs;
    while (!done()) {
      assert(this.node.nowMs < lateMs, `not within ${boundMs} ms`);
      this.step();
    }
  }

  /** Sends a request over a shard's connection; the result waits for the answer. */
  ask<Request, Response>(
    shard: number,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): (boundMs?: number) => Response {
    const answers: Response[] = [];
    this.clients[shard]!.send(api, version, request, (response) => answers.push(response));
    return (boundMs) => {
      this.until(() => answers.length > 0, boundMs);
      return answers[0]!;
    };
  }

  /** Makes a topic of one partition; returns its id. */
  create(name: string): string {
    const { topics } = this.ask(0, CREATE_TOPICS, 7, topicRequest(name, 1))();
    assert.equal(topics[0]!.errorCode, 0);
    return topics[0]!.topicId;
  }

  replicaOf(groupId: number): FickleReplica {
    return this.#replicas.made.get(groupId)!;
  }

  /** The replica of a topic's only partition. */
  replica(topicName: string): FickleReplica {
    const { image } = this.node.shards[0]!.shard;
    return this.replicaOf(image.topicByName(topicName)!.partitions[0]!.groupId);
  }

  /** Gives the leadership back, and waits until this node leads. */
  elect(replica: FickleReplica): void {
    replica.standAgain();
    this.until(() => replica.leading);
  }
}

/** There is a record in the log that is not committed. */
export function isInFlight({ log, commitOffset }: FickleReplica): boolean {
  return log.endOffset > commitOffset;
}
