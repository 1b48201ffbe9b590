import { strict as assert } from "node:assert";
import { wrapMemory } from "../bytes/memory.ts";
import { Timers } from "../io/timers.ts";
import { Mailboxes, mailboxesSize } from "./mailbox.ts";
import { Slot } from "../metrics/catalog.ts";
import { ShardRecorder } from "../metrics/recorder.ts";
import { Reactor } from "./reactor.ts";

/** Runs a reactor that has nothing to do, and returns how long each of its turns was ready to sleep. */
async function timeoutsOf(turns: number, wakeAtTurn: number): Promise<number[]> {
  const timeoutsUs: number[] = [];
  const reactor = new Reactor({
    ring: {
      turn(timeoutUs: number): number {
        timeoutsUs.push(timeoutUs);
        if (timeoutsUs.length === turns) reactor.stop();
        return 0;
      },
      takeWake: () => timeoutsUs.length === wakeAtTurn,
      onAwake: () => {},
    },
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    timers: new Timers(),
    mailboxes: new Mailboxes(wrapMemory(new ArrayBuffer(mailboxesSize(1))), 0, 0, 1),
    work: { drainMessages: () => 0, endTurn: () => true },
    idlePollUs: 0,
    recorder: new ShardRecorder(),
    onStall: () => {},
    onBroken: (error) => assert.fail(String(error)),
  });
  reactor.start();
  while (timeoutsUs.length < turns) await new Promise((resolve) => setTimeout(resolve, 1));
  return timeoutsUs;
}

Deno.test("Reactor sleeps when there is nothing to do", async () => {
  const timeoutsUs = await timeoutsOf(10, -1);
  assert.equal(timeoutsUs.filter((us) => us > 0).length, 9, String(timeoutsUs));
});

Deno.test("Reactor lets the runtime find the control thread's message before it sleeps again", async () => {
  const timeoutsUs = await timeoutsOf(300, 10);
  // The runtime looks for what other threads sent every 31st time, and a run may cost it one or two.
  const hurried = timeoutsUs.slice(10, 10 + 2 * 31);
  assert.ok(hurried.every((us) => us === 0), String(hurried));
  assert.ok(timeoutsUs.slice(-50).every((us) => us > 0), String(timeoutsUs));
});

Deno.test("Reactor gives completions the time at which they come, not that at which it went to sleep", () => {
  let nowMs = 1_000;
  const seenMs: number[] = [];
  const recorder = new ShardRecorder();
  recorder.clockMs = () => nowMs;
  const reactor: Reactor = new Reactor({
    ring: {
      turn(): number {
        nowMs += 900;
        this.onAwake();
        seenMs.push(reactor.nowMs);
        nowMs += 1;
        seenMs.push(reactor.nowMs);
        reactor.stop();
        return 1;
      },
      takeWake: () => false,
      onAwake: () => {},
    },
    clock: { monotonicMs: () => nowMs, wallMs: () => 0 },
    timers: new Timers(),
    mailboxes: new Mailboxes(wrapMemory(new ArrayBuffer(mailboxesSize(1))), 0, 0, 1),
    work: {
      drainMessages: () => 0,
      endTurn: (turnMs) => {
        seenMs.push(turnMs, reactor.nowMs);
        return true;
      },
    },
    idlePollUs: 0,
    recorder,
    onStall: () => {},
    onBroken: (error) => assert.fail(String(error)),
  });
  reactor.start();
  assert.deepEqual(seenMs, [1_900, 1_900, 1_901, 1_901]);
});

Deno.test("Reactor measures a turn from the end of its wait, with the completions that the ring delivers", async () => {
  const recorder = new ShardRecorder();
  let clockMs = 1_000;
  recorder.clockMs = () => clockMs;
  const stalls: number[] = [];
  const deliveredMs: number[] = [];
  const TURNS = 3;
  const ring = {
    onAwake: () => {},
    turn(): number {
      clockMs += 200;
      ring.onAwake();
      deliveredMs.push(recorder.nowMs);
      clockMs += 30;
      if (deliveredMs.length === TURNS) reactor.stop();
      return 1;
    },
    takeWake: () => false,
  };
  const reactor = new Reactor({
    ring,
    clock: { monotonicMs: () => clockMs, wallMs: () => 0 },
    timers: new Timers(),
    mailboxes: new Mailboxes(wrapMemory(new ArrayBuffer(mailboxesSize(1))), 0, 0, 1),
    work: {
      drainMessages: () => 0,
      endTurn: () => {
        clockMs += 10;
        return true;
      },
    },
    idlePollUs: 0,
    recorder,
    onStall: (tookMs) => stalls.push(tookMs),
    onBroken: (error) => assert.fail(String(error)),
  });
  reactor.start();
  while (deliveredMs.length < TURNS) await new Promise((resolve) => setTimeout(resolve, 1));
  // Requests that end a wait begin after it.
  assert.deepEqual(deliveredMs, [1_200, 1_440, 1_680]);
  assert.deepEqual(stalls, [40, 40, 40]);
  assert.equal(recorder.values[Slot.TURNS], TURNS);
  assert.equal(recorder.values[Slot.STALLS], TURNS);
  assert.equal(Math.round(recorder.values[Slot.CPU_BUSY]! * 1_000), 40 * TURNS);
});
