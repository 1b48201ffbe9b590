import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { Arena } from "../bytes/arena.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EFBIG, EIO, ENOMEM } from "../io/errno.ts";
import { MemoryDisk } from "../io/memory_disk.ts";
import { runTask, type Task } from "../io/task.ts";
import { ROW_VERSION } from "./checkpoint_row.ts";
import {
  decodeManifest,
  encodeManifest,
  findManifest,
  identityOf,
  KEPT_SHARDS_MAX,
  type Manifest,
  MANIFEST_BYTES_MAX,
  MANIFEST_COPY_PATH,
  MANIFEST_FORMAT_VERSION,
  type ManifestRead,
  readManifest,
  updateManifest,
  writeManifest,
} from "./manifest.ts";
import { PRODUCERS_FORMAT_VERSION } from "./producer_state.ts";
import { SNAPSHOT_FORMAT_VERSION } from "./state_snapshot.ts";

function manifestOf(mountEpoch: number, shardCount: number): Manifest {
  return {
    formatVersion: MANIFEST_FORMAT_VERSION,
    incarnation: "0123456789abcdef0123456789abcdef",
    clusterId: "clüster",
    founders: [{ nodeId: 3, incarnation: "f".repeat(32), host: "höst", port: 33145 }],
    pledge: null,
    nodeId: 3,
    mountEpoch,
    nextJournalId: 12,
    shards: Array.from({ length: shardCount }, (_, i) => ({
      journalId: i + 5,
      firstLsn: 2 ** 40 + i,
      extents: [`journal/${i}/a`, `journal/${i}/b`],
      extentBytes: 64 * 1024 * 1024,
      checkpoints: [`checkpoint/${i}/0`, `checkpoint/${i}/1`] as const,
    })),
  };
}

function newDisk(seed: number): {
  options: { disk: MemoryDisk; memory: ReturnType<typeof wrapMemory> };
  buffer: { bufferAddress: number; bufferBytes: number };
} {
  const memory = wrapMemory(new ArrayBuffer(64 * 1024));
  const disk = new MemoryDisk({ memory, random: new Xoshiro128(seed) });
  return { options: { disk, memory }, buffer: { bufferAddress: 0, bufferBytes: 64 * 1024 } };
}

function finish<T>(disk: MemoryDisk, task: Task<T>): T {
  const results: T[] = [];
  runTask(task, (value) => results.push(value));
  disk.run();
  assert.equal(results.length, 1);
  return results[0]!;
}

function reading(read: ManifestRead): Manifest {
  assert.equal(read.kind, "found", JSON.stringify(read));
  return (read as { manifest: Manifest }).manifest;
}

Deno.test("a manifest is read as it was written, and replaced", () => {
  const { options, buffer } = newDisk(1);
  const all = { ...options, ...buffer };
  assert.deepEqual(finish(options.disk, readManifest(all)), { kind: "none" });
  for (const manifest of [manifestOf(1, 40), manifestOf(2, 0), manifestOf(3, 2)]) {
    assert.equal(finish(options.disk, writeManifest(all, manifest)), 0);
    options.memory.bytes.fill(0xaa);
    assert.deepEqual(reading(finish(options.disk, readManifest(all))), manifest);
  }
  assert.deepEqual(options.disk.list(""), ["manifest"]);
});

Deno.test("a crash at every boundary leaves the old manifest or the new one", () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    for (let crashAt = 0; crashAt < 9; crashAt++) {
      const { options, buffer } = newDisk(seed);
      const all = { ...options, ...buffer };
      assert.equal(finish(options.disk, writeManifest(all, manifestOf(1, 3))), 0);
      let done = false;
      options.disk.crashAfterOps(crashAt);
      runTask(writeManifest(all, manifestOf(2, 30)), (result) => done = result === 0);
      options.disk.run();
      options.disk.crash();
      const disk = options.disk.restart();
      const { mountEpoch } = reading(finish(disk, readManifest({ ...all, disk })));
      assert.ok(mountEpoch === 2 || (mountEpoch === 1 && !done));
      seen.add(mountEpoch);
      // Whatever was left beside it does not stand in the way.
      const again = { ...all, disk };
      assert.equal(finish(disk, writeManifest(again, manifestOf(3, 1))), 0);
      assert.equal(reading(finish(disk, readManifest(again))).mountEpoch, 3);
    }
  }
  assert.deepEqual([...seen].sort(), [1, 2]);
});

