/**
 * The loop of one shard.
 *
 * A turn: one call into the shim submits the prepared operations, waits if there is nothing to do, and brings
 * completions; these run connections, storage and timers; mailboxes are drained; the turn's end flushes
 * the journal, sends responses and publishes messages. No promise is part of it.
 *
 * The runtime gets a chance (`setImmediate`) when the control thread rang, when a wait timed out, and
 * at the latest after {@linkcode TURNS_PER_RUN} turns: between runs it delivers messages of the control
 * thread and lets garbage collection finish its steps.
 *
 * @module
 */

import { STALL_LIMIT_MS } from "../base/limits.ts";
import type { Clock } from "../io/clock.ts";
import type { Timers } from "../io/timers.ts";
import { Slot } from "../metrics/catalog.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import type { Mailboxes } from "./mailbox.ts";

/** Turns before the runtime gets a chance. */
const TURNS_PER_RUN = 64;
/**
 * After a ring of the control thread the loop does not sleep for this many turns. Its message is in a queue
 * that the runtime looks into only every 31st time as long as it has anything else to do, which it always
 * has, and sleeping in between made seconds of it. Counted, not timed: on a busy machine a few milliseconds
 * may pass without a single run.
 */
const ATTENTIVE_RUNS = 128;
/** The longest sleep (ms); the control thread's messages wait at most this long without a ring. */
const SLEEP_MAX_MS = 250;

/** The ring as the loop needs it (`src/io/uring.ts`). */
export interface TurnRing {
  /**
   * Submits the prepared operations, polls up to `pollUs`, sleeps up to `timeoutUs` if nothing has completed,
   * and delivers completions.
   *
   * @returns completions delivered; a negative errno when the ring is broken
   */
  turn(timeoutUs: number, pollUs: number): number;
  /** Whether the control thread rang since this was last asked. */
  takeWake(): boolean;
  /** Called when a wait has ended, before completions are delivered. */
  onAwake: () => void;
}

/** What a turn runs besides completions. */
export interface TurnWork {
  /** Drains mailboxes; returns how many messages there were. */
  drainMessages(): number;
  /** Flushes, sends, publishes; returns false when there is more to do at once. */
  endTurn(nowMs: number): boolean;
}

export interface ReactorOptions {
  readonly ring: TurnRing;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly mailboxes: Mailboxes;
  readonly work: TurnWork;
  readonly recorder: ShardRecorder;
  /** Microseconds to poll before sleeping. */
  readonly idlePollUs: number;
  /** Told of a turn that took longer than {@linkcode STALL_LIMIT_MS}. */
  readonly onStall: (tookMs: number) => void;
  /** Something threw: the loop has ended, and the process must. */
  readonly onBroken: (error: unknown) => void;
}

/** The ring itself failed. */
export class RingFailure extends Error {
  override name = "RingFailure";

  /** @param errno positive */
  constructor(errno: number) {
    super(`The shard's io_uring is broken (errno ${errno})`);
  }
}

export class Reactor {
  readonly #options: ReactorOptions;
  #stopped = false;
  #idle = false;
  /** Runs left that do not sleep. */
  #attentiveRuns = 0;
  /** When the wait of the present turn ended. */
  #awakeMs = 0;
  /**
   * The time of the present turn. It begins when the wait ends: what completions bring would be taken for old if they got
   * the time at which the loop went to sleep.
   */
  nowMs: number;

  constructor(options: ReactorOptions) {
    this.#options = options;
    options.ring.onAwake = () => this.#noteAwake();
    this.nowMs = options.clock.monotonicMs();
  }

  /** Runs until {@linkcode stop}; returns at once and continues from the runtime's queue. */
  start(): void {
    if (this.#stopped) return;
    try {
      this.#run();
    } catch (error) {
      this.#stopped = true;
      this.#options.onBroken(error);
      return;
    }
    setImmediate(() => this.start());
  }

  stop(): void {
    this.#stopped = true;
  }

  #noteAwake(): void {
    const { recorder } = this.#options;
    recorder.noteTime();
    this.#awakeMs = recorder.nowMs;
    this.nowMs = recorder.nowMs;
  }

  #run(): void {
    const { ring } = this.#options;
    if (this.#attentiveRuns > 0) this.#attentiveRuns--;
    for (let i = 0; i < TURNS_PER_RUN; i++) {
      const completed = this.#turn();
      if (ring.takeWake()) this.#attentiveRuns = ATTENTIVE_RUNS;
      if (this.#stopped || this.#attentiveRuns > 0) return;
      if (completed === 0) return;
    }
  }

  #turn(): number {
    const { ring, clock, timers, mailboxes, work, recorder } = this.#options;
    let timeoutUs = 0;
    let pollUs = 0;
    if (this.#idle && this.#attentiveRuns === 0 && mailboxes.prepareToSleep()) {
      const waitMs = Math.min(timers.nextDeadlineMs() - clock.monotonicMs(), SLEEP_MAX_MS);
      timeoutUs = Math.max(0, Math.ceil(waitMs * 1000));
      pollUs = Math.min(this.#options.idlePollUs, timeoutUs);
    }
    const completed = ring.turn(timeoutUs, pollUs);
    mailboxes.awake();
    if (completed < 0) throw new RingFailure(-completed);
    const startMs = clock.monotonicMs();
    this.nowMs = startMs;
    const messages = work.drainMessages();
    const fired = timers.run(startMs);
    const quiet = work.endTurn(startMs);
    // What was prepared is handed over by the next call, which may as well wait for its completion.
    this.#idle = quiet;
    const tookMs = clock.monotonicMs() - this.#awakeMs;
    recorder.add(Slot.TURNS, 1);
    recorder.add(Slot.CPU_BUSY, tookMs / 1000);
    recorder.observe(Slot.TURN_TIME, tookMs);
    if (tookMs > STALL_LIMIT_MS) {
      recorder.add(Slot.STALLS, 1);
      this.#options.onStall(tookMs);
    }
    return completed + messages + fired;
  }
}
