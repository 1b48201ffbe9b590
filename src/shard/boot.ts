/**
 * A shard on this machine: the seams implemented by io_uring and the system clock, the loop, and the
 * answers to the control thread (`control.ts`).
 *
 * @module
 */

import {
  EXIT_CANNOT_CREATE,
  EXIT_DATA_DAMAGED,
  EXIT_DISK_ERROR,
  EXIT_HOST_UNFIT,
} from "../base/exit_codes.ts";
import {
  RECEIVE_BUFFER_SIZE,
  RECEIVE_BUFFERS_SHARE,
  RECEIVE_BUFFERS_SIZE_MAX,
  RECEIVE_BUFFERS_SIZE_MIN,
} from "../base/limits.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { Settings } from "../base/settings.ts";
import { Arena } from "../bytes/arena.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Disk } from "../io/disk.ts";
import { EIO, ENOSPC } from "../io/errno.ts";
import { peerAddress } from "../io/host.ts";
import { PatientDisk } from "../io/patient_disk.ts";
import { wrapRegion } from "../io/region.ts";
import type { Shim } from "../io/shim.ts";
import { openRegionWalk } from "../io/shim_walk.ts";
import { SystemClock } from "../io/system_clock.ts";
import { runTask, type Task } from "../io/task.ts";
import { Timer, Timers } from "../io/timers.ts";
import { Uring } from "../io/uring.ts";
import { UringDisk } from "../io/uring_disk.ts";
import { UringSockets } from "../io/uring_sockets.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { readDiskError, verifyNode } from "../storage/disk_error_mark.ts";
import type { Manifest } from "../storage/manifest.ts";
import { openShard } from "../storage/open_shard.ts";
import { recoverNode, type RecoveryReport } from "../storage/recovery.ts";
import type { Damage, StorageContext } from "../storage/shard_storage.ts";
import { Acceptor } from "./acceptor.ts";
import type { Boot, FromShard, ToShard } from "./control.ts";
import { CONTROLLER_GROUP_ID } from "./metadata_partition.ts";
import { Mailboxes } from "./mailbox.ts";
import { Reactor } from "./reactor.ts";
import { type LeadRefusal, Shard } from "./shard.ts";
import { ShardMemory } from "./shard_memory.ts";
import { StallReport } from "./stall_report.ts";
import { StorageHealthWatch } from "./storage_health.ts";

/** Names in one line of the log. */
const NAMES_TOLD_MAX = 10;

/** How a shard reaches the control thread. */
export interface ControlLink {
  tell(message: FromShard): void;
  /** Something threw in the loop. */
  onBroken(error: unknown): void;
}

export class RunningShard {
  readonly #boot: Boot;
  readonly #shim: Shim;
  readonly #link: ControlLink;
  readonly #memory: Memory;
  readonly #ring: Uring;
  readonly #clock: SystemClock;
  readonly #timers = new Timers();
  readonly #mailboxes: Mailboxes;
  readonly #blocks: ShardMemory;
  readonly #disk: Disk;
  readonly #sockets: UringSockets;
  readonly #reactor: Reactor;
  readonly #logger: Logger;
  readonly #storageContext: StorageContext;
  readonly #health: StorageHealthWatch;
  #shard: Shard | null = null;
  readonly #stalls = new StallReport();
  #acceptor: Acceptor | null = null;

