import { strict as assert } from "node:assert";
import type { Api } from "../../src/wire/api.ts";
import { CREATE_TOPICS, METADATA, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { SimClient } from "./sim_client.ts";
import { SimCluster } from "./sim_cluster.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

/** Longest time for anything (virtual ms). */
const SOON_MS = 5_000;

class Bench {
  readonly cluster: SimCluster;

  constructor(seed: number, nodes: number, wallSkewsMs: readonly number[] = []) {
    this.cluster = new SimCluster({ seed, nodes, node: {}, wallSkewsMs });
    for (const node of this.cluster.nodes) node.begin(1);
    this.until(() => this.cluster.accepting.length === nodes);
  }

  until(done: () => boolean): void {
    const lateMs = this.cluster.nowMs + SOON_MS;
    while (!done()) {
      assert(this.cluster.nowMs < lateMs, "it does not come");
      this.cluster.step();
    }
  }

  client(nodeId: number): SimClient {
    const { network, nodes } = this.cluster;
    return new SimClient(network.dial(`client-of-${nodeId}`, nodes[nodeId]!.address));
  }

  ask<Request, Response>(
    client: SimClient,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Response {
    let answer: Response | undefined;
    client.send(api, version, request, (response) => answer = response);
    this.until(() => (client.poll(), answer !== undefined));
    return answer!;
  }
}

Deno.test("nodes of a SimCluster have an id, an address, a disk and lives of their own", () => {
  const bench = new Bench(3, 3);
  const { nodes } = bench.cluster;
  const clients = nodes.map(({ nodeId }) => bench.client(nodeId));
  for (const [id, client] of clients.entries()) {
    const made = bench.ask(client, CREATE_TOPICS, 7, topicRequest(`of-${id}`, 1));
    assert.equal(made.topics[0]!.errorCode, 0);
    const { brokers } = bench.ask(client, METADATA, 12, newMetadataRequest({ topics: null }));
    assert.deepEqual(brokers.map(({ nodeId, host, port }) => [nodeId, host, port]), [
      [id, `10.0.0.${id + 1}`, 9092],
    ]);
  }
  nodes[1]!.crash();
  bench.cluster.step();
  assert.deepEqual(clients.map(({ end }) => end.closed), [false, true, false]);
  assert(bench.client(1).end.closed, "nobody listens there");
  const produced = bench.ask(clients[2]!, PRODUCE, 9, produceRequest("of-2", 0, SMALL_BATCH));
  assert.equal(produced.responses[0]!.partitionResponses[0]!.errorCode, 0);

  nodes[1]!.begin(2);
  bench.until(() => nodes[1]!.accepting);
  const again = bench.ask(bench.client(1), METADATA, 12, newMetadataRequest({ topics: null }));
  assert.deepEqual(again.topics.map(({ name }) => name), ["of-1"]);
  assert.equal(nodes[0]!.shards.length, 1);
});

Deno.test("wall clocks of a SimCluster differ, and time passes equally", () => {
  const bench = new Bench(4, 2, [0, 60_000]);
  const walls = (): number[] =>
    bench.cluster.nodes.map(({ shards }) => shards[0]!.shard.options.clock.wallMs());
  const [before, beforeOther] = walls();
  assert.equal(beforeOther! - before!, 60_000);
  bench.cluster.rest(100);
  assert.deepEqual(walls(), [before! + 100, beforeOther! + 100]);
});

Deno.test("a link of a SimCluster that is cut delays its client alone", () => {
  const bench = new Bench(5, 1);
  const { network, nodes } = bench.cluster;
  const [far, near] = ["far", "near"].map((host) =>
    new SimClient(network.dial(host, nodes[0]!.address))
  );
  network.link("node-0", "far").cut = true;
  let answered = 0;
  far!.send(METADATA, 12, newMetadataRequest({ topics: null }), () => answered++);
  bench.ask(near!, METADATA, 12, newMetadataRequest({ topics: null }));
  bench.cluster.rest(1_000);
  far!.poll();
  assert.equal(answered, 0);
  network.heal();
  bench.until(() => (far!.poll(), answered === 1));
});
