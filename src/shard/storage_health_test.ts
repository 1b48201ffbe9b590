import { strict as assert } from "node:assert";
import { type LogFields, LogLevel } from "../base/logger.ts";
import type { Log } from "../storage/log.ts";
import { NodeHealth } from "./node_health.ts";
import { type StorageHealth, StorageHealthWatch } from "./storage_health.ts";

const MIB = 2 ** 20;

function fakeLog(directory: string): { -readonly [Key in keyof Log]: Log[Key] } {
  return { directory, suspect: false, startOffset: 0 } as {
    -readonly [Key in keyof Log]: Log[Key];
  };
}

class Scene {
  nowMs = 0;
  freeBytes = 3 * MIB;
  totalBytes = 4 * MIB;
  readonly logs = new Map<number, ReturnType<typeof fakeLog>>();
  readonly told: StorageHealth[] = [];
  readonly watch = new StorageHealthWatch({
    logs: () => this.logs,
    freeBytes: () => this.freeBytes,
    totalBytes: () => this.totalBytes,
    nowMs: () => this.nowMs,
    tell: (health) => this.told.push(health),
  });

  lookAfter(ms: number): StorageHealth | undefined {
    this.nowMs += ms;
    this.watch.look();
    return this.told.pop();
  }
}

Deno.test("a full disk is reported once, however often it is met, and once when it is over", () => {
  const scene = new Scene();
  assert.equal(scene.lookAfter(0), undefined);
  for (let i = 0; i < 100; i++) scene.watch.noteRoom(false);
  assert.equal(scene.lookAfter(0)?.full, true);
  // Something small still finds room between two refusals.
  for (let i = 0; i < 10; i++) {
    scene.watch.noteRoom(true);
    scene.watch.noteRoom(false);
    assert.equal(scene.lookAfter(500), undefined);
  }
  scene.watch.noteRoom(true);
  assert.equal(scene.lookAfter(2_000)?.full, false);
});

Deno.test("room that somebody makes ends a full disk, though nobody appends any more", () => {
  const scene = new Scene();
  scene.watch.noteRoom(false);
  assert.equal(scene.lookAfter(0)?.full, true);
  assert.equal(scene.lookAfter(60_000), undefined);
  scene.freeBytes = 100 * MIB;
  assert.deepEqual(scene.lookAfter(500), {
    full: false,
    freeBytes: 100 * MIB,
    filledPercent: 0,
    hurt: [],
    hurtCount: 0,
  });
});

Deno.test("damage stays until it is given up, deleted, or before the log start", () => {
  const scene = new Scene();
  for (let i = 1; i <= 3; i++) scene.logs.set(i, fakeLog(`logs/orders-${i}.${i}.1`));
  const damage = (groupId: number, endOffset?: number) =>
    scene.watch.noteDamage({
      file: "f",
      position: 0,
      lost: "",
      groupId,
      ...(endOffset === undefined ? {} : { endOffset }),
    });
  scene.watch.noteDamage({ file: "f", position: 0, lost: "", groupId: 1, harmless: true });
  assert.equal(scene.lookAfter(0), undefined, "nothing is lost with an index");
  for (let groupId = 1; groupId <= 3; groupId++) damage(groupId, 10);
  damage(99);
  scene.logs.get(2)!.suspect = true;
  assert.deepEqual(scene.lookAfter(0)?.hurt, [
    { groupId: 2, partition: "orders-2", readOnly: true },
    { groupId: 1, partition: "orders-1", readOnly: false },
    { groupId: 3, partition: "orders-3", readOnly: false },
  ]);
  scene.watch.noteMended({ groupId: 1, file: "f", position: 7 });
  assert.equal(scene.lookAfter(0), undefined, "another place");
  scene.watch.noteMended({ groupId: 1, file: "f", position: 0 });
  assert.equal(scene.lookAfter(0)?.hurtCount, 2);
  scene.logs.get(3)!.startOffset = 10;
  assert.equal(scene.lookAfter(0)?.hurtCount, 1);
  scene.logs.delete(2);
  assert.deepEqual(scene.lookAfter(0)?.hurt, []);
});

