/**
 * A controller over a log in memory, for tests: commands commit when the test says so.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { Xoshiro128 } from "../base/prng.ts";
import type { Completion } from "../io/completion.ts";
import { runTask } from "../io/task.ts";
import { uuidToBase64 } from "../wire/uuid.ts";
import type { CommandContext } from "./command.ts";
import { ControllerService, type Executed, type MetadataLog } from "./controller_service.ts";
import { newUuid } from "./ids.ts";
import { ClusterImage } from "./image.ts";
import { OWN_VERSIONS } from "./logical_version.ts";
import { formCluster, registerNode } from "./membership.ts";
import { decodeCommand, type NodeRecord } from "./records.ts";

/** Replays one command's bytes; the test fails when they cannot be read. */
export function replayCommand(image: ClusterImage, bytes: Uint8Array): void {
  const decoded = decodeCommand(bytes);
  assert(decoded.ok, decoded.ok ? "" : decoded.problem);
  for (const record of decoded.records) assert(image.replay(record) === null, "a senseless record");
}

/** A node at 127.0.0.1:9092+id. */
export function testNode(nodeId: number, rack: string | null = null): NodeRecord {
  const incarnation = `${nodeId}`.padStart(32, "0");
  const host = "127.0.0.1";
  return {
    nodeId,
    incarnation,
    rack,
    logicalVersion: OWN_VERSIONS.max,
    logicalVersionMin: OWN_VERSIONS.min,
    endpoints: [
      { name: "kafka", host, port: 9092 + nodeId },
      { name: "rpc", host, port: 33145 + nodeId },
    ],
  };
}

export interface TestClusterOptions {
  readonly nodes?: readonly NodeRecord[];
  readonly settings?: Readonly<Record<string, string>>;
  readonly partitionsPerNodeMax?: number;
  readonly seed?: number;
}

export class TestCluster implements MetadataLog {
  readonly image: ClusterImage;
  readonly service: ControllerService;
  /** Committed commands. */
  readonly commands: Uint8Array[] = [];
  /** How often leaders of new partitions were waited for. */
  settles = 0;
  /** The largest leader epoch that was heard of. */
  latestEpoch = 0;
  /** Commits each command when it is appended. */
  autoCommit = true;
  #pending: { readonly command: Uint8Array; readonly done: Completion }[] = [];
  #delivering = false;

  constructor(options: TestClusterOptions = {}) {
    this.image = new ClusterImage(0, new Map(Object.entries(options.settings ?? {})));
    this.service = new ControllerService(this.image, this, {
      random: new Xoshiro128(options.seed ?? 1),
      partitionsPerNodeMax: options.partitionsPerNodeMax ?? 1000,
      latestEpoch: () => this.latestEpoch,
    });
    this.service.activate();
    this.run((context) => {
      formCluster(context, uuidToBase64(newUuid(context.random)));
      for (const node of options.nodes ?? [testNode(0)]) registerNode(context, node);
    });
  }

  append(command: Uint8Array, done: Completion): void {
    this.#pending.push({ command, done });
    if (this.autoCommit && !this.#delivering) this.commit(this.#pending.length);
  }

  settle(done: Completion): void {
    this.settles++;
    done.complete(0, 0);
  }

  /** Commands appended and not committed. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  /** Commits the oldest `count` pending commands. */
  commit(count: number): void {
    assert(!this.#delivering, "a commit does not start another one");
    this.#delivering = true;
    // What an answer sets off is appended meanwhile, and commits at once where all do.
    for (let left = count; left > 0 || this.autoCommit; left--) {
      const next = this.#pending.shift();
      if (next === undefined) break;
      this.commands.push(next.command);
      replayCommand(this.image, next.command);
      next.done.complete(0, 0);
    }
    this.#delivering = false;
  }

  /** The log refuses the `count` newest pending commands, or all. */
  fail(count = this.#pending.length): void {
    for (const { done } of this.#pending.splice(this.#pending.length - count)) {
      done.complete(-1, 0);
    }
  }

  /** Runs a command whose answer the test collects later. */
  start<Result>(command: (context: CommandContext) => Result): { answer?: Executed<Result> } {
    const holder: { answer?: Executed<Result> } = {};
    runTask(this.service.execute(command), (answer) => (holder.answer = answer));
    return holder;
  }

  /** Runs a command that commits at once; its result. */
  run<Result>(command: (context: CommandContext) => Result): Result {
    const { answer } = this.start(command);
    assert(answer !== undefined && answer !== null, "the command was not committed");
    return answer.result;
  }
}
