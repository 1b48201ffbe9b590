/**
 * What the programs in JavaScript share: flags, the result line, the bookkeeping of a `consume`.
 *
 * @module
 */

import process from "node:process";
import { Mismatch, verify } from "./records.mjs";

/**
 * @typedef {{
 *   command: string, brokers: string, topic: string, partitions: number, first: number, count: number,
 *   seed: number, baseMs: number, codec: string, acks: string, shape: string, group: string,
 *   sessionMs: number, protocol: string,
 * }} Options
 */

/** @param {readonly string[]} args @returns {Options} */
export function parseOptions(args) {
  const flags = new Map();
  for (let i = 1; i + 1 < args.length; i += 2) flags.set(args[i], args[i + 1]);
  const text = (/** @type {string} */ flag, fallback = "") => flags.get(flag) ?? fallback;
  const number = (/** @type {string} */ flag, fallback = 0) => Number(flags.get(flag) ?? fallback);
  return {
    command: args[0] ?? "",
    brokers: text("--brokers"),
    topic: text("--topic"),
    partitions: number("--partitions", 1),
    first: number("--first"),
    count: number("--count", 1000),
    seed: number("--seed", 1),
    baseMs: number("--base-ms"),
    codec: text("--codec", "none"),
    acks: text("--acks", "all"),
    shape: text("--shape", "full"),
    group: text("--group"),
    sessionMs: number("--session-ms", 6000),
    protocol: text("--protocol", "classic"),
  };
}

/** @param {Record<string, unknown>} line */
export function say(line) {
  console.log(JSON.stringify(line));
}

/**
 * Runs one command, prints its result line, ends the process.
 *
 * @param {Record<string, (options: Options) => Promise<Record<string, unknown>>>} commands
 */
export async function runProgram(commands) {
  const options = parseOptions(process.argv.slice(2));
  const { command } = options;
  const startedMs = performance.now();
  try {
    const run = commands[command];
    if (run === undefined) throw new Mismatch(`no command ${command}`);
    const result = await run(options);
    const seconds = Math.round(performance.now() - startedMs) / 1000;
    say({ ok: true, command, seconds, ...result });
    process.exit(0);
  } catch (error) {
    console.error(error);
    say({ ok: false, command, error: String(error) });
    process.exit(1);
  }
}

/** Settles at SIGTERM. @returns {Promise<void>} */
export function untilTerminated() {
  return new Promise((resolve) => process.once("SIGTERM", () => resolve()));
}

/** Rejects when `work` takes longer. @template T @param {Promise<T>} work @param {number} ms */
export async function bounded(work, ms) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Mismatch(`not done after ${ms} ms`)), ms);
  });
  try {
    return /** @type {T} */ (await Promise.race([work, late]));
  } finally {
    clearTimeout(timer);
  }
}

/** Checks that a `consume` reads every record once and in order; `done` settles when all were read. */
export class Reading {
  #options;
  /** @type {number[]} */
  #position;
  #onDone = () => {};
  #onFailure = (/** @type {unknown} */ _error) => {};
  #idleTimer;
  read = 0;
  /** @type {Promise<void>} */
  done;

  /** @param {Options} options @param {number} silenceMsMax */
  constructor(options, silenceMsMax = 20_000) {
    this.#options = options;
    this.#position = new Array(options.partitions).fill(0);
    this.done = new Promise((resolve, reject) => {
      this.#onDone = resolve;
      this.#onFailure = reject;
    });
    let seen = -1;
    this.#idleTimer = setInterval(() => {
      if (this.read === seen) {
        this.fail(new Mismatch(`no more records, positions ${this.#position} of ${this.wanted}`));
      }
      seen = this.read;
    }, silenceMsMax);
  }

  /** Records by partition. */
  get wanted() {
    const { count, partitions } = this.#options;
    return this.#position.map((_, p) => Math.ceil((count - p) / partitions));
  }

  /** @param {unknown} error */
  fail(error) {
    clearInterval(this.#idleTimer);
    this.#onFailure(error);
  }

  /** @param {number} partition @param {number} offset @param {Parameters<typeof verify>[3]} record */
  take(partition, offset, record) {
    try {
      if (offset !== this.#position[partition]) {
        throw new Mismatch(
          `partition ${partition}: offset ${offset} instead of ${this.#position[partition]}`,
        );
      }
      verify(this.#options, partition, offset, record);
    } catch (error) {
      this.fail(error);
      throw error;
    }
    this.#position[partition] = offset + 1;
    this.read++;
    if (this.read === this.#options.count) {
      clearInterval(this.#idleTimer);
      this.#onDone();
    }
  }

  /** @param {readonly number[]} ends */
  checkEnds(ends) {
    if (String(ends) !== String(this.wanted)) {
      throw new Mismatch(`partitions end at ${ends}, not ${this.wanted}`);
    }
  }
}
