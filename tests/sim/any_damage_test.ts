/**
 * Whatever single file of a data directory is lost, cut or unreadable, and whatever single block of it is
 * destroyed: the node starts, says which file is wrong, and serves everything that was not in there. It may refuse
 * only where nothing tells what the cluster is. What could not be read and can be again costs nothing, however many
 * starts came between. A start with `--accept-loss` ends every such state: all can be written to again.
 */

import { strict as assert } from "node:assert";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import type { MemoryDisk } from "../../src/io/memory_disk.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { CREATE_TOPICS, FETCH, OFFSET_COMMIT, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { FIND_COORDINATOR } from "../../src/wire/generated/apis.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { BATCH_HEADER_SIZE, batchSize } from "../../src/wire/record_batch.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest } from "./sim_requests.ts";

const SHARDS = 2;
const RECORDS = 3;
/** Of a segment's blocks all are destroyed in turn, of larger files one in so many. */
const STRIDE = Number(Deno.env.get("GREGOR_SIM_DAMAGE_STRIDE") ?? 7);
/** What the manifest of the scene's second life names, and the manifest: missed at once, even if nothing is lost. */
const NEEDED = /^(?:manifest|shards\/(?:journal-|checkpoint-2-).*)$/;
const METADATA = "__cluster_metadata";

interface Ledger {
  readonly topic: string;
  readonly partition: number;
  /** What was acknowledged, three records each. */
  readonly batches: Uint8Array[];
}

interface Scene {
  readonly disk: MemoryDisk;
  readonly ledgers: readonly Ledger[];
}

function newNode(seed = 1): SimNode {
  return new SimNode({ seed, settings: { "offsets.topic.num.partitions": "2" } });
}

function call<Request, Response>(
  node: SimNode,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response | null {
  const client = new SimClient(node.connect(0));
  let response: Response | null = null;
  client.send(api, version, request, (r) => response = r);
  node.run(() => (client.poll(), response !== null), 20_000);
  return response;
}

function batchFor(ledger: Ledger, number: number, valueBytes: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (let i = 0; i < RECORDS; i++) {
    const value = new Uint8Array(valueBytes).fill(number * RECORDS + i + ledger.partition * 64);
    builder.add({ key: null, value, timestamp: 1_700_000_000_000 + number });
  }
  return builder.build();
}

/** Produces one batch; returns the error code, and notes what was acknowledged. */
function produce(node: SimNode, ledger: Ledger, valueBytes: number): number {
  const batch = batchFor(ledger, ledger.batches.length, valueBytes);
  const request = produceRequest(ledger.topic, ledger.partition, batch);
  const answer = call(node, PRODUCE, 9, request)?.responses[0]?.partitionResponses[0];
  assert.ok(answer !== undefined, `no answer from ${ledger.topic}-${ledger.partition}`);
  if (answer.errorCode === ErrorCode.NONE) ledger.batches.push(batch);
  return answer.errorCode;
}

/** Whether everything acknowledged is served, unchanged; or why not. */
function readBack(node: SimNode, { topic, partition, batches }: Ledger): string {
  let number = 0;
  while (number < batches.length) {
    const request = newFetchRequest({
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 10_000_000,
      sessionEpoch: -1,
      topics: [newFetchTopic({
        topic,
        partitions: [
          newFetchPartition({
            partition,
            fetchOffset: number * RECORDS,
            partitionMaxBytes: 1_000_000,
          }),
        ],
      })],
    });
    const answer = call(node, FETCH, 11, request)?.responses[0]?.partitions[0];
    if (answer === undefined) return "no answer";
    if (answer.errorCode !== ErrorCode.NONE) return `error ${answer.errorCode} at batch ${number}`;
    const bytes = answer.records;
    if (bytes === null || bytes.length === 0) return `ends before batch ${number}`;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length;) {
      const size = batchSize(view, at);
      const expected = batches[number++]!;
      assert.equal(size, expected.length, `${topic}-${partition}: another batch`);
      for (let i = BATCH_HEADER_SIZE; i < size; i++) {
        assert.equal(bytes[at + i], expected[i], `${topic}-${partition}: batch ${number} changed`);
      }
      at += size;
    }
  }
  return "";
}

function create(node: SimNode, name: string, configs: Record<string, string> = {}): void {
  const topic = newCreatableTopic({
    name,
    numPartitions: 2,
    replicationFactor: 1,
    configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
  });
  const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: 1000 });
  assert.equal(call(node, CREATE_TOPICS, 7, request)!.topics[0]!.errorCode, 0);
}

