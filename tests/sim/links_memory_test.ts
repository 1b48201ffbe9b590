/**
 * Simulated nodes whose memory has no room for the links to all shards of the others: they say so, and how much would do.
 */

import { strict as assert } from "node:assert";
import { SimCluster } from "./sim_cluster.ts";

const SHARDS = 4;

/** What the nodes of a cluster say while they start, of their links. */
function remarksWith(arenaBytes: number): { readonly served: number; readonly remarks: string[] } {
  const node = { arenaBytes, settings: { "offsets.topic.num.partitions": "3" } };
  const cluster = new SimCluster({ seed: 5, nodes: 3, node, founds: true });
  for (const each of cluster.nodes) each.begin(SHARDS);
  for (let i = 0; i < 400 && cluster.accepting.length < 3; i++) cluster.rest(20);
  cluster.rest(3_000);
  return {
    served: cluster.accepting.length,
    remarks: cluster.nodes.flatMap(({ remarks }) => remarks),
  };
}

Deno.test("memory without room for the links to all other shards is named, with what would do", () => {
  const { remarks } = remarksWith(8 * 2 ** 20);
  const said = remarks.filter((remark) => remark.startsWith("The memory has no room"));
  // Eight shards of others at 288 KiB, in an eighth of each of four shards' memory.
  assert.match(
    said.at(-1) ?? "",
    /"shardsOfOtherNodes":8,"remedy":"start with --memory 73MiB or more/,
  );
  assert.deepEqual(remarks.filter((remark) => remark.includes("without an answer")), []);
});

Deno.test("with as much as is named nothing is missing", () => {
  const { served, remarks } = remarksWith(73 / SHARDS * 2 ** 20);
  assert.equal(served, 3);
  assert.deepEqual(remarks.filter((remark) => /memory/i.test(remark)), []);
});

Deno.test("a node that the others have no room for says so while it waits", () => {
  const node = { arenaBytes: 8 * 2 ** 20, settings: { "offsets.topic.num.partitions": "1" } };
  const cluster = new SimCluster({ seed: 6, nodes: 21, node, founds: true, founders: 3 });
  for (const each of cluster.nodes.slice(0, 3)) each.begin(1);
  for (let i = 0; i < 400 && cluster.accepting.length < 3; i++) cluster.rest(20);
  for (const each of cluster.nodes.slice(3)) each.begin(1);
  cluster.rest(15_000);
  const waiting = cluster.nodes.slice(3).flatMap(({ remarks }) =>
    remarks.filter((remark) => remark.startsWith("Waiting for the other nodes"))
  );
  const why = "(it has no room for another connection, or is stopping)";
  assert(waiting.some((remark) => remark.includes(why)), waiting.at(-1));
});