Deno.test("a flipped bit in the text is damage with a reason, never another manifest", () => {
  const bytes = encodeManifest(manifestOf(7, 2));
  const text = new TextDecoder().decode(bytes).trimEnd();
  for (let at = 0; at < text.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const rotten = bytes.slice();
      rotten[at] = rotten[at]! ^ (1 << bit);
      const read = decodeManifest(rotten);
      assert.equal(read.kind, "damaged", `byte ${at}, bit ${bit}`);
    }
  }
  assert.equal(decodeManifest(bytes.subarray(0, 400)).kind, "damaged");
  assert.equal(decodeManifest(new Uint8Array(BLOCK_SIZE)).kind, "damaged");
});

Deno.test("a newer format is distinguished from damage, and missing fields are named", () => {
  const newer = encodeManifest({ ...manifestOf(1, 1), formatVersion: MANIFEST_FORMAT_VERSION + 1 });
  assert.deepEqual(decodeManifest(newer), {
    kind: "newer",
    formatVersion: MANIFEST_FORMAT_VERSION + 1,
  });
  const shard = { ...manifestOf(1, 1).shards[0]!, extents: [] };
  assert.deepEqual(decodeManifest(encodeManifest({ ...manifestOf(1, 0), shards: [shard] })), {
    kind: "damaged",
    reason: "shards[0].extents is not a list of paths",
  });
  assert.deepEqual(decodeManifest(encodeManifest({ ...manifestOf(1, 0), nodeId: -1 })), {
    kind: "damaged",
    reason: "nodeId is not a number",
  });
  const [founder] = manifestOf(1, 1).founders;
  for (
    const [wrong, reason] of [
      [{ incarnation: "short" }, "incarnation is not one"],
      [{ founders: [{ ...founder, port: "1" }] }, "founders is not a list of nodes"],
      [{ founders: [null] }, "founders is not a list of nodes"],
      [{ pledge: { clusterId: "c", founders: {} } }, "pledge is not one"],
      [{ pledge: 1 }, "pledge is not one"],
    ] as const
  ) {
    const bytes = encodeManifest({ ...manifestOf(1, 1), ...wrong } as unknown as Manifest);
    assert.deepEqual(decodeManifest(bytes), { kind: "damaged", reason });
  }
});

Deno.test("a manifest from before nodes had an identity has none", () => {
  const { formatVersion: _, incarnation: __, founders: ___, pledge: ____, ...rest } = manifestOf(
    1,
    1,
  );
  const old = { ...rest, clusterId: "", formatVersion: 2 };
  const manifest = reading(decodeManifest(encodeManifest(old as unknown as Manifest)));
  assert.deepEqual(identityOf(manifest), identityOf(null));
});

Deno.test("of keepers that an older program noted only the ids are known; later ones are lives with a place", () => {
  const old = { ...manifestOf(1, 1), formatVersion: 5, keepers: [1, 4] };
  const { keepers } = reading(decodeManifest(encodeManifest(old as unknown as Manifest)));
  assert.deepEqual(
    keepers,
    [1, 4].map((nodeId) => ({ nodeId, incarnation: "", host: "", port: 0 })),
  );
  const lives = [{ nodeId: 1, incarnation: "e".repeat(32), host: "h", port: 1 }];
  const now = { ...manifestOf(1, 1), keepers: lives };
  assert.deepEqual(reading(decodeManifest(encodeManifest(now))).keepers, lives);
  // Written again, it is the same.
  const again = { ...manifestOf(1, 1), keepers: keepers! };
  assert.deepEqual(reading(decodeManifest(encodeManifest(again))).keepers, keepers);
});

Deno.test("updateManifest() replaces the manifest and its copy, whatever its size, and frees its memory", () => {
  const { options, buffer } = newDisk(2);
  const arena = new Arena(0, 64 * 1024);
  const free = arena.freeBytes;
  const manifest = manifestOf(1, 20);
  assert.equal(finish(options.disk, updateManifest({ ...options, arena }, manifest)), 0);
  assert.equal(arena.freeBytes, free);
  const all = { ...options, ...buffer };
  assert.deepEqual(reading(finish(options.disk, readManifest(all))), manifest);
  assert.deepEqual(reading(finish(options.disk, readManifest(all, MANIFEST_COPY_PATH))), manifest);
  while (arena.allocate(4096) >= 0);
  assert.equal(finish(options.disk, updateManifest({ ...options, arena }, manifest)), -ENOMEM);
});