Deno.test("a disk that fills is reported at each step, and not again for small changes", () => {
  const scene = new Scene();
  scene.totalBytes = 100 * MIB;
  const told: (number | undefined)[] = [];
  for (const usedPercent of [50, 84, 85, 88, 91, 89, 91, 96, 80, 86]) {
    scene.freeBytes = (100 - usedPercent) * MIB;
    told.push(scene.lookAfter(500)?.filledPercent);
  }
  const no = undefined;
  assert.deepEqual(told, [no, no, 85, no, 90, no, no, 95, 0, 85]);
  const lines = new Lines();
  const health = new NodeHealth(lines, "/d", () => 0);
  for (const filledPercent of [85, 85, 90, 0]) health.update(0, { ...SOUND, filledPercent });
  assert.deepEqual(health.problems(), []);
  assert.equal(lines.lines.length, 2);
  assert.match(lines.lines[1]!, /filling up.*usedPercent=90 freeMib=5 remedy=/);
});

class Lines {
  readonly lines: string[] = [];
  readonly levels: LogLevel[] = [];
  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.levels.push(level);
    this.lines.push(
      `${message} ${Object.entries(fields).map(([key, value]) => `${key}=${value}`).join(" ")}`,
    );
  }
}

const SOUND: StorageHealth = {
  full: false,
  freeBytes: 5 * MIB,
  filledPercent: 0,
  hurt: [],
  hurtCount: 0,
};

Deno.test("the node says once that its disk is full, with what is free and what to do, and that it is over", () => {
  const lines = new Lines();
  let nowMs = 0;
  const health = new NodeHealth(lines, "/var/lib/gregor", () => nowMs);
  assert.deepEqual(health.problems(), []);
  health.update(0, { ...SOUND, full: true });
  health.update(1, { ...SOUND, full: true });
  assert.deepEqual(health.problems().map(({ kind }) => kind), ["disk-full"]);
  assert.match(health.problems()[0]!.message, /disk of \/var\/lib\/gregor is full/);
  nowMs = 9_000;
  health.update(0, SOUND);
  assert.equal(health.full, true, "the other shard still meets it");
  health.update(1, SOUND);
  assert.deepEqual(health.problems(), []);
  assert.deepEqual(lines.levels, [LogLevel.ERROR, LogLevel.INFO]);
  assert.match(lines.lines[0]!, /disk is full.*freeMib=5.*remedy=free space.*retention\.bytes/);
  assert.match(lines.lines[1]!, /room on the disk again.*lastedS=9/);
});

Deno.test("damaged partitions are named with what to do; many that come one by one are a line or two", () => {
  const lines = new Lines();
  let nowMs = 0;
  const health = new NodeHealth(lines, "/d", () => nowMs);
  const hurt = Array.from({ length: 50 }, (_, i) => ({
    groupId: i,
    partition: `orders-${i}`,
    readOnly: i === 0,
  }));
  for (let count = 1; count <= 50; count++) {
    health.update(0, { ...SOUND, hurt: hurt.slice(0, count), hurtCount: count });
  }
  assert.equal(lines.lines.length, 1);
  assert.match(
    lines.lines[0]!,
    /partitions=orders-0 \(read-only\) remedy=.*gregor check.*--accept-loss/,
  );
  nowMs += 10_000;
  health.logDamage();
  assert.match(lines.lines[1]!, / and 40 more /);
  assert.equal(health.problems()[0]!.partitions.length, 50);
  assert.deepEqual(health.hurtGroups.length, 50);
  health.update(0, SOUND);
  assert.match(lines.lines[2]!, /No partition is damaged any longer/);
  health.logDamage();
  assert.equal(lines.lines.length, 3);
});
