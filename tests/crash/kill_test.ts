/**
 * Kills the broker at random moments under load, starts it again, with another number of cores, and
 * holds what it serves against what it acknowledged. Most kills come in the middle of the load; some in
 * the middle of a start, several in a row; some while it stops.
 *
 * `GREGOR_CRASH_KILLS` is how often (100), `GREGOR_CRASH_SEED` replays a schedule; what the operating
 * system and the disk do in between is not part of it.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";

import { Broker } from "../harness/broker.ts";
import { OneBroker } from "./brokers.ts";
import { checkData } from "./check_data.ts";
import { SMALL_RINGS } from "./faulty_broker.ts";
import { Problems } from "./ledger.ts";
import { LinkClosed, parseAddress, pause } from "./link.ts";
import { Workload } from "./workload.ts";

const KILLS = Number(Deno.env.get("GREGOR_CRASH_KILLS") ?? "100");
const SEED = Number(Deno.env.get("GREGOR_CRASH_SEED") ?? Date.now() % 2 ** 31);
/** A verification after so many kills. */
const VERIFY_EACH = 8;
/** `gregor check` after so many. */
const CHECK_EACH = 6;
/** Longer than this a kill and what follows it take only when something hangs (ms, of the mean). */
const KILL_MS_MAX = 8_000;

class Kills {
  readonly #broker: Broker;
  readonly #random: Random;
  count = 0;
  readonly kinds = { load: 0, start: 0, stop: 0, stoppedInTime: 0, checks: 0 };
  readonly #problems: Problems;
  /** The broker that runs now is about to be ended. */
  #mayEnd = false;
  /** What is going on, for the message of a run that hangs. */
  step = "";

  constructor(broker: Broker, random: Random, problems: Problems) {
    this.#broker = broker;
    this.#random = random;
    this.#problems = problems;
    this.#watch();
  }

  /** One way or another the broker goes away and comes back; in between its files may be checked. */
  async one(checked: boolean): Promise<void> {
    const random = this.#random;
    const kind = random.nextBelow(100);
    this.step = "load";
    await pause(100 + random.nextBelow(1500));
    if (kind < 15) await this.#duringStop();
    else await this.#underLoad();
    if (kind >= 70) await this.#duringStart(1 + random.nextBelow(3));
    if (checked) {
      this.step = "check";
      const check = await checkData(this.#broker.dataDir);
      assert.equal(check.code, 0, check.output);
      this.kinds.checks++;
    }
    this.step = "restart";
    const startedMs = performance.now();
    const cores = this.#cores();
    await this.#broker.restart({ cores });
    this.#watch();
    const tookMs = Math.round(performance.now() - startedMs);
    console.log(`${this.count} kills, started with ${cores} cores in ${tookMs} ms`);
  }

  /** A broker that ends before anybody ends it is a problem, and nobody may wait for it. */
  #watch(): void {
    this.#mayEnd = false;
    this.#broker.exited.then((exit) => {
      if (this.#mayEnd) return;
      this.#problems.add(`ended by itself: ${JSON.stringify(exit)}\n${this.#broker.stderr}`);
    });
  }

  async #underLoad(): Promise<void> {
    this.step = "kill";
    this.#mayEnd = true;
    await this.#broker.kill();
    this.count++;
    this.kinds.load++;
  }

  async #duringStop(): Promise<void> {
    this.step = "kill during a stop";
    this.#mayEnd = true;
    this.#broker.send("SIGTERM");
    await pause(this.#random.nextBelow(60));
    const exit = await this.#broker.kill();
    this.count++;
    this.kinds.stop++;
    if (exit.signal === null) {
      assert.equal(exit.code, 0, this.#broker.stderr);
      this.kinds.stoppedInTime++;
    }
  }

  async #duringStart(times: number): Promise<void> {
    this.step = "kill during a start";
    for (let i = 0; i < times; i++) {
      const afterMs = 50 + this.#random.nextBelow(700);
      const exit = await this.#broker.restartAndKill(afterMs, { cores: this.#cores() });
      assert.equal(exit.signal, "SIGKILL", `ended by itself: ${this.#broker.stderr}`);
      this.count++;
      this.kinds.start++;
    }
  }

  /** From now on the broker may be stopped. */
  end(): void {
    this.step = "end";
    this.#mayEnd = true;
  }

  #cores(): number {
    return 1 + this.#random.nextBelow(4);
  }
}

Deno.test(`A broker killed ${KILLS} times keeps all that it acknowledged`, async () => {
  console.log(`GREGOR_CRASH_SEED=${SEED}`);
  const random = new Xoshiro128(SEED);
  const startedMs = performance.now();
  await using broker = await Broker.start({ cores: 2, flags: SMALL_RINGS });
  const problems = new Problems();
  const brokers = new OneBroker(parseAddress(broker.kafka));
  const workload = new Workload(brokers, random.nextUint32(), problems);
  const kills = new Kills(broker, random, problems);
  const verify: Workload["verify"] = (options) => {
    kills.step = `verification ${JSON.stringify(options ?? {})}`;
    return workload.verify(options);
  };
  const patience = setTimeout(() => {
    problems.add(`hangs in ${kills.step}\n${workload.state}\n${broker.stderr}`);
  }, KILLS * KILL_MS_MAX);
  try {
    await workload.start();
    for (let round = 1; kills.count < KILLS && !problems.any; round++) {
      await kills.one(round % CHECK_EACH === 0);
      if (round % VERIFY_EACH === 0) await verify();
    }
    if (!problems.any) await verify({ whole: true });
    if (!problems.any) await verify({ end: true });
    await workload.stop();
    kills.end();
    assert.deepEqual(await broker.stop(), { code: 0, signal: null });
    const check = await checkData(broker.dataDir);
    assert.equal(check.code, 0, check.output);
  } catch (error) {
    // Thrown because of a problem that is in the list.
    if (!(problems.any && error instanceof LinkClosed)) problems.add(String(error));
  } finally {
    clearTimeout(patience);
    kills.end();
    await workload.stop();
    const { totals } = workload;
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    console.log(JSON.stringify({ seconds, kills: kills.count, ...kills.kinds, ...totals }));
  }
  assert.deepEqual(problems.list, [], `GREGOR_CRASH_SEED=${SEED}\n${broker.stderr}`);
  assert.ok(workload.totals.ackedRecords > kills.count * 10, "hardly any load");
});
