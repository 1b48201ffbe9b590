/**
 * How committed metadata reaches every shard's image.
 *
 * The controller's shard follows group 0: every committed command, whoever proposed it, is replayed into this
 * shard's image and sent to the others. A command of this node is answered when all have replayed it; who made
 * partitions then waits once, however many commands that took, for their leaders ({@linkcode MetadataFeed.settle}): a
 * client that then asks any shard finds the topic ready. A shard that starts is sent a snapshot first.
 *
 * @module
 */

import { type Logger, LogLevel } from "../base/logger.ts";
import type { Memory } from "../bytes/memory.ts";
import type { ControllerService, MetadataLog } from "../cluster/controller_service.ts";
import type { ClusterImage } from "../cluster/image.ts";
import { OWN_VERSIONS, versionProblem, type VersionRange } from "../cluster/logical_version.ts";
import { passByIds } from "../cluster/membership.ts";
import { decodeCommand, encodeCommand } from "../cluster/records.ts";
import type { Completion } from "../io/completion.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { AppliedLog, type AppliedLogOptions, type StateMachine } from "../kafka/applied_log.ts";
import type { Partition, PartitionObserver } from "../kafka/partition.ts";
import type { StateRecord } from "../kafka/records_of.ts";
import type { Calls } from "./calls.ts";
import { messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import { DAMAGE_REMEDY } from "./node_health.ts";
import type { PartitionTable } from "./partition_table.ts";
import type { ShardMemory } from "./shard_memory.ts";
import type { JoinRefusal } from "./start_sequence.ts";

/** Records of a snapshot that are sent in one message, or written as one command. */
const SNAPSHOT_RECORDS = 500;
/** Until ids that could not be passed by are again tried to be (ms). */
const PASS_BY_MS = 1_000;
/** A message to the other shards that carries no command. */
const NOTHING = new Uint8Array(0);
/** Flags of METADATA. */
const IS_CURRENT = 1;
const SETTLES = 2;

/** Calls `done` when a shard's new partitions may be served, or will be soon. */
export type WhenSettled = (done: () => void) => void;

/** The records of a command that an image did not apply. */
export interface CommandProblem {
  /** For people. */
  readonly problem: string;
  /** A newer program wrote it: its meaning is unknown here, and it must not be skipped. */
  readonly newer: boolean;
}

/**
 * Replays an encoded command into an image; returns the records that were skipped.
 *
 * @param version the highest logical version of this node
 */
export function replayCommand(
  image: ClusterImage,
  bytes: Uint8Array,
  version = OWN_VERSIONS.max,
): CommandProblem[] {
  const decoded = decodeCommand(bytes, version);
  if (!decoded.ok) return [decoded];
  const problems: CommandProblem[] = [];
  for (const record of decoded.records) {
    const problem = image.replay(record);
    if (problem !== null) problems.push({ problem, newer: false });
  }
  return problems;
}

/** A command that is on its way to the other shards, and who waits until all have replayed it. */
class Sending {
  readonly bytes: Uint8Array;
  /** With it the other shards' image is not older than this start. */
  readonly isCurrent: boolean;
  /** It arrives when the shards' new partitions have leaders, or after a while. */
  readonly settles: boolean;
  #arrived = false;
  readonly #waiters: (() => void)[] = [];

  constructor(bytes: Uint8Array, isCurrent: boolean, settles: boolean) {
    this.bytes = bytes;
    this.isCurrent = isCurrent;
    this.settles = settles;
  }

  arrived(): void {
    this.#arrived = true;
    for (const done of this.#waiters.splice(0)) done();
  }

  whenArrived(done: () => void): void {
    if (this.#arrived) done();
    else this.#waiters.push(done);
  }
}

/** The controller's shard: appends, replays, and sends to the others. */
export class MetadataFeed implements MetadataLog, StateMachine, PartitionObserver {
  readonly log: AppliedLog;
  /** Told when this node begins and ceases to be the controller. */
  controller: ControllerService | null = null;
  /** What this program must not skip and cannot follow: a record of a newer one, or a higher version; null: nothing. */
  newer: string | null = null;
  /** Told of it, once. */
  onNewer: (problem: string) => void = () => {};
  /** The log may lack commands, and takes no more. */
  isFrozen = false;
  /** It lacks commands perhaps, and takes more: ids that were given out may be unknown. */
  isLossAccepted = false;
  /** This node goes on without the majority: the first command of its reign passes by ids that may have been given out. */
  isRecovering = false;
  /** That command is committed. */
  onRecovered: () => void = () => {};
  /** More of the log is committed. */
  onCommitted: () => void = () => {};
  readonly #image: ClusterImage;
  readonly #versions: VersionRange;
  readonly #whenSettled: WhenSettled;
  readonly #memory: Memory;
  readonly #blocks: ShardMemory;
  readonly #calls: Calls;
  readonly #partition: Partition;
  readonly #later: (run: () => void, ms: number) => void;
  /** Not sent yet, oldest first; and the last one that was given to be sent. */
  readonly #queue: Sending[] = [];
  #latest: Sending | null = null;
  /** The other shards have been given what was there before. */
  #sends = false;
  /** The image is not older than this start. */
  #isCurrent = false;

  /** @param whenSettled calls back when this shard's new partitions may be served */
  constructor(
    image: ClusterImage,
    partition: Partition,
    whenSettled: WhenSettled,
    carriers: AppliedLogOptions & {
      readonly blocks: ShardMemory;
      readonly calls: Calls;
      readonly versions: VersionRange;
    },
  ) {
    this.#image = image;
    this.#versions = carriers.versions;
    this.#partition = partition;
    this.log = new AppliedLog(partition, this, carriers);
    partition.observer = this;
    this.#whenSettled = whenSettled;
    this.#memory = carriers.memory;
    this.#blocks = carriers.blocks;
    this.#calls = carriers.calls;
    const { timers, nowMs } = carriers;
    this.#later = (run, ms) => timers.schedule(new Timer(run), nowMs() + ms);
  }

  /** Serves the metadata as it is from now on. Its snapshot would hold what only this process knows: there is none. */
  freeze(logger: Logger, lostCommands: number): void {
    this.isFrozen = true;
    this.log.unload();
    logger.log(
      LogLevel.ERROR,
      "Damage may have taken changes of topics and settings: they are served as they were, nothing can be changed, " +
        "no producer id is given out, and retention rests",
      { directory: this.#partition.log.directory, lostCommands, remedy: DAMAGE_REMEDY },
    );
  }

  /** Why a start cannot go on with this log. */
  refusal(kind: JoinRefusal["kind"], problem: string): JoinRefusal {
    const { directory } = this.#partition.log;
    return {
      kind,
      reason: `The cluster's metadata log (${directory}) cannot be used: ${problem}`,
    };
  }

  apply(_key: Uint8Array | null, value: Uint8Array | null): string | null {
    if (value === null) return "it has no value";
    const problems = replayCommand(this.#image, value, this.#versions.max);
    const unknown = problems.find(({ newer }) => newer)?.problem ??
      versionProblem(this.#image.finalizedVersion, this.#versions);
    if (unknown !== null && this.newer === null) {
      this.newer = unknown;
      this.onNewer(unknown);
    }
    if (this.#sends) this.#broadcast(value);
    return problems.length === 0 ? null : problems.map(({ problem }) => problem).join("; ");
  }

  /** All of it as it is now: a command cannot be applied twice. */
  snapshot(): StateRecord[] {
    return [...this.#snapshotCommands()].map((value) => ({ key: null, value }));
  }

  append(command: Uint8Array, done: Completion): void {
    if (this.isFrozen) {
      // For as long as this process runs.
      this.apply(null, command);
      this.#whenTold(done);
      return;
    }
    this.log.append([{ key: null, value: command }], (result) => {
      if (result < 0) done.complete(result, 0);
      else this.#whenTold(done);
    });
  }

  settle(done: Completion): void {
    let waiting = 2;
    const settled = (): void => {
      waiting--;
      if (waiting === 0) done.complete(0, 0);
    };
    this.#whenSettled(settled);
    this.#broadcast(NOTHING, true).whenArrived(settled);
  }

  /** Completes when every shard has the command that was applied just now. */
  #whenTold(done: Completion): void {
    this.#latest!.whenArrived(() => done.complete(0, 0));
  }

  /**
   * Sends the whole image to the other shards, and from then on every command that is applied; finishes when
   * they have the image.
   */
  *sendSnapshot(): Task<void> {
    this.#sends = true;
    for (const bytes of [...this.#snapshotCommands()]) this.#broadcast(bytes);
    const last = this.#latest;
    if (last !== null) yield* until<void>((done) => last.whenArrived(done));
  }

  /** Tells the other shards that the image is not older than this start. */
  tellCurrent(): void {
    this.#isCurrent = true;
    if (this.#sends) this.#broadcast(NOTHING);
  }

  onLeading(): void {
    const { controller } = this;
    if (controller === null) return;
    const term = this.#partition.leaderEpoch;
    this.log.whenApplied((result) => {
      const leads = this.#partition.leading && this.#partition.leaderEpoch === term;
      if (result !== 0 || !leads || controller.active) return;
      controller.activate();
      this.#passByIds(controller);
    });
  }

  #passByIds(controller: ControllerService): void {
    if (!this.isRecovering) return;
    runTask(controller.execute(passByIds), (executed) => {
      if (executed !== null) {
        this.isRecovering = false;
        this.onRecovered();
        return;
      }
      // Whoever leads next does it as soon as it leads.
      this.#later(() => {
        if (controller.active) this.#passByIds(controller);
      }, PASS_BY_MS);
    });
  }

  onFollowing(): void {
    if (this.controller?.active) this.controller.resign();
  }

  onCommit(): void {
    this.log.onCommit();
    this.onCommitted();
  }

  *#snapshotCommands(): Generator<Uint8Array> {
    let part = [];
    for (const record of this.#image.snapshotRecords()) {
      part.push(record);
      if (part.length < SNAPSHOT_RECORDS) continue;
      yield encodeCommand(part);
      part = [];
    }
    if (part.length > 0) yield encodeCommand(part);
  }

  /** Sends in the order of the calls; a command without memory or credit waits, and so do the ones after it. */
  #broadcast(bytes: Uint8Array, settles = false): Sending {
    const sending = new Sending(bytes, this.#isCurrent, settles);
    this.#latest = sending;
    this.#queue.push(sending);
    if (this.#queue.length === 1) this.#drain();
    return sending;
  }

  #drain(): void {
    while (this.#queue.length > 0 && this.#send(this.#queue[0]!)) this.#queue.shift();
  }

  #send(sending: Sending): boolean {
    const { bytes } = sending;
    const { mailboxes } = this.#calls;
    let open = mailboxes.shardCount - 1;
    if (open === 0) {
      sending.arrived();
      return true;
    }
    for (let shard = 0; shard < mailboxes.shardCount; shard++) {
      if (shard === mailboxes.shard || this.#calls.hasCredit(shard)) continue;
      this.#calls.awaitCredit(() => this.#drain());
      return false;
    }
    const block = this.#blocks.allocateResponse(Math.max(1, bytes.length));
    if (block < 0) {
      this.#blocks.whenReleased(() => this.#drain());
      return false;
    }
    this.#memory.bytes.set(bytes, block);
    const onReply = (): void => {
      open--;
      if (open > 0) return;
      this.#blocks.releaseResponse(block);
      sending.arrived();
    };
    for (let shard = 0; shard < mailboxes.shardCount; shard++) {
      if (shard === mailboxes.shard) continue;
      const id = this.#calls.open(shard, { onReply });
      const { leaderEpoch } = this.#partition;
      const term = this.isFrozen ? -Math.max(1, leaderEpoch) : leaderEpoch;
      const flags = (sending.isCurrent ? IS_CURRENT : 0) | (sending.settles ? SETTLES : 0);
      mailboxes.send(shard, MessageType.METADATA, id, block, bytes.length, term, flags);
    }
    return true;
  }
}

/** Another shard: a METADATA message came. */
export function onMetadata(
  image: ClusterImage,
  partitions: PartitionTable,
  memory: Memory,
  calls: Calls,
  whenSettled: WhenSettled,
  message: { readonly fromShard: number; readonly call: number; view: DataView; at: number },
): void {
  const address = messageArgument(message.view, message.at, 0);
  const length = messageArgument(message.view, message.at, 1);
  const term = messageArgument(message.view, message.at, 2);
  partitions.controllerTerm = Math.abs(term);
  if (term < 0) partitions.freeze();
  if (length > 0) replayCommand(image, memory.bytes.slice(address, address + length));
  const flags = messageArgument(message.view, message.at, 3);
  if ((flags & IS_CURRENT) !== 0) partitions.noteCurrent();
  const { fromShard, call } = message;
  const reply = (): void => calls.mailboxes.send(fromShard, MessageType.METADATA_REPLY, call);
  if ((flags & SETTLES) !== 0) whenSettled(reply);
  else reply();
}
