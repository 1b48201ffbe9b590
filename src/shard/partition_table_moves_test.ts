/**
 * Which logs a node makes, opens and deletes, when replicas move and its image may be older than its logs.
 */

import { strict as assert } from "node:assert";
import { Settings } from "../base/settings.ts";
import { PartitionImage, TopicImage } from "../cluster/image.ts";
import { TopicConfig } from "../cluster/topic_config.ts";
import { type Task, until } from "../io/task.ts";
import { ManualLog } from "../kafka/test_manual_log.ts";
import { groupOfOne } from "../replication/test_group_of_one.ts";
import type { LogCreation, ShardStorage } from "../storage/shard_storage.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { PartitionTable } from "./partition_table.ts";

const LIFE = 0x1200;
const OTHER_LIFE = 0x3400;
const GROUP = 7;

/** A node's table over logs of which only the incarnations count. */
class Bench {
  readonly logs = new Map<number, ManualLog & { incarnation: number }>();
  readonly told: string[] = [];
  readonly #deletions: (() => void)[] = [];
  readonly table: PartitionTable;
  readonly image: PartitionImage;

  /** @param incarnation of the log that the last run left; 0: none */
  constructor(incarnation: number, lives = [LIFE, OTHER_LIFE]) {
    if (incarnation > 0) this.#add(incarnation);
    const { logs, told } = this;
    const deletions = this.#deletions;
    const add = (made: number) => this.#add(made);
    const storage = {
      shard: 0,
      logs,
      createLog({ incarnation: made }: LogCreation) {
        told.push(`creates ${made}`);
        return add(made);
      },
      *deleteLog(groupId: number): Task<number> {
        told.push(`deletes ${logs.get(groupId)!.incarnation}`);
        return yield* until<number>((done) =>
          deletions.push(() => {
            logs.delete(groupId);
            done(0);
          })
        );
      },
    } as unknown as ShardStorage;
    const config = new TopicConfig(new Map(), new Settings(new Map()));
    const topic = new TopicImage({ topicId: ZERO_UUID, name: "t" }, 0, config);
    const replicas = [0, 1];
    this.image = new PartitionImage({
      topic,
      index: 0,
      groupId: GROUP,
      replicas,
      incarnations: lives,
    });
    topic.partitions.push(this.image);
    this.table = new PartitionTable(storage, {
      nodeId: 0,
      life: LIFE,
      shardCount: 1,
      makeReplica: (log) => Object.assign(groupOfOne(log, 0), { force: () => told.push("forces") }),
      imageOf: () => this.image,
      onDamaged: () => {},
      onCurrent: () => {},
      onWritable: () => {},
      onLeading: () => {},
      onFollowing: () => {},
    });
    this.table.listen({
      partitionOpened: ({ log }) => told.push(`opens ${log.incarnation}`),
      partitionClosed: ({ log }) => told.push(`closes ${log.incarnation}`),
    });
  }

  #add(incarnation: number) {
    const log = Object.assign(new ManualLog(), { incarnation });
    this.logs.set(GROUP, log);
    return log;
  }

  /** What the metadata says next: the replicas, each with the change by which it came. */
  change(
    change: number,
    replicas: Readonly<Record<number, number>>,
    removing: number[] = [],
    forced = false,
  ) {
    this.image.apply({
      topicId: ZERO_UUID,
      partitionIndex: 0,
      change,
      replicas: Object.entries(replicas).map(([nodeId, since]) => ({
        nodeId: Number(nodeId),
        life: nodeId === "0" ? LIFE : OTHER_LIFE,
        since,
      })),
      adding: [],
      removing,
      forced,
    });
    this.table.partitionChanged(this.image);
  }

  endDeletions(): void {
    for (const end of this.#deletions.splice(0)) end();
  }

  takeTold(): string {
    return this.told.splice(0).join(", ");
  }
}

Deno.test("a log that is there is opened at once, and a new one is made when the image is not older than the start", () => {
  const there = new Bench(1);
  there.table.partitionAdded(there.image);
  assert.equal(there.takeTold(), "opens 1");
  const fresh = new Bench(0);
  fresh.table.partitionAdded(fresh.image);
  assert.equal(fresh.takeTold(), "");
  fresh.table.noteCurrent();
  assert.equal(fresh.takeTold(), "creates 1, opens 1");
});

