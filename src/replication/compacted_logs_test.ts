import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { compress } from "../bytes/compression.ts";
import { readBatches } from "../cli/client/records.ts";
import { loadShim } from "../io/shim.ts";
import { ShimCompactor } from "../io/shim_compactor.ts";
import { until } from "../io/task.ts";
import { Compacted } from "../storage/compaction.ts";
import { LOG_BUSY } from "../storage/log.ts";
import type { Compression } from "../wire/record_batch.ts";
import { RecordBatchBuilder } from "../wire/record_batch_builder.ts";
import type { ReplicaCluster, ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { bytesOf, committed, GROUP, ledCluster } from "./test_logs.ts";

const SHIM = loadShim();
const KEYS = 40;
const POLICY = {
  minDirtyRatio: 0,
  minLagMs: 0,
  maxLagMs: Infinity,
  deleteRetentionMs: 0,
  segmentBytes: 64 * 1024,
};
/** Longest time until everything is whole: inspections begin seconds after a start (virtual ms). */
const MEND_MS = 60_000;

/** A cluster whose log has keyed records; and what its readers are to know. */
class Story {
  readonly cluster: ReplicaCluster;
  readonly values = new Map<string, string | null>();
  end = 0;
  readonly #random: Xoshiro128;

  constructor(seed: number) {
    this.cluster = ledCluster(3, seed).cluster;
    this.#random = new Xoshiro128(seed);
  }

  get leader(): ReplicaNode {
    this.cluster.until("a leader", () => this.cluster.leaderOf(GROUP) !== null);
    return this.cluster.leaderOf(GROUP)!;
  }

  /** Appends batches of keyed records; a quarter of them delete their key. */
  append(batches: number, keys = KEYS): void {
    const segmentLimits = { segmentBytes: POLICY.segmentBytes, segmentMs: 1e12 };
    for (const node of this.cluster.nodes) {
      if (node.alive) this.cluster.replica(node, GROUP).log.segmentLimits = segmentLimits;
    }
    for (let i = 0; i < batches; i++) {
      const builder = new RecordBatchBuilder();
      const count = 1 + this.#random.nextBelow(8);
      const sets: [string, string | null][] = [];
      for (let k = 0; k < count; k++) {
        const key = `key-${this.#random.nextBelow(keys)}`;
        const value = this.#random.nextBelow(4) === 0 ? null : this.#noise(600);
        sets.push([key, value]);
        const bytes = value === null ? null : new TextEncoder().encode(value);
        builder.add({ key: new TextEncoder().encode(key), value: bytes, timestamp: 1_000_000 });
      }
      const compression = this.#random.nextBelow(5) as Compression;
      const batch = builder.build({
        compression,
        compress: (bytes) => compress(compression, bytes),
      });
      let result: number = LOG_BUSY;
      this.cluster.until("room", () => {
        const { leader, cluster } = this;
        leader.storage.memory.bytes.set(batch, 0);
        const replica = cluster.replica(leader, GROUP);
        result = replica.log.append(0, batch.length, replica.log.lastTerm, cluster.nowMs);
        if (result >= 0) replica.appended();
        return result >= 0;
      });
      this.end = result + count;
      for (const [key, value] of sets) this.values.set(key, value);
      if (i % 5 === 0) this.cluster.step();
    }
  }

  /** Text that does not compress to nothing. */
  #noise(length: number): string {
    return Array.from({ length }, () => (this.#random.nextBelow(36)).toString(36)).join("");
  }

  compact(node: ReplicaNode): void {
    const { cluster } = this;
    const [engine] = node.storage.engines;
    const compactor = new ShimCompactor(SHIM, node.storage.memory.bytes, 16 * 1024 * 1024, [
      1,
      2,
      3,
      4,
    ]);
    try {
      const result = node.storage.finish(engine!.compactions.compact(GROUP, {
        policy: POLICY,
        nowMs: 2_000_000,
        removalEnd: () => 0,
        mapBytesMax: 128 * 1024,
        compactor,
        pace: () => until<boolean>((done) => done(true)),
      }));
      assert.equal(result?.outcome, Compacted.DONE);
      assert.ok(result!.bytesAfter < result!.bytesBefore);
    } finally {
      compactor.close();
    }
    cluster.pass(10);
  }

  /** What a reader of a node's log knows; null: that a key is deleted, which replicas keep. */
  valuesOn(node: ReplicaNode): Map<string, string | null> {
    const bytes = bytesOf(this.cluster, node, this.end);
    const { records } = readBatches({ topic: "t", partition: 0, offset: 0 }, bytes, []);
    const values = new Map<string, string | null>();
    for (const { key, value } of records) {
      const name = new TextDecoder().decode(key!);
      values.set(name, value === null ? null : new TextDecoder().decode(value));
    }
    return values;
  }

  check(): void {
    committed(this.cluster, this.cluster.nodes, this.end);
    for (const node of this.cluster.nodes) {
      assert.deepEqual([...this.valuesOn(node)].sort(), [...this.values].sort(), `node ${node.id}`);
    }
    assert.deepEqual(this.cluster.wrong, []);
  }

  checkpoint(): void {
    for (const { storage } of this.cluster.nodes) storage.engines[0]!.checkpoint();
    this.cluster.until(
      "checkpoints",
      () => this.cluster.nodes.every(({ storage }) => !storage.engines[0]!.checkpointing),
    );
  }
}

Deno.test("a follower that was away catches up with a compacted log, from wherever its own ends", () => {
  let partial = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const story = new Story(seed);
    story.append(30 + 7 * seed);
    committed(story.cluster, story.cluster.nodes, story.end);
    const { leader } = story;
    const away = story.cluster.nodes.find((node) => node !== leader)!;
    story.cluster.kill(away);
    const hadEnd = story.end;
    story.append(250);
    const others = story.cluster.nodes.filter((node) => node !== away);
    committed(story.cluster, others, story.end);
    for (const node of others) story.compact(node);
    const { log } = story.cluster.replica(leader, GROUP);
    const segment = log.segments().find(({ baseOffset, endOffset }) =>
      baseOffset < hadEnd && hadEnd < endOffset
    );
    if (segment !== undefined) partial++;
    story.cluster.start(away);
    story.check();
    story.compact(away);
    story.append(20);
    story.check();
  }
  assert.ok(partial > 3, `the follower's end was inside of a compacted segment ${partial} times`);
});

Deno.test("a new leader's log was compacted at another time: its followers go on, and so do those that were away", () => {
  const story = new Story(31);
  for (let round = 0; round < 4; round++) {
    story.append(120);
    const { leader, cluster } = story;
    const [away, other] = cluster.nodes.filter((node) => node !== leader);
    committed(cluster, cluster.nodes, story.end);
    story.compact(round % 2 === 0 ? leader : other!);
    cluster.kill(away!);
    story.append(60);
    committed(cluster, [leader, other!], story.end);
    story.compact(other!);
    cluster.start(away!);
    cluster.kill(leader);
    story.append(10);
    cluster.start(leader);
    story.check();
  }
  // Tombstones of keys that nobody writes any more stay, round after round.
  for (let round = 0; round < 3; round++) {
    story.append(100, 3);
    committed(story.cluster, story.cluster.nodes, story.end);
    for (const node of story.cluster.nodes) story.compact(node);
    story.check();
  }
});

Deno.test("damage in a log that was compacted at another time than those of the others is mended with what they have", () => {
  for (let seed = 50; seed < 54; seed++) {
    const story = new Story(seed);
    story.append(200);
    committed(story.cluster, story.cluster.nodes, story.end);
    story.checkpoint();
    const [first, second] = story.cluster.nodes;
    story.compact(first!);
    story.append(200);
    committed(story.cluster, story.cluster.nodes, story.end);
    if (seed % 2 === 0) story.compact(first!);
    story.compact(second!);
    story.checkpoint();
    story.checkpoint();
    const { cluster } = story;
    for (const node of cluster.nodes) cluster.kill(node);
    for (const node of cluster.nodes) {
      const paths = node.storage.disk.paths().filter((path) =>
        path.includes(`.${GROUP}.`) && path.endsWith(".log")
      ).sort();
      const hurt = paths[(node.id + seed) % Math.max(1, paths.length - 2)]!;
      node.storage.disk.flipBit(hurt, 200, 3);
    }
    for (const node of cluster.nodes) cluster.start(node);
    committed(cluster, cluster.nodes, story.end);
    const lateMs = cluster.nowMs + MEND_MS;
    const isWhole = (): boolean =>
      cluster.nodes.every((node) => {
        const { log } = cluster.replica(node, GROUP);
        return node.storage.readAll(log, log.startOffset) !== null;
      });
    while (!isWhole()) {
      assert.ok(cluster.nowMs < lateMs, `not mended:\n${cluster.remarks.slice(-20).join("\n")}`);
      cluster.pass(100);
    }
    story.check();
    for (const node of cluster.nodes) cluster.kill(node);
    for (const node of cluster.nodes) cluster.start(node);
    story.check();
  }
});
