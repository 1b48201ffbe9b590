import { strict as assert } from "node:assert";
import { LogLevel } from "../base/logger.ts";
import { EIO } from "../io/errno.ts";
import { runTask, type Task, until } from "../io/task.ts";
import type { Manifest } from "../storage/manifest.ts";
import type { RecoveryReport } from "../storage/recovery.ts";
import type { Damage } from "../storage/shard_storage.ts";
import {
  type Recovered,
  type StartedNode,
  startNode,
  type StartRefusal,
  type StartSteps,
  stopNode,
} from "./start_sequence.ts";

const NODE = { host: "localhost", port: 9092, rack: null, rpc: null };
const MANIFEST = { mountEpoch: 7 } as unknown as Manifest;
const DAMAGE: Damage = { groupId: 3, file: "logs/a", position: 0, lost: "offsets 1 to 2" };

function report(changes: Partial<RecoveryReport> = {}): RecoveryReport {
  return {
    outcome: "ready",
    reason: "",
    errno: 0,
    manifest: MANIFEST,
    ringsDealt: false,
    ballastBytes: 4096,
    fresh: false,
    logCount: 3,
    replayedRecords: 11,
    damages: [],
    strays: [],
    removed: [],
    suspectGroups: [],
    suspectPartitions: [],
    ...changes,
  };
}

/** Steps that say when they begin and end, one after the other, and answer what a test wants. */
class ScriptedSteps implements StartSteps {
  readonly shardCount = 2;
  readonly seen: string[] = [];
  readonly #answers: Partial<Record<keyof StartSteps, unknown>>;
  readonly #waiting: (() => void)[] = [];

  constructor(answers: Partial<Record<keyof StartSteps, unknown>> = {}) {
    this.#answers = answers;
  }

