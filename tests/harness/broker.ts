/**
 * One broker as a child process: start, wait until it serves, stop, kill, start again.
 *
 * For suites that need the real program (clients, conformance, crash). The child is the leader of a
 * process group of its own, so that a kill takes whatever it started along, and a signal to the test
 * runner does not reach it by accident. Every wait has a bound; what the broker wrote to stderr is kept
 * and is part of every failure's message.
 *
 * States: `starting` (spawned, no `ready` line yet), `ready`, `exited`. `start` and `restart` resolve in
 * `ready` or throw in `exited`; after `stop` and `kill` the data directory stays for the next `restart`
 * until {@linkcode Broker.dispose} removes it.
 *
 * @module
 */

import { OutputLines } from "./output_lines.ts";

export interface BrokerOptions {
  /** Shards to run; the program's own default when absent. */
  readonly cores?: number;
  /** Locked memory, as `--memory` takes it (`512MiB`). */
  readonly memory?: string;
  /** Kept between restarts. A fresh temporary directory, removed by `dispose`, when absent. */
  readonly dataDir?: string;
  /** More flags for `start`, after the ones made from the other options. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How long the `ready` line may take. */
  readonly readyTimeoutMs?: number;
  /** What to run instead of `gregor`: with a program before it that pins it, or a stand-in. */
  readonly program?: readonly string[];
}

/** What the `ready` line says. */
export interface ReadyLine {
  /** `HOST:PORT` for clients. */
  readonly kafka: string;
  readonly rpc: string;
  readonly admin: string;
  /** Every `key=value` of the line. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface BrokerExit {
  readonly code: number;
  readonly signal: string | null;
}

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
/** After SIGKILL: for the kernel to take the process and all that it maps apart. */
const KILL_TIMEOUT_MS = 30_000;

export class Broker {
  #options: BrokerOptions;
  readonly dataDir: string;
  readonly #ownsDataDir: boolean;
  #pid = 0;
  /** False once the process and its group are gone: from then on the pid may be somebody else's. */
  #alive = false;
  #exit: Promise<BrokerExit> = Promise.resolve({ code: 0, signal: null });
  #stdout: OutputLines | null = null;
  #stderr: OutputLines | null = null;
  #ready: ReadyLine | null = null;
  /** The ports of the first start are kept over restarts, as clients expect of a broker's address. */
  #addressFlags: readonly string[] = [
    "--kafka-addr=127.0.0.1:0",
    "--rpc-addr=127.0.0.1:0",
    "--admin-addr=127.0.0.1:0",
  ];

  private constructor(options: BrokerOptions) {
    this.#options = options;
    this.#ownsDataDir = options.dataDir === undefined;
    this.dataDir = options.dataDir ?? Deno.makeTempDirSync({ prefix: "gregor-test-" });
  }

