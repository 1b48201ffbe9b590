import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOSPC } from "../io/errno.ts";
import { MemoryDisk } from "../io/memory_disk.ts";
import { runTask, type Task } from "../io/task.ts";
import {
  readSnapshot,
  type SnapshotContext,
  snapshotPath,
  type SnapshotRead,
  type SnapshotRecord,
  writeSnapshot,
} from "./state_snapshot.ts";

const OWNER = { groupId: 7, incarnation: 3 };
const POINT = { appliedIndex: 41, nextOffset: 40 };
const COVER = { coveredOffset: 44, coveredTerm: 6 };

class Fixture {
  readonly memory: Memory = wrapMemory(new ArrayBuffer(256 * 1024));
  disk = new MemoryDisk({ memory: this.memory, random: new Xoshiro128(1) });

  get context(): SnapshotContext {
    const blocks = {
      allocateResponse: () => 0,
      releaseResponse: () => {},
      whenReleased: () => {},
    };
    return { disk: this.disk, memory: this.memory, crc32c: softwareCrc32c(this.memory), blocks };
  }

  /** Runs to the end; null when the disk crashed before. */
  run<T>(task: Task<T>): T | null {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    while (results.length === 0 && !this.disk.crashed && this.disk.step());
    return results[0] ?? null;
  }

  write(records: readonly SnapshotRecord[], owner = OWNER): number | null {
    return this.run(writeSnapshot(this.context, owner, POINT, records, () => COVER));
  }

  read(owner = OWNER): SnapshotRead {
    return this.run(readSnapshot(this.context, owner))!;
  }

  /** What is read, as text; or the problem. */
  said(): string {
    const read = this.read();
    if (read.kind !== "found") return read.kind === "none" ? "none" : read.problem;
    return [...read.snapshot.records].map(({ key }) => new TextDecoder().decode(key!)).join();
  }
}

function named(name: string, count: number, valueSize: number): SnapshotRecord[] {
  const key = new TextEncoder().encode(name);
  return Array.from({ length: count }, () => ({ key, value: new Uint8Array(valueSize).fill(9) }));
}

Deno.test("a snapshot gives back its records, whatever their sizes, and where it stands", () => {
  const fixture = new Fixture();
  assert.equal(fixture.read().kind, "none");
  const random = new Xoshiro128(5);
  const sizes = [0, 1, 4087, 4088, 65_535, 65_536, 200_000, ...Array(50).fill(300)];
  const records = sizes.map((size, at) => ({
    key: at % 7 === 0 ? null : Uint8Array.of(at),
    value: at % 5 === 4 ? null : Uint8Array.from({ length: size }, () => random.nextBelow(256)),
  }));
  assert(fixture.write(records)! > 250_000);
  const read = fixture.read();
  assert(read.kind === "found");
  const { snapshot } = read;
  assert.deepEqual([...snapshot.records], records);
  assert.deepEqual({ ...POINT, ...COVER }, {
    appliedIndex: snapshot.appliedIndex,
    nextOffset: snapshot.nextOffset,
    coveredOffset: snapshot.coveredOffset,
    coveredTerm: snapshot.coveredTerm,
  });
  assert(fixture.write([])! > 0);
  assert.equal(fixture.said(), "");
});

Deno.test("damage of every block of a snapshot is named", () => {
  const fixture = new Fixture();
  fixture.write(named("a", 40, 5_000));
  const blocks = fixture.disk.size(snapshotPath(OWNER)) / BLOCK_SIZE;
  assert.ok(blocks > 40);
  for (let block = 0; block < blocks; block++) {
    fixture.disk.flipBit(snapshotPath(OWNER), block * BLOCK_SIZE + 70 + block, 2);
    assert.match(fixture.said(), block === 0 ? /first block is damaged/ : /does not match/);
    fixture.disk.flipBit(snapshotPath(OWNER), block * BLOCK_SIZE + 70 + block, 2);
  }
  assert.match(fixture.said(), /^a,a/);
});

Deno.test("a snapshot that is cut, newer, of another log, or unreadable is named", () => {
  const fixture = new Fixture();
  fixture.write(named("a", 3, 9_000));
  const path = snapshotPath(OWNER);
  const other = { groupId: 7, incarnation: 4 };
  fixture.run((function* () {
    yield (resume) => fixture.disk.rename(path, snapshotPath(other), { complete: resume });
  })());
  const read = fixture.read(other);
  assert(read.kind === "unusable");
  assert.equal(read.problem, "it is of group 7, incarnation 3");

  fixture.write(named("b", 3, 9_000));
  fixture.disk.inject({ operation: "read", path, nth: 2, fault: { kind: "error", errno: EIO } });
  assert.equal(fixture.said(), `it cannot be read: errno ${EIO}`);
  fixture.disk.inject({ operation: "read", path, nth: 1, fault: { kind: "short", bytes: 100 } });
  assert.equal(fixture.said(), "it is cut short");

  // A format of the future: what its first block says is sealed as this one's is.
  const block = fixture.disk.blockAt(path, 0)!.slice();
  const view = new DataView(block.buffer);
  view.setUint32(8, 2, true);
  fixture.memory.bytes.set(block, 0);
  view.setUint32(0, softwareCrc32c(fixture.memory)(4, BLOCK_SIZE - 4, 0), true);
  fixture.disk.replaceBlock(path, 0, block);
  assert.equal(fixture.said(), "its format 2 is of a newer version");
});

Deno.test("a write that fails leaves the snapshot before, and nothing beside it", () => {
  const fixture = new Fixture();
  fixture.write(named("old", 1, 10));
  for (
    const operation of ["open", "truncate", "write", "sync", "rename", "syncDirectory"] as const
  ) {
    fixture.disk.inject({ operation, nth: 1, fault: { kind: "error", errno: ENOSPC } });
    assert.equal(fixture.write(named("new", 3, 50_000)), -ENOSPC, operation);
    // The name may have been replaced already when only its flush failed.
    assert.match(fixture.said(), operation === "syncDirectory" ? /^new/ : /^old$/);
    assert.deepEqual(fixture.disk.namesIn("snapshots"), ["7.3"]);
  }
});

Deno.test("a power cut at any point leaves the snapshot before or the new one, whole", () => {
  let old = 0;
  let replaced = 0;
  for (let seed = 0; seed < 4; seed++) {
    for (let cutAt = 0;; cutAt++) {
      const fixture = new Fixture();
      fixture.write(named("old", 1, 10));
      fixture.disk.crashAfterOps(cutAt);
      const written = fixture.write(named("new", 3, 40_000));
      if (written !== null) break;
      fixture.disk = fixture.disk.restart({
        memory: fixture.memory,
        random: new Xoshiro128(seed),
      });
      const said = fixture.said();
      if (said === "old") old++;
      else if (said === "new,new,new") replaced++;
      else assert.fail(`after ${cutAt} operations: ${said}`);
    }
  }
  assert.ok(old > 10 && replaced > 0, `${old} old, ${replaced} new`);
});