  constructor(shim: Shim, boot: Boot, link: ControlLink) {
    this.#boot = boot;
    this.#shim = shim;
    this.#link = link;
    this.#memory = wrapRegion(shim);
    this.#ring = new Uring(shim, boot.shard);
    this.#clock = new SystemClock(shim);
    this.#mailboxes = new Mailboxes(this.#memory, boot.mailboxes, boot.shard, boot.shardCount);
    this.#ring.watch(this.#mailboxes.watchedAddress);
    const arena = new Arena(boot.arenaBase, boot.arenaBytes);
    const settings = new Settings(boot.settings);
    this.#blocks = new ShardMemory(arena, settings.number("socket.request.max.bytes"));
    this.#disk = new PatientDisk(new UringDisk(this.#ring, boot.dataDir), {
      later: (delayMs, again) => {
        this.#timers.schedule(new Timer(again), this.#clock.monotonicMs() + delayMs);
      },
      nowMs: () => this.#clock.monotonicMs(),
      onHiccup: (hiccup) => {
        this.#logger.log(LogLevel.WARN, "Disk operations wait and are retried", {
          ...hiccup,
        });
      },
      onOver: (tookMs, retries) => {
        const fields = { tookMs: Math.round(tookMs), retries };
        this.#logger.log(LogLevel.INFO, "Disk operations continue", fields);
      },
    });
    this.#sockets = new UringSockets(
      this.#ring,
      receiveBuffers(arena),
      RECEIVE_BUFFER_SIZE,
      () => this.#blocks.noteReleased(),
    );
    this.#logger = {
      log: (level, message, fields = {}) =>
        link.tell({ type: "log", level, message, fields: { shard: boot.shard, ...fields } }),
    };
    this.#health = new StorageHealthWatch({
      logs: () => this.#shard?.storage.logs ?? new Map(),
      freeBytes: () => this.#disk.freeBytes(),
      totalBytes: () => this.#disk.totalBytes(),
      nowMs: () => this.#reactor.nowMs,
      tell: (health) => link.tell({ type: "health", health }),
    });
    this.#storageContext = this.#makeStorageContext(arena);
    this.#reactor = new Reactor({
      ring: this.#ring,
      clock: this.#clock,
      timers: this.#timers,
      mailboxes: this.#mailboxes,
      work: {
        drainMessages: () => this.#shard?.drainMessages() ?? 0,
        endTurn: (nowMs) => this.#shard?.endTurn(nowMs) ?? true,
      },
      idlePollUs: boot.idlePollUs,
      onStall: (tookMs) => this.#onStall(tookMs),
      onBroken: (error) => link.onBroken(error),
    });
    this.#reactor.start();
  }

  handle(message: ToShard): void {
    switch (message.type) {
      case "recover":
        return this.#recover();
      case "verify":
        return this.#verify(message.manifest);
      case "open":
        return this.#open(message.manifest, message.damages);
      case "lead":
        return runTask(
          this.#shard!.lead(message.node, message.firstFreeGroupId, this.#boot.acceptLoss),
          (refusal) => this.#led(refusal),
        );
      case "serve":
        return this.#serve(message.ballastBytes);
      case "accept":
        this.#acceptor = new Acceptor(
          this.#ring,
          message.listener,
          this.#shard!,
          message.connectionsMax,
        );
        this.#acceptor.start();
        return;
      case "drain":
        this.#acceptor?.stop();
        return this.#end(this.#shard?.drain(), "drained");
      case "stop":
        return this.#end(this.#shard?.stop(), "stopped");
      case "trouble":
        if (this.#shard !== null) {
          const { diskFull, damagedGroups } = message;
          this.#shard.trouble = { diskFull, damagedGroups: new Set(damagedGroups) };
        }
        return;
      case "halt":
        return this.#reactor.stop();
      case "boot":
        return;
    }
  }

  #recover(): void {
    const { shardCount, nodeId, settings } = this.#boot;
    const numbers = new Settings(settings);
    const extentBytes = numbers.number("journal.extent.bytes");
    const task = recoverNode({
      context: this.#storageContext,
      shardCount,
      nodeId,
      extentBytes,
      journalBytes: extentBytes * numbers.number("journal.extents"),
      acceptLoss: this.#boot.acceptLoss,
      onProgress: (stage, done) => this.#progress(stage, done),
    });
    runTask(task, (report) => {
      runTask(
        readDiskError(this.#storageContext),
        (diskError) => this.#recovered(report, diskError),
      );
    });
  }

  #recovered(report: RecoveryReport, diskError: string | null): void {
    const { outcome, reason, manifest } = report;
    if (outcome !== "ready" || manifest === null) {
      const exitCode = outcome === "newer" || outcome === "foreign"
        ? EXIT_CANNOT_CREATE
        : outcome === "damaged"
        ? EXIT_DATA_DAMAGED
        : outcome === "memory"
        ? EXIT_HOST_UNFIT
        : EXIT_DISK_ERROR;
      this.#fatal(
        exitCode,
        `${reason}. ${adviceFor(outcome, report.errno)}`,
        report.errno === EIO,
      );
      return;
    }
    this.#tellNames(
      LogLevel.WARN,
      "The data directory holds files that are not Gregor's: left alone",
      report.strays,
    );
    this.#tellNames(
      LogLevel.INFO,
      "Removed the directories of partitions that are gone",
      report.removed,
    );
    this.#link.tell({
      type: "recovered",
      manifest,
      fresh: report.fresh,
      logs: report.logCount,
      replayed: report.replayedRecords,
      suspects: report.suspectPartitions,
      ringsDealt: report.ringsDealt,
      ballastBytes: report.ballastBytes,
      diskError,
    });
  }

  #tellNames(level: LogLevel, message: string, names: readonly string[]): void {
    if (names.length === 0) return;
    const rest = names.length > NAMES_TOLD_MAX ? ", ..." : "";
    const files = names.slice(0, NAMES_TOLD_MAX).join(", ") + rest;
    this.#logger.log(level, message, { count: names.length, files });
  }

  #verify(manifest: Manifest): void {
    const damages: Damage[] = [];
    const context: StorageContext = {
      ...this.#storageContext,
      onDamage: (damage) => {
        damages.push(damage);
        this.#noteDamage(damage);
      },
    };
    const onProgress = (done: number): void => this.#progress("verifying segments", done);
    runTask(verifyNode(context, manifest, onProgress), (verified) => {
      if (typeof verified !== "number") this.#link.tell({ type: "verified", verified, damages });
      else this.#fatal(EXIT_DISK_ERROR, `Cannot verify the data (errno ${-verified}).`, true);
    });
  }

  #open(manifest: Manifest, damages: readonly Damage[]): void {
    const { shard, acceptLoss } = this.#boot;
    const options = { context: this.#storageContext, shard, manifest, acceptLoss };
    runTask(openShard(options), (storage) => {
      if (typeof storage === "number") {
        const message = `Cannot open the storage of shard ${shard} (errno ${-storage})`;
        this.#fatal(EXIT_DISK_ERROR, message, false);
        return;
      }
      const opened = new Shard({
        nodeId: this.#boot.nodeId,
        settings: this.#boot.settings,
        dataDir: this.#boot.dataDir,
        memory: this.#memory,
        blocks: this.#blocks,
        mailboxes: this.#mailboxes,
        disk: this.#disk,
        sockets: this.#sockets,
        clock: this.#clock,
        timers: this.#timers,
        random: new Xoshiro128(this.#boot.seed),
        crc32c: this.#storageContext.crc32c,
        openWalk: () => openRegionWalk(this.#shim),
        logger: this.#logger,
        nowMs: () => this.#reactor.nowMs,
        peerOf: (socket) => peerAddress(this.#shim, socket),
        wake: (other) => this.#ring.doorbell(other),
      }, storage);
      this.#shard = opened;
      // Verified by another shard.
      for (const damage of damages) {
        if (storage.logs.has(damage.groupId)) this.#health.noteDamage(damage);
      }
      const tell = (): void => {
        let lastGroupId = CONTROLLER_GROUP_ID;
        for (const groupId of storage.logs.keys()) lastGroupId = Math.max(lastGroupId, groupId);
        this.#link.tell({ type: "opened", logs: storage.logs.size, lastGroupId });
      };
      if (!acceptLoss) tell();
      else runTask(storage.giveUp(damages), () => runTask(opened.acceptLoss(), tell));
    });
  }

  #led(refusal: LeadRefusal | null): void {
    if (refusal !== null) {
      const { kind, reason } = refusal;
      const { directory } = this.#shard!.storage.logs.get(CONTROLLER_GROUP_ID)!;
      const what = `The cluster's metadata log (${directory}) cannot be used: ${reason}.`;
      const exitCode = kind === "newer" ? EXIT_CANNOT_CREATE : EXIT_DATA_DAMAGED;
      this.#fatal(exitCode, `${what} ${adviceFor(kind)}`, false);
      return;
    }
    const { clusterId, topics, partitionCount: partitions } = this.#shard!.image;
    this.#link.tell({ type: "leading", clusterId, topics: topics.size, partitions });
  }

  /** Answered once there is room for the next start, or too little of it: clients connect after that. */
  #serve(ballastBytes: number): void {
    this.#shard!.deleteOrphans();
    this.#health.look();
    this.#health.start(this.#timers);
    const serving = (): void => this.#link.tell({ type: "serving" });
    if (this.#boot.shard !== CONTROLLER_SHARD) serving();
    else runTask(this.#shard!.keepBallast(ballastBytes), serving);
  }

  #end(task: Task<void> | undefined, type: "drained" | "stopped"): void {
    const ended = (): void => this.#link.tell({ type });
    if (task === undefined) ended();
    else runTask(task, ended);
  }

  #makeStorageContext(arena: Arena): StorageContext {
    const crc = this.#shim.gregor_crc32c;
    return {
      disk: this.#disk,
      memory: this.#memory,
      arena,
      crc32c: (address, length, seed) => crc(seed, address, length),
      onFatal: (_errno, what) => {
        // This shard sends nothing any more, even if records of this turn were durable.
        this.#reactor.stop();
        this.#fatal(EXIT_DISK_ERROR, `${what}. Nothing more is acknowledged.`, true);
      },
      onDamage: (damage) => this.#noteDamage(damage),
      onReadable: (place) => this.#health.noteMended(place),
      onRoom: (found) => this.#health.noteRoom(found),
      onGivenUp: ({ file, position, lost, groupId }) => {
        const fields = { file, position, offsets: lost.replace("offsets ", "") };
        this.#logger.log(LogLevel.WARN, "Gave up damaged data, as --accept-loss says", fields);
        this.#health.noteMended({ groupId, file, position });
      },
      openFilesMax: this.#boot.openFilesMax,
      onStray: (directory, errno) => {
        const what =
          "Kept the directory of a deleted partition: it holds files that are not Gregor's";
        this.#logger.log(LogLevel.WARN, what, { directory, errno });
      },
    };
  }

  #noteDamage(damage: Damage): void {
    const { file, position, lost, harmless } = damage;
    const level = harmless === true ? LogLevel.WARN : LogLevel.ERROR;
    this.#logger.log(level, "Damaged data", { file, position, lost });
    this.#health.noteDamage(damage);
  }

  #progress(stage: string, done: number): void {
    this.#link.tell({ type: "progress", text: `${stage} ${Math.round(done * 100)} %` });
  }

  #fatal(exitCode: number, message: string, diskError: boolean): void {
    this.#link.tell({ type: "fatal", exitCode, message, diskError });
  }

  #onStall(tookMs: number): void {
    const told = this.#stalls.note(tookMs, this.#reactor.nowMs);
    if (told !== null) this.#logger.log(LogLevel.WARN, "Turns of the loop took long", { ...told });
  }
}