  recover = () => this.#step<Recovered>("recover", { report: report(), diskError: null });
  verify = () =>
    this.#step("verify", { verified: { segments: 1, batches: 2, bytes: 3 }, damages: [DAMAGE] });
  open = (shard: number, manifest: Manifest, damages: readonly Damage[]) =>
    this.#step(
      "open",
      { errno: 0, logs: 1 + shard, lastGroupId: 10 + shard },
      `${shard} epoch ${manifest.mountEpoch} damages ${damages.length}`,
    );
  listen = () => void this.seen.push("listen");
  join = (manifest: Manifest, _node: unknown, firstFreeGroupId: number) =>
    this.#step("join", { refusal: null }, `epoch ${manifest.mountEpoch} ${firstFreeGroupId}`);
  lead = (_node: unknown, firstFreeGroupId: number) =>
    this.#step(
      "lead",
      { refusal: null, clusterId: "c", topics: 1, partitions: 2 },
      `${firstFreeGroupId}`,
    );
  serve = (shard: number, ballastBytes: number) =>
    this.#step("serve", undefined, `${shard} holds ${ballastBytes}`);
  drain = (shard: number) => this.#step("drain", undefined, `${shard}`);
  stop = (shard: number) => this.#step("stop", undefined, `${shard}`);

  /** Ends the steps that wait, newest first, until nothing happens any more. */
  run(): void {
    for (let end = this.#waiting.pop(); end !== undefined; end = this.#waiting.pop()) end();
  }

  // deno-lint-ignore no-explicit-any
  *#step<T>(name: string, usual: T, detail = ""): Task<any> {
    this.seen.push(`${name} ${detail}`.trim());
    yield* until<void>((done) => this.#waiting.push(done));
    return (this.#answers as Record<string, unknown>)[name] ?? usual;
  }
}

interface Run {
  readonly outcome: StartedNode | StartRefusal | undefined;
  readonly seen: readonly string[];
  readonly told: readonly string[];
}

function start(steps: ScriptedSteps, verify = false): Run {
  const told: string[] = [];
  let outcome: StartedNode | StartRefusal | undefined;
  const logger = {
    log: (level: LogLevel, message: string) => {
      if (level >= LogLevel.WARN) told.push(message);
    },
  };
  runTask(startNode({ node: NODE, verify, logger, nowMs: () => 0 }, steps), (answer) => {
    outcome = answer;
  });
  steps.run();
  return { outcome, seen: steps.seen, told };
}

Deno.test("a start goes through its steps in order, and each waits for all shards of the one before", () => {
  const { outcome, seen, told } = start(new ScriptedSteps());
  assert.deepEqual(seen, [
    "recover",
    "open 0 epoch 7 damages 0",
    "open 1 epoch 7 damages 0",
    "listen",
    "join epoch 7 12",
    "lead 12",
    "serve 0 holds 4096",
    "serve 1 holds 4096",
  ]);
  assert.deepEqual(outcome, {
    refusal: null,
    clusterId: "c",
    topics: 1,
    partitions: 2,
    refused: null,
    logs: 3,
    fresh: false,
    replayed: 11,
  });
  assert.deepEqual(told, []);
});

Deno.test("after a disk error, or when it is asked for, everything is verified before a log is opened", () => {
  const marked = new ScriptedSteps({ recover: { report: report(), diskError: "EIO" } });
  for (const { seen } of [start(marked), start(new ScriptedSteps(), true)]) {
    assert.deepEqual(seen.slice(0, 3), ["recover", "verify", "open 0 epoch 7 damages 1"]);
  }
});

const REFUSALS: readonly [string, Partial<Record<keyof StartSteps, unknown>>, StartRefusal][] = [
  [
    "recover",
    {
      recover: {
        report: report({ outcome: "error", reason: "no", errno: EIO, manifest: null }),
        diskError: null,
      },
    },
    { refused: "error", reason: "no", errno: EIO, isDiskError: true },
  ],
  [
    "verify",
    {
      recover: { report: report(), diskError: "EIO" },
      verify: { verified: -EIO, damages: [] },
    },
    {
      refused: "error",
      reason: `Cannot verify the data (errno ${EIO})`,
      errno: EIO,
      isDiskError: true,
    },
  ],
  [
    "open",
    { open: { errno: -EIO, logs: 0, lastGroupId: 0 } },
    {
      refused: "error",
      reason: `Cannot open the storage of shard 0 (errno ${EIO})`,
      errno: EIO,
      isDiskError: false,
    },
  ],
  [
    "join",
    { join: { refusal: { kind: "newer", reason: "a feature" } } },
    { refused: "newer", reason: "a feature", errno: 0, isDiskError: false },
  ],
  [
    "lead",
    { lead: { refusal: "two of one id", clusterId: "", topics: 0, partitions: 0 } },
    { refused: "cluster", reason: "two of one id", errno: 0, isDiskError: false },
  ],
];

for (const [step, answers, refusal] of REFUSALS) {
  Deno.test(`a start that step ${step} refuses goes no further`, () => {
    const { outcome, seen } = start(new ScriptedSteps(answers));
    assert.deepEqual(outcome, refusal);
    assert.equal(seen.at(-1)!.split(" ")[0], step);
  });
}

Deno.test("what recovery found is told: suspect partitions, strange files, old journals", () => {
  const found = report({ suspectPartitions: ["t-0"], strays: ["x"], ringsDealt: true });
  const { told } = start(new ScriptedSteps({ recover: { report: found, diskError: null } }));
  assert.deepEqual(told.map((line) => line.slice(0, 24)), [
    "The data directory holds",
    "Damage may have taken ac",
    "The disk is too full for",
  ]);
});

Deno.test("no shard writes out its storage before all have drained", () => {
  const steps = new ScriptedSteps();
  let ended = false;
  runTask(stopNode(steps), () => ended = true);
  steps.run();
  assert(ended);
  assert.deepEqual(steps.seen, ["drain 0", "drain 1", "stop 0", "stop 1"]);
});
