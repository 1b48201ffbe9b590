import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../base/prng.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import type { ReplicaCluster, ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { appendMany, committed, GROUP, ledCluster } from "./test_logs.ts";

/** Longest time until everything is whole: inspections begin seconds after a start (virtual ms). */
const MEND_MS = 60_000;
/** Runs with damage of any kind. */
const SEEDS = 6;

/** Three replicas with equal logs, all of them on the disks; the log's end. */
function written(seed: number, batches: number): { cluster: ReplicaCluster; end: number } {
  const { cluster, leader } = ledCluster(3, seed);
  const valueBytes = (i: number) => i % 50 === 7 ? 60_000 : 40 + (i * 37) % 3000;
  const end = appendMany(cluster, leader, batches, valueBytes);
  committed(cluster, cluster.nodes, end);
  for (const { storage } of cluster.nodes) storage.engines[0]!.checkpoint();
  cluster.until(
    "checkpoints",
    () => cluster.nodes.every(({ storage }) => !storage.engines[0]!.checkpointing),
  );
  return { cluster, end };
}

/** Data files of the group on a node, oldest first. */
function segmentsOf(node: ReplicaNode): string[] {
  return node.storage.disk.paths().filter((path) =>
    path.includes(`.${GROUP}.`) && path.endsWith(".log")
  ).sort();
}

function indexOf(path: string): string {
  return path.replace(/\.log$/, ".index");
}

/** Stops all nodes, damages their disks, and starts them. */
function afterDamage(
  cluster: ReplicaCluster,
  damage: (node: ReplicaNode, segments: readonly string[]) => void,
): void {
  for (const node of cluster.nodes) cluster.kill(node);
  for (const node of cluster.nodes) damage(node, segmentsOf(node));
  for (const node of cluster.nodes) cluster.start(node);
}

/** Reads a node's whole log from its disk; why it cannot be read, or its bytes. */
function readLog(cluster: ReplicaCluster, node: ReplicaNode, end: number): Uint8Array | ReadError {
  const { log } = cluster.replica(node, GROUP);
  const parts: Uint8Array[] = [];
  for (let from = log.startOffset; from < end;) {
    let isServed = false;
    const read = new LogRead({ complete: () => isServed = true });
    read.offset = from;
    read.maxBytes = 100_000;
    read.limitOffset = end;
    if (!log.read(read)) cluster.until("a read", () => isServed);
    const { bytes } = node.storage.memory;
    for (let i = 0; i < read.extentCount; i++) {
      const at = read.addresses[i]!;
      parts.push(bytes.slice(at, at + read.lengths[i]!));
    }
    const { error, nextOffset } = read;
    read.release();
    if (error !== ReadError.NONE) return error;
    from = nextOffset;
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Not by a difference of millions of numbers, which takes a minute to print. */
function assertSame(found: Uint8Array | ReadError, bytes: Uint8Array, { id }: ReplicaNode): void {
  if (typeof found === "number") assert.fail(`node ${id} cannot read its log: ${found}`);
  const at = found.findIndex((byte, i) => byte !== bytes[i]);
  assert(at < 0 && found.length === bytes.length, `node ${id} has another byte at ${at}`);
}

/** All logs can be read, again and again, and are equal; also after a power cut of all nodes. */
function assertWhole(cluster: ReplicaCluster, end: number, bytes: Uint8Array): void {
  const isWhole = (): boolean =>
    cluster.nodes.every((node) => typeof readLog(cluster, node, end) !== "number");
  const lateMs = cluster.nowMs + MEND_MS;
  while (!isWhole()) {
    assert(cluster.nowMs < lateMs, `not mended:\n${cluster.remarks.slice(-20).join("\n")}`);
    cluster.pass(100);
  }
  for (const node of cluster.nodes) cluster.kill(node);
  for (const node of cluster.nodes) cluster.start(node);
  committed(cluster, cluster.nodes, end);
  for (const node of cluster.nodes) {
    assertSame(readLog(cluster, node, end), bytes, node);
  }
  assert.deepEqual(cluster.wrong, []);
}

Deno.test("a flipped bit that nobody reads is found, and the records are had from another node", () => {
  const { cluster, end } = written(31, 200);
  const bytes = readLog(cluster, cluster.nodes[0]!, end) as Uint8Array;
  const hurt = cluster.nodes[1]!;
  afterDamage(cluster, ({ storage: { disk } }, [first]) => {
    if (hurt.storage.disk === disk) disk.flipBit(first!, 3 * BLOCK_SIZE + 100, 3);
  });
  cluster.until("the repair", () => hurt.mender.mended === 1);
  assert.match(cluster.remarks.join("\n"), /Damaged records are whole again.*"fromNode":[02]/);
  assertWhole(cluster, end, bytes);
  assert.equal(hurt.storage.damages.length, 1);
});

Deno.test("who reads a damaged extent is told to try again, and gets the records; nobody is given wrong ones", () => {
  const { cluster, end } = written(32, 400);
  const bytes = readLog(cluster, cluster.nodes[0]!, end) as Uint8Array;
  const leader = cluster.leaderOf(GROUP)!;
  afterDamage(cluster, ({ id, storage: { disk } }, [first]) => {
    if (id === leader.id) disk.loseBlock(first!, 40);
  });
  committed(cluster, cluster.nodes, end);
  assert.equal(readLog(cluster, leader, end), ReadError.MENDING);
  cluster.until("the repair", () => leader.mender.mended === 1, 1_000);
  assertSame(readLog(cluster, leader, end), bytes, leader);
});

Deno.test("a leader with a damaged extent that a new follower needs has it from the third replica", () => {
  const { cluster, end } = written(33, 300);
  const bytes = readLog(cluster, cluster.nodes[0]!, end) as Uint8Array;
  const leader = cluster.leaderOf(GROUP)!;
  const behind = cluster.nodes.find((node) => node !== leader)!;
  cluster.kill(behind);
  const more = cluster.append(leader, GROUP, 2, 3_000);
  const others = cluster.nodes.filter((node) => node !== behind);
  cluster.until(
    "a commit",
    () => others.every((node) => cluster.replica(node, GROUP).commitOffset >= more),
  );
  leader.storage.engines[0]!.checkpoint();
  cluster.until("a checkpoint", () => !leader.storage.engines[0]!.checkpointing);
  cluster.kill(leader);
  const path = segmentsOf(leader).at(-1)!;
  const { disk } = leader.storage;
  disk.flipBit(path, disk.size(path) > 0 ? BLOCK_SIZE + 5 : 0, 1);
  for (const node of [leader, behind]) cluster.start(node);
  committed(cluster, cluster.nodes, more);
  assertWhole(cluster, end, bytes);
});

Deno.test("records that no other node has are refused as where there is no other node, and that is said once", () => {
  const { cluster, end } = written(34, 300);
  afterDamage(cluster, ({ storage: { disk } }, [first]) => disk.loseBlock(first!, 20));
  committed(cluster, cluster.nodes, end);
  cluster.pass(4_000);
  for (const node of cluster.nodes) assert.equal(readLog(cluster, node, end), ReadError.STORAGE);
  cluster.pass(5_000);
  const said = cluster.remarks.filter((line) => line.includes("none has them"));
  assert.equal(said.length, 3, cluster.remarks.join("\n"));
  // One of them has it after all: a disk that did not answer.
  const [first, ...others] = cluster.nodes;
  first!.storage.disk.giveBack(segmentsOf(first!)[0]!);
  cluster.until("the repair", () => others.every((node) => node.mender.mended === 1), 60_000);
});

Deno.test("as long as one node has an older program nobody is asked for records, and damage is as before", () => {
  const { cluster, end } = written(35, 200);
  const bytes = readLog(cluster, cluster.nodes[0]!, end) as Uint8Array;
  const hurt = cluster.nodes[1]!;
  cluster.knowsRefills = false;
  afterDamage(cluster, ({ storage: { disk } }, [first]) => {
    if (hurt.storage.disk === disk) disk.flipBit(first!, 3 * BLOCK_SIZE + 100, 3);
  });
  cluster.pass(3_000);
  assert.equal(readLog(cluster, hurt, end), ReadError.DAMAGED);
  assert.equal(hurt.mender.mended, 0);
  cluster.knowsRefills = true;
  cluster.until("the repair", () => {
    readLog(cluster, hurt, end);
    return hurt.mender.mended === 1;
  });
  assertWhole(cluster, end, bytes);
});

Deno.test("a node with an older program is not asked for records, whatever the others know", () => {
  const { cluster, end } = written(36, 200);
  const bytes = readLog(cluster, cluster.nodes[0]!, end) as Uint8Array;
  const [old, hurt, other] = cluster.nodes;
  cluster.oldPrograms.add(old!);
  afterDamage(cluster, ({ storage: { disk } }, [first]) => {
    if (hurt!.storage.disk === disk) disk.flipBit(first!, 3 * BLOCK_SIZE + 100, 3);
  });
  cluster.until("the repair", () => hurt!.mender.mended === 1);
  assert.match(cluster.remarks.join("\n"), /"fromNode":2/);
  assertWhole(cluster, end, bytes);
  // With nobody else to ask it waits, and gives nothing up.
  cluster.oldPrograms.add(other!);
  afterDamage(cluster, ({ storage: { disk } }, [first]) => {
    if (hurt!.storage.disk === disk) disk.flipBit(first!, 3 * BLOCK_SIZE + 100, 3);
  });
  cluster.pass(5_000);
  assert.equal(readLog(cluster, hurt!, end), ReadError.MENDING);
  assert.deepEqual(cluster.wrong, []);
  cluster.oldPrograms.delete(other!);
  cluster.until("the repair", () => hurt!.mender.mended === 1);
});

Deno.test("where the disk never takes what another node has, reads fail for good, until it does", () => {
  const { cluster, end } = written(37, 200);
  const hurt = cluster.nodes[1]!;
  afterDamage(cluster, ({ storage: { disk } }, [first]) => {
    if (hurt.storage.disk === disk) disk.flipBit(first!, 3 * BLOCK_SIZE + 100, 3);
  });
  const { disk } = hurt.storage;
  const path = segmentsOf(hurt)[0]!;
  disk.inject({
    operation: "write",
    nth: 1,
    count: Infinity,
    path,
    fault: { kind: "short", bytes: 0 },
  });
  cluster.until("a read", () => readLog(cluster, hurt, end) === ReadError.MENDING);
  cluster.pass(5_000);
  assert.equal(readLog(cluster, hurt, end), ReadError.MENDING);
  cluster.pass(25_000);
  assert.notEqual(readLog(cluster, hurt, end), ReadError.MENDING);
  assert.equal(typeof readLog(cluster, hurt, end), "number");
  disk.clearFaults();
  cluster.until("the repair", () => hurt.mender.mended === 1, 40_000);
  assert.equal(typeof readLog(cluster, hurt, end), "object");
});

Deno.test("a damaged index of old records is made anew by the inspection, once", () => {
  const { cluster, end } = written(38, 400);
  const hurt = cluster.nodes[1]!;
  const path = indexOf(segmentsOf(hurt)[0]!);
  assert(hurt.storage.disk.paths().includes(path), "an index file");
  afterDamage(cluster, ({ storage: { disk } }) => {
    if (hurt.storage.disk === disk) disk.flipBit(path, 500, 3);
  });
  const rebuilt = (): number => hurt.storage.damages.filter(({ file }) => file === path).length;
  cluster.until("the index", () => rebuilt() > 0);
  const engine = hurt.storage.engines[0]!;
  for (let round = 0; round < 3; round++) {
    engine.checkpoint();
    cluster.until("a checkpoint", () => !engine.checkpointing);
    cluster.pass(15_000);
  }
  const before = rebuilt();
  assert(before <= 2, `made anew ${before} times`);
  cluster.kill(hurt);
  cluster.start(hurt);
  cluster.pass(15_000);
  committed(cluster, cluster.nodes, end);
  assert.equal(rebuilt(), before);
});

/** A file is seen as regions of so many blocks; each belongs to one node, which may be damaged in its middle. */
const REGION_BLOCKS = 32;
const MIDDLE = { from: 8, to: 16 };

/** A block of a file in which only this node may be damaged: no extent reaches from there to another one's. */
function blockFor(random: Random, node: ReplicaNode, path: string): number {
  const { disk } = node.storage;
  const blocks = Math.floor(disk.size(path) / BLOCK_SIZE);
  const middle = MIDDLE.from + random.nextBelow(MIDDLE.to - MIDDLE.from);
  const regions = Math.floor((blocks - MIDDLE.to) / REGION_BLOCKS) + 1;
  const own = Array.from({ length: Math.max(0, regions) }, (_, region) => region)
    .filter((region) => region % 3 === node.id);
  return own.length === 0 ? -1 : own[random.nextBelow(own.length)]! * REGION_BLOCKS + middle;
}

/** Damages a segment in one of a node's regions, and perhaps its index; what was done. */
function strike(random: Random, node: ReplicaNode, path: string): string {
  const { disk } = node.storage;
  const block = blockFor(random, node, path);
  if (block < 0) return "nothing";
  const position = block * BLOCK_SIZE + random.nextBelow(BLOCK_SIZE);
  switch (random.nextBelow(5)) {
    case 0:
      disk.loseBlock(path, block);
      return `block ${block} of ${path} cannot be read`;
    case 1:
      disk.replaceBlock(path, block, new Uint8Array(BLOCK_SIZE));
      return `block ${block} of ${path} is empty`;
    case 2:
      disk.flipBit(path, position, random.nextBelow(8));
      if (disk.paths().includes(indexOf(path))) disk.loseFile(indexOf(path));
      return `a bit of ${path} at ${position}, and its index is gone`;
    default:
      disk.flipBit(path, position, random.nextBelow(8));
      return `a bit of ${path} at ${position}`;
  }
}

/** Takes a whole file, its end, or the file and its index. */
function strikeFile(random: Random, { storage: { disk } }: ReplicaNode, path: string): string {
  const kind = random.nextBelow(3);
  if (kind === 0) {
    const size = random.nextBelow(disk.size(path));
    disk.cutFile(path, size);
    return `${path} is cut at ${size}`;
  }
  disk.loseFile(path);
  if (kind === 2 && disk.paths().includes(indexOf(path))) disk.loseFile(indexOf(path));
  return `${path} is gone${kind === 2 ? ", and its index" : ""}`;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`replicas that are damaged in different places become whole again, also when they are killed on the way (seed ${seed})`, () => {
    const random = new Xoshiro128(seed);
    const { cluster, end } = written(100 + seed, 500 + random.nextBelow(1_500));
    const bytes = readLog(cluster, cluster.nodes[0]!, end) as Uint8Array;
    const said: string[] = [];
    const losesFile = random.nextBelow(2) === 0 ? random.nextBelow(3) : -1;
    afterDamage(cluster, (node, segments) => {
      const [first] = segments;
      if (losesFile === node.id) said.push(strikeFile(random, node, first!));
      else if (losesFile >= 0) return;
      for (const path of losesFile === node.id ? segments.slice(1) : segments) {
        for (let i = random.nextBelow(4); i > 0; i--) {
          said.push(`node ${node.id}: ${strike(random, node, path)}`);
        }
      }
    });
    for (let kill = random.nextBelow(4); kill > 0; kill--) {
      cluster.pass(2_000 + random.nextBelow(120));
      const node = cluster.nodes[random.nextBelow(3)]!;
      cluster.kill(node);
      cluster.pass(random.nextBelow(300));
      cluster.start(node);
    }
    try {
      committed(cluster, cluster.nodes, end);
      assertWhole(cluster, end, bytes);
    } catch (error) {
      throw new Error(said.join("\n"), { cause: error });
    }
  });
}
