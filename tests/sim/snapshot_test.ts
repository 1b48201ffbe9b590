/**
 * Snapshots of coordinators and of the metadata: what a start loads from one and the log's end is what the whole
 * log says, wherever the power was cut; and whatever is wrong with one costs a longer load and nothing else.
 *
 * `GREGOR_SIM_SNAPSHOT_SEEDS` fresh seeds are run; `GREGOR_SIM_FIRST_SEED` says where they begin.
 */

import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { crc32cOfBytes } from "../../src/bytes/crc32c.ts";
import { setInt64Le } from "../../src/bytes/int64.ts";
import { ClusterImage } from "../../src/cluster/image.ts";
import { DEFAULT_GROUP_CONFIG } from "../../src/group/config.ts";
import { TestWorld } from "../../src/group/consumer/test_world.ts";
import { GroupCoordinator } from "../../src/group/coordinator.ts";
import { writtenState } from "../../src/group/test_coordinator.ts";
import type { Completion } from "../../src/io/completion.ts";
import { ENOENT } from "../../src/io/errno.ts";
import { BLOCK_SIZE, type Disk } from "../../src/io/disk.ts";
import { runTask } from "../../src/io/task.ts";
import { AppliedLog, type StateMachine } from "../../src/kafka/applied_log.ts";
import type { Partition } from "../../src/kafka/partition.ts";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import { replayCommand } from "../../src/shard/metadata_feed.ts";
import type { Api } from "../../src/wire/api.ts";
import {
  CREATE_TOPICS,
  DELETE_GROUPS,
  DELETE_TOPICS,
  FIND_COORDINATOR,
  OFFSET_COMMIT,
} from "../../src/wire/generated/apis.ts";
import { newDeleteGroupsRequest } from "../../src/wire/generated/delete_groups_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { topicRequest } from "./sim_requests.ts";

const SEEDS = Number(Deno.env.get("GREGOR_SIM_SNAPSHOT_SEEDS") ?? 12);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);
/** Places in a snapshot's first block (docs/formats/state_snapshot.md). */
const COVERED_OFFSET_AT = 40;
const COVERED_TERM_AT = 48;
const TOPICS = ["t", "u", "v"];
const GROUPS = ["g", "h", "i", "j"];

/** A disk on which there is no snapshot. */
const NO_SNAPSHOTS = {
  open: (_path: string, _create: boolean, done: Completion) => done.complete(-ENOENT, 0),
} as Disk;

class Driver {
  readonly node: SimNode;
  readonly random: Random;
  client: SimClient | null = null;
  requests = 0;

