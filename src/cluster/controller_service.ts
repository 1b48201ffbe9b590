/**
 * The controller: runs commands, appends their records to the metadata log, and answers once
 * they are committed. Lives on the controller's shard.
 *
 * ```
 * execute(command) -> records -> ahead image -> log.append ... committed -> image -> response
 * ```
 *
 * Commands are decided against the *ahead* image (committed state plus what is in flight), so that
 * many may be in flight at once and share a flush. A command without records (a refusal, a dry run)
 * still waits for those before it: the state that it saw is not reported before it is committed.
 *
 * When an append fails (leadership is lost, the disk is full), later decisions rest on records
 * that were never written: everything in flight is answered NOT_CONTROLLER and the ahead image is dropped. It is
 * rebuilt from the committed one once all appends have ended, if this node still leads.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Random } from "../base/prng.ts";
import type { Completion } from "../io/completion.ts";
import { io, type Task } from "../io/task.ts";
import { type CommandContext, PARTITIONS_PER_NODE_MAX } from "./command.ts";
import { ClusterImage } from "./image.ts";
import { ProducerIdBlock } from "./producer_ids.ts";
import { CommandWriter, recordSince } from "./records.ts";

/** The metadata log as the controller needs it; implemented over Raft group 0. */
export interface MetadataLog {
  /**
   * Appends one command as one record. Completes with 0 after it was committed *and* replayed into
   * this shard's image, in order of the calls; with a negative number when it was not and never will be
   * appended by this leader.
   */
  append(command: Uint8Array, done: Completion): void;
  /** Completes when the partitions that commands have made so far have leaders, and at the latest after a while. */
  settle(done: Completion): void;
}

/** A command's answer, or null when this node is not (or no longer) the controller. */
export type Executed<Result> = { readonly result: Result } | null;

export class ControllerService {
  /** What is left of the block of producer ids that this node hands out. */
  readonly producerIds = new ProducerIdBlock();
  readonly #image: ClusterImage;
  readonly #log: MetadataLog;
  readonly #partitionsPerNodeMax: number;
  readonly #random: Random;
  readonly #isAlive: (nodeId: number) => boolean;
  readonly #latestEpoch: () => number;
  #leads = false;
  /** Null while this node does not lead, and after a failure until it is rebuilt. */
  #ahead: ClusterImage | null = null;
  /** Grows whenever the ahead image is dropped: answers decided on it are void. */
  #reign = 0;
  #appended = 0;
  #settled = 0;
  #waiters: { readonly after: number; readonly resume: (result: number) => void }[] = [];

  constructor(
    image: ClusterImage,
    log: MetadataLog,
    rest: {
      readonly random: Random;
      readonly partitionsPerNodeMax?: number;
      /** All nodes when absent. */
      readonly isAlive?: (nodeId: number) => boolean;
      /** See {@linkcode CommandContext.latestEpoch}; 0 when absent. */
      readonly latestEpoch?: () => number;
    },
  ) {
    this.#image = image;
    this.#log = log;
    this.#partitionsPerNodeMax = rest.partitionsPerNodeMax ?? PARTITIONS_PER_NODE_MAX;
    this.#random = rest.random;
    this.#isAlive = rest.isAlive ?? (() => true);
    this.#latestEpoch = rest.latestEpoch ?? (() => 0);
  }

  /** The metadata as far as it is committed. */
  get committed(): ClusterImage {
    return this.#image;
  }

  /** Whether this node is the controller. */
  get active(): boolean {
    return this.#leads;
  }

  /** This node leads group 0, and its image holds every committed record. */
  activate(): void {
    assert(!this.#leads, "the controller is active already");
    this.#leads = true;
  }

  /** This node no longer leads group 0; commands in flight end as their appends complete. */
  resign(): void {
    this.#leads = false;
    this.#dropAhead();
  }

  /** Runs one command; ends when what it saw and did is committed. */
  *execute<Result>(command: (context: CommandContext) => Result): Task<Executed<Result>> {
    while (this.#ahead === null && this.#settled < this.#appended) {
      yield* this.#settlementOf(this.#appended);
    }
    if (!this.#leads) return null;
    const ahead = this.#ahead ??= this.#copyImage();
    const reign = this.#reign;
    const writer = new CommandWriter();
    const result = command({
      image: ahead,
      partitionsPerNodeMax: this.#partitionsPerNodeMax,
      random: this.#random,
      isAlive: this.#isAlive,
      latestEpoch: this.#latestEpoch,
      emit: (records) => {
        if (!writer.add(records)) return false;
        for (const record of records) {
          const isKnown = recordSince(record.type) <= ahead.logicalVersion;
          assert(isKnown, "a command emitted a record that not every node can read");
          assert(ahead.replay(record) === null, "a command emitted a record that makes no sense");
        }
        return true;
      },
    });
    if (writer.count === 0) {
      if (this.#settled < this.#appended) yield* this.#settlementOf(this.#appended);
    } else {
      this.#appended++;
      const bytes = writer.finish();
      const failure = yield* io((done) => this.#log.append(bytes, done));
      if (failure < 0 && reign === this.#reign) this.#dropAhead();
      this.#settle();
    }
    return reign === this.#reign ? { result } : null;
  }

  /** Waits for the leaders of new partitions: once for a request, however many commands it took. */
  *settle(): Task<void> {
    yield* io((done) => this.#log.settle(done));
  }

  #copyImage(): ClusterImage {
    const copy = new ClusterImage(this.#image.nodeId, this.#image.startupSettings);
    for (const record of this.#image.snapshotRecords()) copy.replay(record);
    return copy;
  }

  #dropAhead(): void {
    this.#reign++;
    this.#ahead = null;
    this.producerIds.discard();
  }

  *#settlementOf(appended: number): Task<number> {
    return yield (resume) => this.#waiters.push({ after: appended, resume });
  }

  #settle(): void {
    this.#settled++;
    while (this.#waiters.length > 0 && this.#waiters[0]!.after <= this.#settled) {
      this.#waiters.shift()!.resume(0);
    }
  }
}
