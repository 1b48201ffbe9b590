import { strict as assert } from "node:assert";
import { Settings } from "../base/settings.ts";
import { PartitionImage, TopicImage } from "../cluster/image.ts";
import { TopicConfig } from "../cluster/topic_config.ts";
import { FakeReplica } from "../kafka/test_fake_replica.ts";
import { ManualLog } from "../kafka/test_manual_log.ts";
import { groupOfOne } from "../replication/test_group_of_one.ts";
import { LOG_BUSY } from "../storage/log.ts";
import type { ShardStorage } from "../storage/shard_storage.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { PartitionTable, type PartitionTableOptions } from "./partition_table.ts";

const OPTIONS: PartitionTableOptions = {
  nodeId: 0,
  life: 1,
  shardCount: 1,
  makeReplica: (log) => groupOfOne(log, 0),
  imageOf: () => undefined,
  onDamaged: () => {},
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

/** A partition over a damaged log that says that its group has so many voters, with `--accept-loss`; what becomes of it. */
function damaged(voterCount: number, busyTimes: number, groupId = 0) {
  const told: boolean[] = [];
  let asked = 0;
  let started = 0;
  const log = Object.assign(new ManualLog(), {
    suspect: true,
    acceptLoss: (): number => {
      if (asked++ < busyTimes) return LOG_BUSY;
      log.suspect = false;
      return 0;
    },
  });
  const logs = new Map<number, ManualLog>();
  const storage = { shard: 0, logs, createLog: () => log } as unknown as ShardStorage;
  const table = new PartitionTable(storage, {
    ...OPTIONS,
    makeReplica: () => Object.assign(new FakeReplica(log), { voterCount, start: () => started++ }),
    onDamaged: (_partition, isAccepted) => told.push(isAccepted),
  });
  table.acceptsLoss = true;
  const config = new TopicConfig(new Map(), new Settings(new Map()));
  const topic = new TopicImage({ topicId: ZERO_UUID, name: "t" }, 0, config);
  const image = new PartitionImage({ topic, index: 0, groupId, replicas: [0], incarnations: [] });
  return { table, image, log, logs, told, asked: () => asked, started: () => started };
}

function openDamaged(voterCount: number, busyTimes: number) {
  const made = damaged(voterCount, busyTimes);
  made.table.noteCurrent();
  made.table.partitionAdded(made.image);
  return made;
}

Deno.test("a damaged log is accepted where nobody else has it, however long the journal is busy", () => {
  const { table, image, log, told, started } = damaged(1, 2, 7);
  const opened: boolean[] = [];
  table.listen({ partitionOpened: () => opened.push(log.suspect), partitionClosed: () => {} });
  table.noteCurrent();
  table.partitionAdded(image);
  assert.deepEqual([told, started(), opened], [[], 0, []]);
  table.acceptMore();
  assert.equal(started(), 0);
  table.acceptMore();
  assert.deepEqual([told, started(), log.suspect], [[true], 1, false]);
  table.acceptMore();
  assert.equal(started(), 1);
  assert.deepEqual(opened, [false], "once, when it can be written");
});

Deno.test("a damaged log is not accepted where other nodes have it: it must not vote", () => {
  const { log, told, asked, started } = openDamaged(3, 0);
  assert.deepEqual([told, asked(), started(), log.suspect], [[false], 0, 1, true]);
});

Deno.test("a damaged log that has forgotten the other replicas is not accepted where the metadata knows of them", () => {
  const { table, image, log, logs, told, asked, started } = damaged(1, 0, 7);
  Object.assign(log, { incarnation: 1 });
  logs.set(7, log);
  table.partitionAdded(image);
  image.apply({
    topicId: ZERO_UUID,
    partitionIndex: 0,
    change: 1,
    replicas: [0, 1, 2].map((nodeId) => ({ nodeId, life: 0, since: 0 })),
    adding: [],
    removing: [],
    forced: false,
  });
  table.partitionChanged(image);
  table.acceptMore();
  assert.deepEqual([told, started()], [[], 0], "the metadata may know more in a moment");
  table.noteCurrent();
  table.acceptMore();
  assert.deepEqual([told, asked(), started(), log.suspect], [[false], 0, 1, true]);
});

Deno.test("a partition's terms begin above what its record says, and above those of this start", () => {
  const floors: number[] = [];
  const storage = {
    shard: 0,
    logs: new Map(),
    createLog: () => new ManualLog(),
  } as unknown as ShardStorage;
  const table = new PartitionTable(storage, {
    ...OPTIONS,
    makeReplica: (log, { termFloor }) => {
      floors.push(termFloor);
      return groupOfOne(log, 0, termFloor);
    },
  });
  table.controllerTerm = 10;
  table.noteCurrent();
  const config = new TopicConfig(new Map(), new Settings(new Map()));
  const topic = new TopicImage({ topicId: ZERO_UUID, name: "t" }, 0, config);
  for (const [index, epochFloor] of [500, 3].entries()) {
    const place = { topic, index, groupId: 1 + index, replicas: [0], incarnations: [], epochFloor };
    table.partitionAdded(new PartitionImage(place));
  }
  assert.deepEqual(floors, [500, 12]);
});

Deno.test("an extent is given up where no voter but this one has it; of a damaged log others must not be known at all", () => {
  const judge = (
    suspect: boolean,
    voterCount: number,
    holders: number,
    isCurrent = true,
  ): boolean => {
    const log = Object.assign(new ManualLog(), { suspect });
    const storage = { shard: 0, logs: new Map([[7, log]]) } as unknown as ShardStorage;
    const table = new PartitionTable(storage, {
      ...OPTIONS,
      makeReplica: () => Object.assign(new FakeReplica(log), { voterCount, start: () => {} }),
    });
    if (isCurrent) table.noteCurrent();
    const config = new TopicConfig(new Map(), new Settings(new Map()));
    const topic = new TopicImage({ topicId: ZERO_UUID, name: "t" }, 0, config);
    const replicas = Array.from({ length: holders }, (_, nodeId) => nodeId);
    const place = { topic, index: 0, groupId: 7, replicas, incarnations: [] };
    table.partitionAdded(new PartitionImage(place));
    return table.mayGiveUp(7);
  };
  assert.deepEqual([judge(false, 1, 1), judge(false, 1, 2), judge(false, 3, 3)], [
    true,
    true,
    false,
  ]);
  assert.deepEqual([judge(true, 1, 1), judge(true, 1, 2), judge(true, 3, 3)], [true, false, false]);
  // An image that is older than this start may not know of others.
  assert.deepEqual([judge(false, 1, 1, false), judge(true, 1, 1, false)], [true, false]);
});

for (const isAlone of [true, false]) {
  const how = isAlone
    ? "by itself where it is alone"
    : "through the log, for members without a vote, too";
  Deno.test(`retention moves the log start ${how}`, () => {
    const trims: string[] = [];
    const log = Object.assign(new ManualLog(), {
      startOffset: 3,
      retentionOffset: () => 7,
      applyRetention: () => trims.push("here"),
    });
    const storage = { shard: 0, logs: new Map(), createLog: () => log } as unknown as ShardStorage;
    const replica = Object.assign(new FakeReplica(log), {
      isAlone,
      proposeTrim: (offset: number) => trims.push(`proposed to ${offset}`),
    });
    const table = new PartitionTable(storage, { ...OPTIONS, makeReplica: () => replica });
    table.noteCurrent();
    const config = new TopicConfig(new Map(), new Settings(new Map()));
    const topic = new TopicImage({ topicId: ZERO_UUID, name: "t" }, 0, config);
    const place = { topic, index: 0, groupId: 0, replicas: [0], incarnations: [] };
    table.partitionAdded(new PartitionImage(place));
    replica.lead(1);
    table.applyRetention(1_000);
    assert.deepEqual(trims, isAlone ? ["here"] : ["proposed to 7"]);
  });
}