function commit(node: SimNode): void {
  for (let tries = 0; tries < 50; tries++) {
    const keys = newFindCoordinatorRequest({ coordinatorKeys: ["g"] });
    if (call(node, FIND_COORDINATOR, 4, keys)!.coordinators[0]!.errorCode === 0) break;
    node.pass(10);
  }
  const partition = newOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 2 });
  const request = newOffsetCommitRequest({
    groupId: "g",
    topics: [{ name: "plain", topicId: "", partitions: [partition] }],
  } as never);
  call(node, OFFSET_COMMIT, 8, request);
}

/** A directory with every kind of file: rolled and open segments, indexes, rows, journals with records in them. */
function makeScene(cleanly: boolean): Scene {
  const node = newNode();
  assert(node.mount(SHARDS));
  create(node, "plain");
  create(node, "rolling", { "segment.ms": "1" });
  const ledgers: Ledger[] = ["plain", "rolling"].flatMap((topic) =>
    [0, 1].map((partition) => ({ topic, partition, batches: [] }))
  );
  commit(node);
  for (let round = 0; round < 4; round++) {
    for (const ledger of ledgers) {
      assert.equal(produce(node, ledger, round === 2 ? 3000 : 500), ErrorCode.NONE);
      node.pass(2);
    }
  }
  assert(node.stop());
  node.crash();
  assert(node.mount(SHARDS));
  for (const ledger of ledgers) assert.equal(produce(node, ledger, 700), ErrorCode.NONE);
  commit(node);
  if (cleanly) assert(node.stop());
  else node.pass(50);
  node.crash();
  return { disk: node.disk, ledgers };
}

/** Whether `path` was named by anybody. */
function isNamed(node: SimNode, path: string, said: string): boolean {
  const name = path.split("/").at(-1)!;
  return said.includes(path) || said.toLowerCase().includes(name.toLowerCase()) ||
    node.damages.some(({ file, lost }) =>
      file === path || lost.includes(path) || (file !== "" && path.startsWith(`${file}/`))
    ) || node.remarks.some((remark) => remark.includes(path));
}

/** Starts on a damaged disk, and holds the node to what it must do. */
function holdTo(scene: Scene, path: string, what: string, isWhole: boolean, harm: Harm): string {
  const disk = scene.disk.fork();
  harm(disk);
  const node = newNode(2);
  const told = `${path}: ${what}`;
  node.adopt(disk);
  let said = "";
  let started = node.mount(SHARDS);
  if (!started) {
    said = node.refusal ?? "";
    assert.match(said, /^damaged: /, `${told}: ${said}`);
    assert.ok(path.includes(METADATA), `${told}: refused: ${said}`);
    node.crash();
    started = node.mount(SHARDS, undefined, true);
  }
  assert.ok(started, `${told}: no start, --accept-loss or not: ${node.refusal}`);
  const ledgers = scene.ledgers.map((ledger) => ({ ...ledger, batches: [...ledger.batches] }));
  let unserved = 0;
  const lost: string[] = [];
  for (const ledger of ledgers) {
    const problem = readBack(node, ledger);
    const { topic, partition } = ledger;
    if (problem !== "") lost.push(`${topic}-${partition} ${problem}`);
    else if (produce(node, ledger, 100) !== ErrorCode.NONE) {
      lost.push(`${topic}-${partition} writes`);
    }
    if (path.startsWith(`logs/${topic}-${partition}.`)) continue;
    // Another partition's file costs this one nothing.
    if (path.startsWith("logs/") && !path.includes(METADATA)) {
      assert.equal(problem, "", `${told}: ${topic}-${partition}`);
    }
    if (problem !== "") unserved++;
  }
  assert.deepEqual(node.fatals, [], told);
  // Without the metadata log there are no topics, and with the manifest the journals may be gone.
  const isCommon = path.includes(METADATA) || path === "manifest";
  assert.ok(unserved < ledgers.length || isCommon, `${told}: nothing is served`);
  const named = isNamed(node, path, said);
  assert.ok(named || lost.length === 0, `${told}: not named, and yet ${lost}`);
  // Of logs only what is read can be known to be missing, and what the journal has is made good.
  const mustBeNamed = isWhole && NEEDED.test(path);
  assert.ok(named || !mustBeNamed, `${told}: not named`);
  const isFrozen = node.shards[0]!.shard.metadataReadOnly;
  node.crash();
  if (what.endsWith("unreadable") && said === "") {
    node.adopt(node.disk.fork());
    if (node.disk.paths().includes(path)) node.disk.giveBack(path);
    assert.ok(node.mount(SHARDS), `${told}, and is back: ${node.refusal}`);
    for (const ledger of ledgers) {
      const { topic, partition } = ledger;
      assert.equal(readBack(node, ledger), "", `${told}, and is back: ${topic}-${partition}`);
      assert.equal(produce(node, ledger, 100), ErrorCode.NONE, `${told}, and is back`);
    }
    create(node, "later");
    assert.deepEqual(node.fatals, [], told);
    node.crash();
    return isFrozen ? "back, metadata too" : "back";
  }
  if (lost.length === 0 && !isFrozen) return named ? "named" : "whole";
  assert.ok(node.mount(SHARDS, undefined, true), `${told}: --accept-loss: ${node.refusal}`);
  create(node, "later");
  if (!isCommon) {
    for (const ledger of ledgers) {
      assert.equal(produce(node, ledger, 100), ErrorCode.NONE, `${told}: still not writable`);
    }
  }
  assert.deepEqual(node.fatals, [], told);
  node.crash();
  return "lost";
}