  /** Starts a broker and waits until it serves; throws with its stderr when it does not. */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const broker = new Broker(options);
    try {
      await broker.#launch();
    } catch (error) {
      await broker.dispose();
      throw error;
    }
    return broker;
  }

  /** `HOST:PORT` of the Kafka listener. */
  get kafka(): string {
    return this.ready.kafka;
  }

  get ready(): ReadyLine {
    if (this.#ready === null) throw new Error("Cannot read the broker's addresses: not ready");
    return this.#ready;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Settles when the process has ended, however it ended. */
  get exited(): Promise<BrokerExit> {
    return this.#exit;
  }

  /** What the running (or last) process wrote to stderr, its newest part. */
  get stderr(): string {
    return this.#stderr?.text ?? "";
  }

  /** SIGTERM, then the exit; kills the group and throws when that takes longer than `timeoutMs`. */
  async stop(timeoutMs: number = STOP_TIMEOUT_MS): Promise<BrokerExit> {
    this.#signal("SIGTERM", "process");
    const exit = await within(this.#exit, timeoutMs);
    if (exit !== null) return await this.#afterExit(exit);
    await this.kill();
    throw new Error(`Cannot stop the broker: still there after ${timeoutMs} ms\n${this.stderr}`);
  }

  /** SIGKILL to the whole group, then the exit. */
  async kill(): Promise<BrokerExit> {
    this.#signal("SIGKILL", "group");
    const exit = await within(this.#exit, KILL_TIMEOUT_MS);
    if (exit === null) {
      throw new Error(`Cannot kill ${this.#pid}: there after ${KILL_TIMEOUT_MS} ms`);
    }
    return await this.#afterExit(exit);
  }

  /** Sends any signal to the broker itself (SIGSTOP, SIGCONT, SIGINT). */
  send(signal: Deno.Signal): void {
    this.#signal(signal, "process");
  }

  /** Flags of the last start, which the next one may add to. */
  get flags(): readonly string[] {
    return this.#options.flags ?? [];
  }

  /**
   * Starts again on the same data directory and, where they are free, the same ports; stops the running
   * process first. `changes` replace options of the earlier start (another `cores`, more flags).
   */
  async restart(changes: Partial<BrokerOptions> = {}): Promise<void> {
    await this.stop();
    this.#options = { ...this.#options, ...changes };
    await this.#launch();
  }

  /**
   * Starts again, and kills the process `afterMs` later, wherever it has got to; for a start after that
   * there is {@linkcode restart}. Returns what it ended with: itself, if it was faster than the kill.
   */
  async restartAndKill(
    afterMs: number,
    changes: Partial<BrokerOptions> = {},
  ): Promise<BrokerExit> {
    await this.stop();
    this.#options = { ...this.#options, ...changes };
    this.#spawn();
    await within(this.#exit, afterMs);
    return await this.kill();
  }

  /**
   * Starts again, and resolves when its log says `pattern`, whether it serves by then or not; throws when that
   * does not come. What follows is {@linkcode stop} or {@linkcode kill}.
   */
  async restartUntil(pattern: RegExp, timeoutMs: number = READY_TIMEOUT_MS): Promise<void> {
    await this.stop();
    this.#spawn();
    const deadlineMs = performance.now() + timeoutMs;
    while (!pattern.test(this.stderr)) {
      if (performance.now() < deadlineMs && await within(this.#exit, 10) === null) continue;
      await this.kill();
      throw new Error(`The broker's log never says ${pattern}\n${this.stderr}`);
    }
  }

  /** Starts on the same data, expecting that the program ends by itself; throws when it does not. */
  async restartAndFail(
    changes: Partial<BrokerOptions> = {},
    timeoutMs: number = READY_TIMEOUT_MS,
  ): Promise<BrokerExit> {
    await this.stop();
    this.#options = { ...this.#options, ...changes };
    this.#spawn();
    const exit = await within(this.#exit, timeoutMs);
    if (exit !== null) return await this.#afterExit(exit);
    await this.kill();
    throw new Error(`The broker runs, though it should not after ${timeoutMs} ms\n${this.stderr}`);
  }

  /** Kills what still runs and removes the data directory when it was made here. */
  async dispose(): Promise<void> {
    await this.kill();
    if (this.#ownsDataDir) await Deno.remove(this.dataDir, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async #launch(): Promise<void> {
    const command = this.#spawn();
    const timeoutMs = this.#options.readyTimeoutMs ?? READY_TIMEOUT_MS;
    const line = await this.#stdout!.firstLine(timeoutMs);
    const ready = line === null ? null : parseReadyLine(line);
    if (ready === null) {
      const said = line === null ? "no line on stdout" : `"${line}" on stdout`;
      const ended = await within(this.#exit, 100);
      const state = ended === null ? `after ${timeoutMs} ms` : `exit code ${ended.code}`;
      await this.kill();
      throw new Error(
        `Cannot start a broker: ${said}, ${state}\n${command.join(" ")}\n${this.stderr}`,
      );
    }
    this.#ready = ready;
    this.#addressFlags = [
      `--kafka-addr=${ready.kafka}`,
      // A broker that is alone listens for no other.
      `--rpc-addr=${ready.rpc === "none" ? "127.0.0.1:0" : ready.rpc}`,
      `--admin-addr=${ready.admin}`,
    ];
  }

  /** Starts the process; returns its command line. */
  #spawn(): string[] {
    const [program, ...programArgs] = this.#options.program ?? gregorCommand();
    const args = [...programArgs, "start", "--mode=dev", ...this.#flags()];
    const child = new Deno.Command(program!, {
      args,
      env: { ...this.#options.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.#pid = child.pid;
    this.#alive = true;
    this.#ready = null;
    this.#stdout = new OutputLines(child.stdout);
    this.#stderr = new OutputLines(child.stderr);
    this.#exit = child.status.then((status) => ({ code: status.code, signal: status.signal }));
    return [program!, ...args];
  }

  #flags(): string[] {
    const { cores, memory, flags } = this.#options;
    const made = [`--data-dir=${this.dataDir}`, ...this.#addressFlags];
    if (cores !== undefined) made.push(`--cores=${cores}`);
    if (memory !== undefined) made.push(`--memory=${memory}`);
    return [...made, ...flags ?? []];
  }

  #signal(signal: Deno.Signal, whom: "process" | "group"): void {
    if (!this.#alive) return;
    try {
      Deno.kill(whom === "group" ? -this.#pid : this.#pid, signal);
    } catch (error) {
      // It has ended already.
      if (!(error instanceof Deno.errors.NotFound) && !isNoSuchProcess(error)) throw error;
    }
  }

  /** The pipes drain a little after the process is gone: their text must be whole. */
  async #afterExit(exit: BrokerExit): Promise<BrokerExit> {
    this.#signal("SIGKILL", "group");
    this.#alive = false;
    await within(Promise.all([this.#stdout?.ended, this.#stderr?.ended]), KILL_TIMEOUT_MS);
    return exit;
  }
}

/**
 * The command line of `deno task gregor`, without the build before it: read from `deno.json`, so that
 * tests run the program with the very flags that people run it with.
 */
export function gregorCommand(root: URL = new URL("../../", import.meta.url)): string[] {
  const config = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root))) as {
    tasks: { gregor: { command: string } };
  };
  const words = config.tasks.gregor.command.split("&&").at(-1)!.trim().split(/\s+/);
  return words.map((word, index) => {
    if (index === 0) return Deno.execPath();
    return word === "main.ts" ? new URL("main.ts", root).pathname : word;
  });
}

/** `ready kafka=H:P rpc=H:P admin=H:P …`, or null when the line is none. */
export function parseReadyLine(line: string): ReadyLine | null {
  const [word, ...pairs] = line.trim().split(/\s+/);
  if (word !== "ready") return null;
  const fields: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) return null;
    fields[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const { kafka, rpc, admin } = fields;
  if (kafka === undefined || rpc === undefined || admin === undefined) return null;
  return { kafka, rpc, admin, fields };
}

/** The value, or null when it takes longer than `timeoutMs`. Leaves no timer. */
export async function within<T>(value: Promise<T>, timeoutMs: number): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeoutMs);
  });
  try {
    return await Promise.race([value, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}