  constructor(seed: number) {
    this.node = new SimNode({ seed, settings: { "offsets.topic.num.partitions": "2" } });
    this.random = new Xoshiro128(seed ^ 0x1234567);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.nextBelow(list.length)]!;
  }

  /** Mounts, and waits until every coordinator serves; false when the power was cut before. */
  mount(shards: number): boolean {
    if (!this.node.mount(shards)) {
      assert.equal(this.node.refusal, null);
      return false;
    }
    this.client = new SimClient(this.node.connect(0));
    return this.node.run(() => [...this.coordinators()].every(({ active }) => active));
  }

  *coordinators(): Iterable<GroupCoordinator> {
    for (const { shard } of this.node.shards) yield* shard.groups.all();
  }

  call<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Response | null {
    const client = this.client!;
    let response: Response | null = null;
    client.send(api, version, request, (r) => response = r);
    this.requests++;
    const answered = this.node.run(() => (client.poll(), response !== null));
    assert(answered || this.node.disk.crashed, `no answer to ${api.name}`);
    return response;
  }

  /** One change of metadata or groups; whether it was answered well or not is not asked. */
  act(): void {
    const die = this.random.nextBelow(100);
    if (die < 5) this.call(CREATE_TOPICS, 7, topicRequest(this.pick(TOPICS), 3));
    else if (die < 8) {
      this.call(DELETE_TOPICS, 5, newDeleteTopicsRequest({ topicNames: [this.pick(TOPICS)] }));
    } else if (die < 12) {
      this.call(DELETE_GROUPS, 2, newDeleteGroupsRequest({ groupsNames: [this.pick(GROUPS)] }));
    } else if (die < 15) {
      const request = newFindCoordinatorRequest({ coordinatorKeys: [this.pick(GROUPS)] });
      this.call(FIND_COORDINATOR, 4, request);
    } else if (die < 20) this.node.pass(20);
    else this.commit(this.pick(GROUPS), this.pick(TOPICS), this.random.nextBelow(3));
  }

  commit(groupId: string, name: string, partitionIndex: number): void {
    const partition = newOffsetCommitRequestPartition({
      partitionIndex,
      committedOffset: this.random.nextBelow(1000),
      committedMetadata: "n".repeat(this.random.nextBelow(100)),
    });
    const topics = [{ name, topicId: "0".repeat(32), partitions: [partition] }];
    this.call(OFFSET_COMMIT, 8, newOffsetCommitRequest({ groupId, topics }));
  }

  setUp(): void {
    for (const name of TOPICS) this.call(CREATE_TOPICS, 7, topicRequest(name, 3));
    for (const groupId of GROUPS) {
      this.call(FIND_COORDINATOR, 4, newFindCoordinatorRequest({ coordinatorKeys: [groupId] }));
    }
    this.node.run(() => [...this.coordinators()].every(({ active }) => active));
  }

  /** What was loaded, and what a replay of the whole log gives. */
  compare(): void {
    const { node } = this;
    for (const { shard } of node.shards) {
      for (const partition of shard.partitions.all()) {
        if (partition.image.groupId === CONTROLLER_GROUP_ID) {
          const image = new ClusterImage(0, new Map());
          this.#replay(partition, {
            apply: (_key, value) => replayCommand(image, value!)[0]?.problem ?? null,
            snapshot: () => [],
          });
          const whole = [...image.snapshotRecords()];
          assert.deepEqual([...shard.image.snapshotRecords()], whole);
        } else if (partition.image.topic.internal) {
          const copy: GroupCoordinator = new GroupCoordinator({
            config: DEFAULT_GROUP_CONFIG,
            world: new TestWorld(),
            random: this.random,
            log: { append: () => {} },
          });
          this.#replay(partition, {
            apply: (key, value) => copy.replay(key!, value),
            snapshot: () => [],
          });
          const loaded = shard.groups.coordinatorOf(partition.image.index)!;
          assert.deepEqual(writtenState(loaded), writtenState(copy));
        }
      }
    }
  }

  #replay(partition: Partition, machine: StateMachine): void {
    const shard = this.node.shards[partition.image.groupId % this.node.shards.length]!.shard;
    const log = new AppliedLog(partition, machine, {
      ...shard.options,
      disk: NO_SNAPSHOTS,
      snapshots: { bytesMin: Infinity, intervalMs: 1e9, restMs: 1e9 },
      clockMs: () => 0,
      wallMs: () => 0,
    });
    let ended = false;
    runTask(log.load(), (loaded) => {
      assert.deepEqual(loaded, { skippedRecords: 0, lostOffsets: 0 });
      ended = true;
    });
    assert(this.node.run(() => ended));
    log.unload();
  }

  snapshots(): string[] {
    return this.node.disk.paths().filter((path) => path.startsWith("snapshots/"));
  }
}

function run(seed: number): { snapshots: number; cuts: number } {
  const driver = new Driver(seed);
  const { node, random } = driver;
  let snapshots = 0;
  let cuts = 0;
  let isNew = true;
  for (let life = 0; life < 8; life++) {
    if (driver.mount(1 + random.nextBelow(3))) {
      driver.compare();
      if (isNew) driver.setUp();
      isNew = false;
      if (random.nextBelow(3) > 0) node.disk.crashAfterOps(random.nextBelow(400));
      for (let i = 0; i < 60 && !node.disk.crashed; i++) driver.act();
      snapshots += driver.snapshots().length;
      if (!node.disk.crashed && random.nextBelow(2) === 0) {
        assert(node.stop() || node.disk.crashed);
      }
    }
    if (node.disk.crashed) cuts++;
    node.crash();
  }
  assert.deepEqual(node.remarks, []);
  assert.deepEqual(node.fatals, []);
  return { snapshots, cuts };
}

Deno.test("what a start loads is what the whole log says, wherever the power was cut", () => {
  let snapshots = 0;
  let cuts = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      const result = run(seed);
      snapshots += result.snapshots;
      cuts += result.cuts;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert.ok(snapshots > SEEDS && cuts > SEEDS, `${snapshots} snapshots, ${cuts} cuts`);
  console.log(`seeds ${FIRST} to ${FIRST + SEEDS - 1}: ${snapshots} snapshots, ${cuts} cuts`);
});

/** A node with a few snapshots, stopped. */
function stopped(): Driver {
  const driver = new Driver(3);
  assert(driver.mount(1));
  driver.setUp();
  driver.commit("g", "v", 2);
  for (let i = 0; i < 100; i++) driver.commit("g", "t", i % 3);
  driver.node.pass(50);
  assert(driver.node.stop());
  driver.node.crash();
  assert.equal(driver.snapshots().length, 2);
  return driver;
}

Deno.test("a damaged snapshot is named, and the whole log is read", () => {
  const driver = stopped();
  for (const path of driver.snapshots()) driver.node.disk.flipBit(path, BLOCK_SIZE + 9, 1);
  assert(driver.mount(1));
  driver.compare();
  const remarks = driver.node.remarks.filter((each) => each.includes("Cannot use a snapshot"));
  assert.equal(remarks.length, 2);
  assert.match(remarks[0]!, /snapshots\/0\.1.*does not match its checksum/);
});

