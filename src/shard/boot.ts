/**
 * A shard on this machine: the seams implemented by io_uring and the system clock, the loop, and the
 * answers to the control thread (`control.ts`).
 *
 * @module
 */

import { EXIT_CANNOT_CREATE, EXIT_DISK_ERROR } from "../base/exit_codes.ts";
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
import { peerAddress } from "../io/host.ts";
import { PatientDisk } from "../io/patient_disk.ts";
import { windowBytesMax } from "../io/record_walk.ts";
import { wrapRegion } from "../io/region.ts";
import type { Shim } from "../io/shim.ts";
import { ShimRegexes } from "../io/shim_regexes.ts";
import { openRegionCompactor } from "../io/shim_compactor.ts";
import { openRegionWalk } from "../io/shim_walk.ts";
import { SystemClock } from "../io/system_clock.ts";
import { runTask } from "../io/task.ts";
import { Timer, Timers } from "../io/timers.ts";
import { ShardRecorder } from "../metrics/recorder.ts";
import { Uring } from "../io/uring.ts";
import { UringDisk } from "../io/uring_disk.ts";
import { UringSockets } from "../io/uring_sockets.ts";
import type { Manifest } from "../storage/manifest.ts";
import type { Damage, ShardStorage, StorageContext } from "../storage/shard_storage.ts";
import { Acceptor } from "./acceptor.ts";
import { lacksController, unreachableNodes } from "./cluster_view.ts";
import { ConnectionDealer } from "./connection_dealer.ts";
import type { Boot, FromShard, ToShard } from "./control.ts";
import { Mailboxes } from "./mailbox.ts";
import { collectMetrics } from "./metric_rows.ts";
import { sampleGauges } from "./metric_samples.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { RareWarnings } from "./rare_warnings.ts";
import { Reactor } from "./reactor.ts";
import { ReplicaWatch } from "./replica_health.ts";
import { Shard } from "./shard.ts";
import { ShardMemory } from "./shard_memory.ts";
import { ShardSteps } from "./shard_steps.ts";
import { StallReport } from "./stall_report.ts";
import { StorageHealthWatch } from "./storage_health.ts";

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
  readonly #uringDisk: UringDisk;
  readonly #recorder: ShardRecorder;
  readonly #sockets: UringSockets;
  readonly #reactor: Reactor;
  readonly #logger: Logger;
  readonly #storageContext: StorageContext;
  readonly #health: StorageHealthWatch;
  readonly #steps: ShardSteps;
  readonly #stalls = new StallReport();
  readonly #clientAcceptors: Acceptor[] = [];
  readonly #peerAcceptors: Acceptor[] = [];
  /** Names whose address the control thread is looking for. */
  readonly #resolving = new Map<number, (address: string | null) => void>();
  #nextResolution = 1;

  constructor(shim: Shim, boot: Boot, link: ControlLink) {
    this.#boot = boot;
    this.#shim = shim;
    this.#link = link;
    this.#memory = wrapRegion(shim);
    this.#ring = new Uring(shim, boot.shard);
    this.#clock = new SystemClock(shim);
    this.#recorder = new ShardRecorder(boot.recorded);
    this.#recorder.clockMs = () => this.#clock.monotonicMs();
    this.#mailboxes = new Mailboxes(this.#memory, boot.mailboxes, boot.shard, boot.shardCount);
    this.#ring.watch(this.#mailboxes.watchedAddress);
    const arena = new Arena(boot.arenaBase, boot.arenaBytes);
    const settings = new Settings(boot.settings);
    this.#blocks = new ShardMemory(arena, settings.number("socket.request.max.bytes"));
    this.#uringDisk = new UringDisk(this.#ring, boot.dataDir);
    this.#disk = new PatientDisk(this.#uringDisk, {
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
      logs: () => this.#steps.shard?.storage.logs ?? new Map(),
      freeBytes: () => this.#disk.freeBytes(),
      totalBytes: () => this.#disk.totalBytes(),
      nowMs: () => this.#reactor.nowMs,
      tell: (health) => link.tell({ type: "health", health }),
    });
    this.#storageContext = this.#makeStorageContext(arena);
    const extentBytes = settings.number("journal.extent.bytes");
    this.#steps = new ShardSteps({
      ...boot,
      context: this.#storageContext,
      extentBytes,
      journalBytes: extentBytes * settings.number("journal.extents"),
      make: (storage, manifest) => this.#make(storage, manifest),
      onVerifiedDamage: (damage) => this.#health.noteDamage(damage),
      onWaiting: (why) => link.tell({ type: "waiting", why }),
      onExpelled: (reason) => {
        const exitCode = EXIT_CANNOT_CREATE;
        link.tell({ type: "fatal", exitCode, message: `${reason}.`, diskError: false });
      },
      onProgress: (stage, done) => {
        link.tell({ type: "progress", text: `${stage} ${Math.round(done * 100)} %` });
      },
    });
    this.#reactor = new Reactor({
      ring: this.#ring,
      clock: this.#clock,
      timers: this.#timers,
      mailboxes: this.#mailboxes,
      work: {
        drainMessages: () => this.#steps.shard?.drainMessages() ?? 0,
        endTurn: (nowMs) => this.#steps.shard?.endTurn(nowMs) ?? true,
      },
      recorder: this.#recorder,
      idlePollUs: boot.idlePollUs,
      onStall: (tookMs) => this.#onStall(tookMs),
      onBroken: (error) => link.onBroken(error),
    });
    this.#reactor.start();
  }

  handle(message: ToShard): void {
    const steps = this.#steps;
    const { tell } = this.#link;
    switch (message.type) {
      case "recover":
        return runTask(steps.recover(), (answer) => tell({ type: "recovered", ...answer }));
      case "verify": {
        const task = steps.verify(message.manifest);
        return runTask(task, (answer) => tell({ type: "verified", ...answer }));
      }
      case "open": {
        const task = steps.open(message.manifest, message.damages);
        return runTask(task, (answer) => tell({ type: "opened", ...answer }));
      }
      case "join": {
        const { manifest, node, firstFreeGroupId } = message;
        const task = steps.join(manifest, node, firstFreeGroupId);
        return runTask(task, (answer) => tell({ type: "joined", ...answer }));
      }
      case "lead": {
        const task = steps.lead(message.node, message.firstFreeGroupId);
        return runTask(task, (answer) => tell({ type: "leading", ...answer }));
      }
      case "serve":
        runTask(steps.serve(message.ballastBytes), () => {
          // What was given up meanwhile is not damaged any more.
          this.#health.look();
          tell({ type: "serving" });
        });
        this.#health.start(this.#timers);
        this.#watchReplicas(steps.shard!);
        return;
      case "accept":
        return this.#acceptClients(message.listener, message.connectionsMax);
      case "acceptPeers":
        return this.#acceptPeers(message.listener);
      case "resolved": {
        const done = this.#resolving.get(message.id);
        this.#resolving.delete(message.id);
        done?.(message.address);
        return;
      }
      case "drain":
        // Other nodes still connect: they take over what this one led.
        for (const acceptor of this.#clientAcceptors) acceptor.stop();
        return runTask(steps.drain(), () => tell({ type: "drained" }));
      case "stop":
        for (const acceptor of this.#peerAcceptors) acceptor.stop();
        return runTask(steps.stop(), () => tell({ type: "stopped" }));
      case "trouble":
        if (steps.shard !== null) {
          const { diskFull } = message;
          const damagedGroups = new Set(message.damagedGroups);
          const readOnlyGroups = new Set(message.readOnlyGroups);
          steps.shard.trouble = { diskFull, damagedGroups, readOnlyGroups };
        }
        return;
      case "collect":
        return this.#collect(message.round);
      case "halt":
        return this.#reactor.stop();
      case "boot":
        return;
    }
  }

  #collect(round: number): void {
    const { shard } = this.#steps;
    const tell = this.#link.tell;
    if (shard === null) return tell({ type: "metrics", round, rows: {}, isLast: true });
    sampleGauges(shard, this.#uringDisk, Deno.memoryUsage());
    const collected = collectMetrics(shard, (rows) => {
      tell({ type: "metrics", round, rows, isLast: false });
    });
    runTask(collected, (rows) => tell({ type: "metrics", round, rows, isLast: true }));
  }

  #watchReplicas(shard: Shard): void {
    const isFirst = this.#boot.shard === CONTROLLER_SHARD;
    const watch = new ReplicaWatch({
      replicas: () => shard.partitions.watched(),
      noController: () => isFirst && lacksController(shard),
      down: () => isFirst ? unreachableNodes(shard) : [],
      tell: (health) => this.#link.tell({ type: "replicas", health }),
    });
    watch.start(this.#timers, () => this.#reactor.nowMs);
  }

  #acceptClients(listener: number, connectionsMax: number): void {
    const warnings = this.#warnings(connectionsMax);
    const dealer = new ConnectionDealer(this.#steps.shard!, connectionsMax, warnings);
    const acceptor = this.#accept(listener, warnings, (socket) => dealer.place(socket));
    this.#clientAcceptors.push(acceptor);
  }

  #acceptPeers(listener: number): void {
    const { nodeLinks } = this.#steps.shard!.peers;
    const { linksMax, shardCount } = this.#boot;
    const warnings = this.#warnings(linksMax * shardCount);
    const acceptor = this.#accept(listener, warnings, (socket) => {
      nodeLinks.greet(socket, peerAddress(this.#shim, socket));
    });
    this.#peerAcceptors.push(acceptor);
  }

  #accept(
    listener: number,
    warnings: RareWarnings,
    accepted: (socket: number) => void,
  ): Acceptor {
    const nowMs = (): number => this.#reactor.nowMs;
    const acceptor = new Acceptor({
      ring: this.#ring,
      timers: this.#timers,
      listener,
      nowMs,
      warnings,
      accepted,
    });
    acceptor.start();
    return acceptor;
  }

  #warnings(connectionsMax: number): RareWarnings {
    return new RareWarnings(this.#logger, () => this.#reactor.nowMs, connectionsMax);
  }

  /** Asks the control thread: looking up a name may take seconds. */
  #resolve(host: string, done: (address: string | null) => void): void {
    const id = this.#nextResolution++;
    this.#resolving.set(id, done);
    this.#link.tell({ type: "resolve", id, host });
  }

  #make(storage: ShardStorage, manifest: Manifest): Shard {
    return new Shard({
      nodeId: this.#boot.nodeId,
      program: this.#boot.program,
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
      regexes: new ShimRegexes(this.#shim),
      openWalk: () => openRegionWalk(this.#shim, windowBytesMax(this.#boot.arenaBytes)),
      openCompactor: () => openRegionCompactor(this.#shim, windowBytesMax(this.#boot.arenaBytes)),
      logger: this.#logger,
      recorder: this.#recorder,
      nowMs: () => this.#reactor.nowMs,
      peerOf: (socket) => peerAddress(this.#shim, socket),
      peering: {
        incarnation: manifest.incarnation === "" ? this.#boot.incarnation : manifest.incarnation,
        process: this.#boot.process,
        // The other half are connections that it makes.
        incomingMax: Math.floor(this.#boot.linksMax / 2),
        resolve: (host, done) => this.#resolve(host, done),
      },
      wake: (other) => this.#ring.doorbell(other),
    }, storage);
  }

  #makeStorageContext(arena: Arena): StorageContext {
    const crc = this.#shim.gregor_crc32c;
    const link = this.#link;
    return {
      disk: this.#disk,
      memory: this.#memory,
      arena,
      crc32c: (address, length, seed) => crc(seed, address, length),
      onFatal: (_errno, what) => {
        // This shard sends nothing any more, even if records of this turn were durable.
        this.#reactor.stop();
        const message = `${what}. Nothing more is acknowledged.`;
        link.tell({ type: "fatal", exitCode: EXIT_DISK_ERROR, message, diskError: true });
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
      recorder: this.#recorder,
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