/** `kept` shards, each with `groups` groups of the longest number. */
function keeping(kept: number, groups: number): Manifest {
  const [shard] = manifestOf(1, 1).shards;
  const numbers = Array.from({ length: groups }, (_, i) => 999_000_000 + i);
  return {
    ...manifestOf(9, 64),
    kept: Array.from({ length: kept }, () => ({ ...shard!, mountEpoch: 8, groups: numbers })),
  };
}

Deno.test("a manifest of as many kept shards and groups as there may be is written and read in pieces", () => {
  const { options, buffer } = newDisk(2);
  const all = { ...options, ...buffer };
  const largest = keeping(KEPT_SHARDS_MAX, 3_000);
  const bytes = encodeManifest(largest).length;
  assert.ok(bytes > MANIFEST_BYTES_MAX * 0.9 && bytes <= MANIFEST_BYTES_MAX, `${bytes}`);
  assert.equal(finish(options.disk, writeManifest(all, largest)), 0);
  assert.deepEqual(reading(finish(options.disk, readManifest(all))), largest);
  const arena = new Arena(0, 64 * 1024);
  assert.equal(finish(options.disk, updateManifest({ ...options, arena }, largest)), 0);
  assert.deepEqual(reading(finish(options.disk, readManifest(all, MANIFEST_COPY_PATH))), largest);
  // One more is refused, and leaves what there was.
  const tooLarge = keeping(KEPT_SHARDS_MAX, 4_000);
  assert.equal(finish(options.disk, writeManifest(all, tooLarge)), -EFBIG);
  assert.equal(reading(finish(options.disk, readManifest(all))).kept!.length, KEPT_SHARDS_MAX);
  // A smaller one takes its place whole.
  assert.equal(finish(options.disk, writeManifest(all, manifestOf(10, 2))), 0);
  assert.deepEqual(reading(finish(options.disk, readManifest(all))), manifestOf(10, 2));
});

Deno.test("a crash at every boundary of a manifest of many pieces leaves the old one or the new one", () => {
  const seen = new Set<number>();
  for (let crashAt = 0; crashAt < 16; crashAt++) {
    const { options, buffer } = newDisk(crashAt);
    const all = { ...options, ...buffer, bufferBytes: 3 * BLOCK_SIZE };
    assert.equal(finish(options.disk, writeManifest(all, keeping(3, 2000))), 0);
    options.disk.crashAfterOps(crashAt);
    runTask(writeManifest(all, { ...keeping(4, 2000), mountEpoch: 10 }), () => {});
    options.disk.run();
    options.disk.crash();
    const disk = options.disk.restart();
    const { mountEpoch, kept } = reading(finish(disk, readManifest({ ...all, disk })));
    assert.equal(kept!.length, mountEpoch === 10 ? 4 : 3);
    seen.add(mountEpoch);
  }
  assert.deepEqual([...seen].sort(), [10, 9]);
});

Deno.test("a failed write leaves the old manifest", () => {
  for (const operation of ["write", "sync", "rename"] as const) {
    const { options, buffer } = newDisk(2);
    const all = { ...options, ...buffer };
    assert.equal(finish(options.disk, writeManifest(all, manifestOf(1, 1))), 0);
    options.disk.inject({ operation, nth: 1, fault: { kind: "error", errno: EIO } });
    assert.equal(finish(options.disk, writeManifest(all, manifestOf(2, 1))), -EIO);
    assert.equal(reading(finish(options.disk, readManifest(all))).mountEpoch, 1);
  }
});

Deno.test("a manifest of every earlier format is read; its version is raised with that of all it names", () => {
  for (let formatVersion = 1; formatVersion <= MANIFEST_FORMAT_VERSION; formatVersion++) {
    reading(decodeManifest(encodeManifest({ ...manifestOf(1, 1), formatVersion })));
  }
  // Who changes one of these raises the first one, too: older programs must leave the directory alone.
  assert.deepEqual(
    [MANIFEST_FORMAT_VERSION, ROW_VERSION, PRODUCERS_FORMAT_VERSION, SNAPSHOT_FORMAT_VERSION],
    [8, 3, 3, 1],
  );
});

Deno.test("a newer copy beside a manifest that is gone is no directory to begin anew", () => {
  const { options, buffer } = newDisk(2);
  const all = { ...options, ...buffer };
  const formatVersion = MANIFEST_FORMAT_VERSION + 1;
  const newer = { ...manifestOf(1, 1), formatVersion };
  assert.equal(finish(options.disk, writeManifest(all, newer, MANIFEST_COPY_PATH)), 0);
  const found = finish(options.disk, findManifest(all));
  assert.deepEqual(found, { read: { kind: "newer", formatVersion }, copyBecause: null });
});
