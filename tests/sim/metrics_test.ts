/**
 * Rows for a page of metrics are collected in many turns: a shard with thousands of partitions serves its clients in between.
 */

import { strict as assert } from "node:assert";
import { runTask } from "../../src/io/task.ts";
import { Slot } from "../../src/metrics/catalog.ts";
import { ROWS_PER_TURN } from "../../src/metrics/limits.ts";
import { collectMetrics, type MetricRows } from "../../src/shard/metric_rows.ts";
import { CREATE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

const PARTITIONS = 2_000;
/** A produce is answered within so many turns meanwhile, as without a scrape. */
const TURNS_MAX = 150;

Deno.test("thousands of partitions are collected in parts, and produces are answered meanwhile", () => {
  const node = new SimNode({ seed: 1, arenaBytes: 64 * 2 ** 20 });
  assert.ok(node.mount(1));
  const client = new SimClient(node.connect(0));
  let created = false;
  client.send(CREATE_TOPICS, 7, topicRequest("orders", PARTITIONS), () => created = true);
  assert.ok(node.run(() => (client.poll(), created), 1_000_000), "no topic");
  const shard = node.shards[0]!.steps.shard!;

  let turn = 0;
  let isOver = false;
  /** Turns until a produce is answered. */
  const produce = (): number => {
    let done = false;
    const from = turn;
    client.send(PRODUCE, 9, produceRequest("orders", 0, SMALL_BATCH), () => done = true);
    assert.ok(node.run(() => (client.poll(), turn++, done), 20_000), "no answer to a produce");
    return turn - from;
  };
  // The first ones wait for the files of the new partitions.
  for (let quick = 0; quick < 10;) quick = produce() < TURNS_MAX ? quick + 1 : 0;

  const parts: { readonly turn: number; readonly rows: MetricRows }[] = [];
  runTask(collectMetrics(shard, (rows) => parts.push({ turn, rows })), (rows) => {
    parts.push({ turn, rows });
    isOver = true;
  });
  let answered = 0;
  for (; !isOver; answered++) {
    const turns = produce();
    assert.ok(turns < TURNS_MAX, `${turns} turns`);
  }
  assert.ok(answered > 0);

  const partitions = parts.flatMap(({ rows }) => rows.partitions ?? []);
  assert.equal(partitions.length, PARTITIONS);
  assert.ok(partitions.every(({ topic, leads }) => topic === "orders" && leads));
  const counts = parts.map(({ rows }) => (rows.partitions ?? rows.topics ?? []).length);
  assert.ok(counts.every((count) => count <= ROWS_PER_TURN), String(counts));
  const turns = parts.filter(({ rows }) => rows.partitions?.length === ROWS_PER_TURN)
    .map((part) => part.turn);
  assert.equal(new Set(turns).size, PARTITIONS / ROWS_PER_TURN, `in turns ${turns}`);
  assert.equal(shard.recorder.values[Slot.LEADING], PARTITIONS + 1);
  assert.deepEqual(parts.at(-1)!.rows.cluster, {
    brokers: 1,
    unreachable: 0,
    topics: 1,
    partitions: PARTITIONS,
    unavailable: 0,
  });
});