Deno.test("a replica that moves away is deleted, and one that comes back has another log", () => {
  const bench = new Bench(1);
  bench.table.partitionAdded(bench.image);
  bench.table.noteCurrent();
  bench.change(1, { 1: 0, 2: 1, 0: 0 }, [0]);
  assert.equal(bench.takeTold(), "opens 1", "it is part of the group until that is decided");
  bench.change(2, { 1: 0, 2: 1 });
  assert.equal(bench.takeTold(), "closes 1, deletes 1");
  bench.change(3, { 0: 3, 1: 0, 2: 1 });
  assert.equal(bench.takeTold(), "", "not while the old one goes");
  bench.endDeletions();
  assert.equal(bench.takeTold(), "creates 4, opens 4");
});

Deno.test("a start that replays old metadata neither opens nor deletes a log of later times", () => {
  const bench = new Bench(4);
  bench.table.partitionAdded(bench.image);
  bench.change(1, { 1: 0, 2: 1, 0: 0 }, [0]);
  bench.change(2, { 1: 0, 2: 1 });
  bench.table.noteCurrent();
  assert.equal(bench.takeTold(), "");
  bench.change(3, { 0: 3, 1: 0, 2: 1 });
  assert.equal(bench.takeTold(), "opens 4");
});

Deno.test("a log that others hold by now is deleted when that is sure", () => {
  const bench = new Bench(1);
  bench.image.apply({
    topicId: ZERO_UUID,
    partitionIndex: 0,
    change: 2,
    replicas: [{ nodeId: 1, life: OTHER_LIFE, since: 0 }],
    adding: [],
    removing: [],
    forced: false,
  });
  bench.table.partitionAdded(bench.image);
  assert.equal(bench.takeTold(), "");
  bench.table.noteCurrent();
  assert.equal(bench.takeTold(), "deletes 1");
  bench.endDeletions();
  assert.equal(bench.takeTold(), "");
});

Deno.test("a log from before the node left and came back is not taken for its present one", () => {
  const bench = new Bench(1);
  bench.change(3, { 0: 3, 1: 0 });
  assert.equal(bench.takeTold(), "");
  bench.table.noteCurrent();
  assert.equal(bench.takeTold(), "deletes 1");
  bench.endDeletions();
  assert.equal(bench.takeTold(), "creates 4, opens 4");
});

Deno.test("what belonged to another life of the node is not this one's", () => {
  const bench = new Bench(0, [OTHER_LIFE, OTHER_LIFE]);
  bench.table.partitionAdded(bench.image);
  bench.table.noteCurrent();
  assert.equal(bench.takeTold(), "");
  bench.change(1, { 0: 1, 1: 0 });
  assert.equal(bench.takeTold(), "creates 2, opens 2");
});

Deno.test("a replica goes on alone when the metadata says so now, not when a start replays that it once did", () => {
  const bench = new Bench(1);
  bench.table.partitionAdded(bench.image);
  bench.change(1, { 0: 0 }, [], true);
  bench.change(2, { 0: 0, 2: 2, 3: 2 });
  bench.table.noteCurrent();
  assert.equal(bench.takeTold(), "opens 1", "others may have elected one of them since");
  bench.change(3, { 0: 0 }, [], true);
  assert.equal(bench.takeTold(), "forces");
  const again = new Bench(1);
  again.table.partitionAdded(again.image);
  again.change(1, { 0: 0 }, [], true);
  assert.equal(again.takeTold(), "opens 1");
  again.table.noteCurrent();
  assert.equal(again.takeTold(), "forces", "the start before was cut short");
});

Deno.test("metadata that may be incomplete makes and deletes nothing", () => {
  const bench = new Bench(1);
  bench.table.freeze();
  bench.image.apply({
    topicId: ZERO_UUID,
    partitionIndex: 0,
    change: 2,
    replicas: [{ nodeId: 1, life: OTHER_LIFE, since: 0 }],
    adding: [],
    removing: [],
    forced: false,
  });
  bench.table.partitionAdded(bench.image);
  bench.table.noteCurrent();
  assert.equal(bench.takeTold(), "");
});