/** Changes what a snapshot says of itself, and seals that. */
function forge(driver: Driver, path: string, change: (view: DataView) => void): void {
  const block = driver.node.disk.blockAt(path, 0)!.slice();
  const view = new DataView(block.buffer);
  change(view);
  view.setUint32(0, crc32cOfBytes(block, 4, BLOCK_SIZE, 0), true);
  driver.node.disk.replaceBlock(path, 0, block);
}

Deno.test("a snapshot that is ahead of a log that lost its end is named, and not used", () => {
  const driver = stopped();
  for (const path of driver.snapshots()) {
    forge(driver, path, (view) => setInt64Le(view, COVERED_OFFSET_AT, 1_000_000));
  }
  assert(driver.mount(1));
  driver.compare();
  const remarks = driver.node.remarks.filter((each) => each.includes("Cannot use a snapshot"));
  assert.equal(remarks.length, 2);
  assert.match(
    remarks[1]!,
    /it covers the log up to offset 1000000, and the log ends at \d+: the log lost its end/,
  );
});

Deno.test("a snapshot of a log that was rewritten after a loss is named, and not used", () => {
  const driver = stopped();
  // Who loses the end of a log goes on in a later term.
  for (const path of driver.snapshots()) {
    forge(driver, path, (view) => {
      view.setUint32(COVERED_TERM_AT, view.getUint32(COVERED_TERM_AT, true) - 1, true);
    });
  }
  assert(driver.mount(1));
  driver.compare();
  const remarks = driver.node.remarks.filter((each) => each.includes("Cannot use a snapshot"));
  assert.equal(remarks.length, 2);
  assert.match(remarks[1]!, /the log was rewritten before offset \d+/);
});

Deno.test("damage of a log below its snapshot costs nothing", () => {
  const driver = stopped();
  const { disk } = driver.node;
  for (const path of disk.paths()) {
    if (/(__consumer_offsets|__cluster_metadata).*\.log$/.test(path)) disk.flipBit(path, 300, 1);
  }
  const before = driver.requests;
  assert(driver.mount(1), driver.node.refusal ?? "");
  assert.equal(driver.requests, before);
  assert.deepEqual(driver.node.remarks.filter((each) => each.includes("cannot be read")), []);
  for (const name of TOPICS) {
    assert.ok(driver.node.shards[0]!.shard.image.topicByName(name) !== undefined);
  }
  const [coordinator] = [...driver.coordinators()].filter((each) => each.table.groups.has("g"));
  assert.equal(coordinator!.table.groups.get("g")!.offsets.size, 4);
});

Deno.test("metadata whose log and snapshot are both damaged ends a start, unless the loss is accepted", () => {
  const driver = stopped();
  const { node } = driver;
  for (const path of node.disk.paths()) {
    if (/__cluster_metadata.*\.log$/.test(path)) node.disk.flipBit(path, 300, 1);
    if (path === `snapshots/${CONTROLLER_GROUP_ID}.1`) node.disk.replaceBlock(path, 0, null);
  }
  for (let tries = 0; tries < 2; tries++) {
    assert.equal(node.mount(1), false);
    assert.match(node.refusal!, /metadata log/);
    node.crash();
  }
  assert(node.mount(1, undefined, true), node.refusal ?? "");
  assert.equal(node.shards[0]!.shard.image.topicByName(TOPICS[0]!), undefined);
  // What the logs hold is kept for whoever finds a copy of the metadata.
  assert.ok(node.remarks.some((each) => each.includes("that the metadata log does not mention")));
  driver.client = new SimClient(node.connect(0));
  const created = driver.call(CREATE_TOPICS, 7, topicRequest("new", 1));
  assert.equal(created!.topics[0]!.errorCode, 0);
  assert(node.stop());
  node.crash();
  assert(node.mount(1), node.refusal ?? "");
  assert.ok(node.shards[0]!.shard.image.topicByName("new") !== undefined);
});

Deno.test("a state that lacks what could not be read is not written down for the whole one", () => {
  const driver = stopped();
  const { node } = driver;
  for (const path of driver.snapshots()) node.disk.replaceBlock(path, 0, null);
  const segments = node.disk.paths().filter((path) => /__consumer_offsets.*\.log$/.test(path));
  for (const path of segments) node.disk.flipBit(path, 300, 1);
  assert(driver.mount(1), node.refusal ?? "");
  assert.ok(node.remarks.some((each) => each.includes("part of the log that cannot be")));
  driver.commit("g", "u", 0);
  node.pass(100);
  assert(node.stop());
  node.crash();
  // The copy that the log line asks the operator to put back.
  const kept = new Set(node.disk.paths());
  for (const path of segments) if (kept.has(path)) node.disk.flipBit(path, 300, 1);
  node.remarks.length = 0;
  assert(driver.mount(1), node.refusal ?? "");
  driver.compare();
  const [coordinator] = [...driver.coordinators()].filter((each) => each.table.groups.has("g"));
  assert.equal(coordinator!.table.groups.get("g")!.offsets.size, 5);
});
