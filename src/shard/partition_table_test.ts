import { strict as assert } from "node:assert";
import { Settings } from "../base/settings.ts";
import { PartitionImage, TopicImage } from "../cluster/image.ts";
import { TopicConfig } from "../cluster/topic_config.ts";
import { ManualLog } from "../kafka/test_manual_log.ts";
import { groupOfOne } from "../replication/test_group_of_one.ts";
import type { ShardStorage } from "../storage/shard_storage.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { PartitionTable, type PartitionTableOptions } from "./partition_table.ts";

const OPTIONS: PartitionTableOptions = {
  nodeId: 0,
  life: 1,
  shardCount: 1,
  makeReplica: (log) => groupOfOne(log, 0),
  imageOf: () => undefined,
  onCurrent: () => {},
  onWritable: () => {},
  onLeading: () => {},
  onFollowing: () => {},
};

/** A table over logs that a test makes durable; partition `i` is group `i`. */
function testTable(): {
  readonly table: PartitionTable;
  readonly logs: ManualLog[];
  open(): void;
} {
  const logs: ManualLog[] = [];
  const storage = {
    shard: 0,
    logs: new Map(),
    createLog: () => {
      const log = new ManualLog();
      logs.push(log);
      return log;
    },
  } as unknown as ShardStorage;
  const table = new PartitionTable(storage, OPTIONS);
  table.noteCurrent();
  const config = new TopicConfig(new Map(), new Settings(new Map()));
  const topic = new TopicImage({ topicId: ZERO_UUID, name: "t" }, 0, config);
  const open = (): void => {
    const image = new PartitionImage({
      topic,
      index: logs.length,
      groupId: logs.length,
      replicas: [0],
      incarnations: [],
    });
    table.partitionAdded(image);
  };
  return { table, logs, open };
}

Deno.test("deleteOrphans() deletes logs of removed groups, and keeps what nobody knows of", () => {
  const deleted: number[] = [];
  const storage = {
    shard: 0,
    logs: new Map([1, 2, 3].map((groupId) => [groupId, { directory: `logs/t-0.${groupId}.1` }])),
    *deleteLog(groupId: number) {
      deleted.push(groupId);
      return yield* [];
    },
  } as unknown as ShardStorage;
  const table = new PartitionTable(storage, OPTIONS);
  const found = table.deleteOrphans(new Set([2, 9]));
  assert.deepEqual(found, { deleted: 1, unowned: ["logs/t-0.1.1", "logs/t-0.3.1"] });
  assert.deepEqual(deleted, [2]);
});

Deno.test("whenSettled() waits for what was opened before it, not for what comes later", () => {
  const { table, logs, open } = testTable();
  const settled: string[] = [];
  table.whenSettled(() => settled.push("nothing"));
  assert.deepEqual(settled, ["nothing"]);
  open();
  open();
  table.whenSettled(() => settled.push("first two"));
  // A stream of creations: there is always one that does not lead yet.
  open();
  table.whenSettled(() => settled.push("third"));
  logs[1]!.reachDurable();
  assert.deepEqual(settled, ["nothing"]);
  logs[0]!.reachDurable();
  assert.deepEqual(settled, ["nothing", "first two"]);
  open();
  logs[2]!.reachDurable();
  assert.deepEqual(settled, ["nothing", "first two", "third"]);
});