/** Takes the receive group's buffers from the arena: a power of two of them. */
function receiveBuffers(arena: Arena): Float64Array {
  const share = Math.max(
    RECEIVE_BUFFERS_SIZE_MIN,
    Math.min(RECEIVE_BUFFERS_SIZE_MAX, arena.size * RECEIVE_BUFFERS_SHARE),
  );
  const count = 2 ** Math.floor(Math.log2(share / RECEIVE_BUFFER_SIZE));
  const addresses = new Float64Array(count);
  for (let i = 0; i < count; i++) addresses[i] = arena.allocate(RECEIVE_BUFFER_SIZE);
  return addresses;
}

function adviceFor(outcome: RecoveryReport["outcome"], errno = 0): string {
  if (errno === ENOSPC) {
    return "The disk is full, the space reserved for a start included: free some of it, or start with as many " +
      "cores as the last time.";
  }
  switch (outcome) {
    case "newer":
      return "It was written by a newer version: start that version.";
    case "damaged":
      return "`gregor check --data-dir DIR` lists the damage. Put back a copy of the files that it names, or " +
        "accept the loss: start once with --accept-loss --verify.";
    case "foreign":
      return "Start with that --node-id, or choose another --data-dir.";
    case "memory":
      return "Raise --memory accordingly.";
    default:
      return "Check the disk and its permissions.";
  }
}
