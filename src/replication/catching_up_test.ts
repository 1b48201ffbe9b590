/** Followers that lag behind: at which pace they are filled, that nothing is sent to them twice, and who waits for them. */

import { strict as assert } from "node:assert";
import { ReplicaCluster } from "../../tests/sim/replica_cluster.ts";
import { appendMany, assertEqualLogs, bytesOf, committed, GROUP, ledCluster } from "./test_logs.ts";

Deno.test("replicas that had nothing to say for long are in sync when there is something again", () => {
  const { cluster, leader } = ledCluster(3, 31);
  committed(cluster, cluster.nodes, appendMany(cluster, leader, 3, () => 100));
  cluster.pass(20_000);
  const replica = cluster.replica(leader, GROUP);
  assert.ok(replica.raft.isQuiet);
  const end = cluster.append(leader, GROUP, 1, 100);
  while (replica.commitOffset < end) {
    assert.equal(replica.inSyncCount, 3);
    cluster.step();
  }
});

Deno.test("a voter that was away is filled at a limited pace while others keep up, and at once when nothing commits without it", () => {
  const BYTES_PER_MS = 1_000;
  const takenMs = [false, true].map((isNeeded) => {
    const cluster = new ReplicaCluster(3, 32, { bytesPerMs: BYTES_PER_MS, burstBytes: 4_096 });
    cluster.openAll(GROUP);
    cluster.until("a leader", () => cluster.leaderOf(GROUP) !== null);
    const leader = cluster.leaderOf(GROUP)!;
    const [late, other] = cluster.nodes.filter((node) => node !== leader);
    cluster.kill(late!);
    const end = appendMany(cluster, leader, 600, () => 1_000);
    committed(cluster, [leader, other!], end);
    cluster.pass(2_000);
    if (isNeeded) cluster.kill(other!);
    cluster.start(late!);
    const fromMs = cluster.nowMs;
    cluster.until("its records", () => cluster.replica(late!, GROUP).log.endOffset >= end);
    return cluster.nowMs - fromMs;
  });
  const [spare, needed] = takenMs;
  const paceMs = 2 * 600 * 1_000 / BYTES_PER_MS;
  assert.ok(spare! > 0.8 * paceMs, `${spare} ms`);
  assert.ok(needed! < 0.3 * paceMs, `${needed} ms`);
});

Deno.test("what a follower has no room for waits on its link, and is not sent again", () => {
  const { cluster, leader } = ledCluster(3, 33);
  const slow = cluster.nodes.find((node) => node !== leader)!;
  let end = 0;
  for (let i = 0; i < 20; i++) {
    cluster.frozen.add(slow);
    end = appendMany(cluster, leader, 100, () => 2_000);
    cluster.pass(20);
    cluster.frozen.delete(slow);
    cluster.pass(50);
  }
  committed(cluster, cluster.nodes, end);
  assertEqualLogs(cluster, end);
  const bytes = bytesOf(cluster, slow, end).length;
  assert.ok(slow.receivedBytes < 1.1 * bytes, `${slow.receivedBytes} bytes for ${bytes}`);
});

Deno.test("other groups do not wait while the last segment of one is made ready after a start", () => {
  const { cluster, leader } = ledCluster(3, 34);
  const OTHER = GROUP + 1;
  cluster.openAll(OTHER);
  const isLed = (): boolean =>
    cluster.leaderOf(GROUP) === leader && cluster.leaderOf(OTHER) === leader;
  cluster.until("a leader", isLed);
  const append = (groupId: number): number => {
    let end = 0;
    cluster.until("an append", () => (end = cluster.append(leader, groupId, 1, 500)) >= 0);
    return end;
  };
  for (let i = 0; i < 20; i++) for (const groupId of [GROUP, OTHER]) append(groupId);
  cluster.pass(100);
  const [late, third] = cluster.nodes.filter((node) => node !== leader);
  for (const node of [late!, third!]) cluster.kill(node);
  cluster.start(late!);
  // Its index takes long to read.
  const { loader } = late!.storage.engines[0]!;
  const loadIndex = loader.loadIndex.bind(loader);
  let isSlow = true;
  loader.loadIndex = function* (segment, lack) {
    while (isSlow && segment.groupId === GROUP) yield* late!.storage.engines[0]!.nextTurn();
    return yield* loadIndex(segment, lack);
  };
  cluster.until("a leader", isLed);
  const end = append(GROUP);
  const { log } = cluster.replica(late!, GROUP);
  cluster.until("the wait", () => log.busy);
  const beganMs = cluster.nowMs;
  const otherEnd = append(OTHER);
  cluster.until(
    "the other commit",
    () => cluster.replica(leader, OTHER).commitOffset >= otherEnd,
    1_000,
  );
  assert.ok(cluster.nowMs - beganMs < 200, `${cluster.nowMs - beganMs} ms`);
  assert.ok(cluster.replica(leader, GROUP).commitOffset < end);
  isSlow = false;
  cluster.until("the commit", () => cluster.replica(leader, GROUP).commitOffset >= end);
});