type Harm = (disk: MemoryDisk) => void;

/** What may happen to a whole file. */
function fileHarms(disk: MemoryDisk, path: string): [string, Harm][] {
  const size = disk.size(path);
  const blocks = Math.ceil(size / BLOCK_SIZE);
  const half = Math.floor(blocks / 2) * BLOCK_SIZE;
  return [
    ["gone", (disk) => disk.loseFile(path)],
    ["empty", (disk) => disk.cutFile(path, 0)],
    ["cut in half", (disk) => disk.cutFile(path, half)],
    ["unreadable", (disk) => {
      for (let block = 0; block < blocks; block++) disk.loseBlock(path, block);
    }],
  ];
}

function blockHarms(path: string, block: number): [string, Harm][] {
  const garbage = new Uint8Array(BLOCK_SIZE).map((_, i) => (i * 167 + block * 31 + 5) & 0xff);
  return [
    [`block ${block} is garbage`, (disk) => disk.replaceBlock(path, block, garbage)],
    [`block ${block} is zero`, (disk) => disk.replaceBlock(path, block, null)],
    [`block ${block} is unreadable`, (disk) => disk.loseBlock(path, block)],
  ];
}

for (const cleanly of [true, false]) {
  const when = cleanly ? "behind a clean stop" : "behind a kill";

  Deno.test(`whatever single file is lost, cut or unreadable ${when}, the rest is served`, () => {
    const scene = makeScene(cleanly);
    const outcomes = new Map<string, number>();
    for (const path of scene.disk.paths()) {
      const size = sizeOf(scene.disk, path);
      for (const [what, harm] of fileHarms(scene.disk, path)) {
        const isWhole = size > 0 && (what === "gone" || what === "unreadable");
        const outcome = holdTo(scene, path, what, isWhole, harm);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    for (const outcome of ["named", "lost", "whole", "back"]) {
      assert.ok((outcomes.get(outcome) ?? 0) > 5, `${outcome}: ${[...outcomes]}`);
    }
  });

  Deno.test(`whatever single block is destroyed ${when}, the rest is served`, () => {
    const scene = makeScene(cleanly);
    let turn = 0;
    for (const path of scene.disk.paths()) {
      const blocks = Math.ceil(sizeOf(scene.disk, path) / BLOCK_SIZE);
      for (let block = 0; block < blocks; block++) {
        if (scene.disk.blockAt(path, block) === null || isZero(scene.disk, path, block)) continue;
        const harms = blockHarms(path, block);
        // Of larger files one kind in turn, and that of some blocks.
        if (blocks > 8 && ++turn % STRIDE !== 0) continue;
        const chosen = blocks > 8 ? [harms[turn % harms.length]!] : harms;
        for (const [what, harm] of chosen) holdTo(scene, path, what, false, harm);
      }
    }
  });
}

function sizeOf(disk: MemoryDisk, path: string): number {
  return disk.fork().restart().size(path);
}

function isZero(disk: MemoryDisk, path: string, block: number): boolean {
  return disk.blockAt(path, block)!.every((byte) => byte === 0);
}
