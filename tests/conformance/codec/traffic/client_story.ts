/**
 * What each client is taken through while its traffic is recorded: every codec, every kind of
 * acknowledgement, a group in which two members share, and all administration that it has.
 *
 * @module
 */

import { type Client, CODECS, flags, type GroupProtocol } from "../../../clients/clients.ts";
import { Program, runProgram } from "../../../harness/program.ts";

const STEP_TIMEOUT_MS = 90_000;
const JOIN_TIMEOUT_MS = 15_000;
/** Members share, or another of a topic with one partition has nothing to say of it. */
const SHARE_TIMEOUT_MS = 5_000;
const SESSION_MS = 6_000;
const RECORDS = 40;
const FEW_RECORDS = 5;

export interface StoryOptions {
  readonly client: Client;
  readonly brokers: string;
  /** What the broker serves. */
  readonly protocols: readonly GroupProtocol[];
  readonly transactions: boolean;
  readonly say: (line: string) => void;
}

/** Runs the whole story; throws with the client's words where a step failed. */
export async function tellStory(options: StoryOptions): Promise<void> {
  const { client, say } = options;
  const partitions = client.hasAdmin ? 2 : 1;
  const baseMs = Date.now() - 3_600_000;
  const shape = client.writesPlain ? "plain" : "full";
  const common = { brokers: options.brokers, partitions, baseMs, shape };
  const run = async (command: string, codec: typeof CODECS[number], more: Flags) => {
    const line = [...client.program(codec), command, ...flags({ ...common, ...more })];
    const { done, declined } = await runProgram(line, STEP_TIMEOUT_MS);
    if (done !== undefined) say(`  done: ${done}\n  declined: ${declined}`);
  };
  for (const codec of CODECS) {
    say(`${client.name}: round trip, ${codec}`);
    const count = codec === "none" ? RECORDS : FEW_RECORDS;
    await run("roundtrip", codec, { topic: `${client.name}-${codec}`, codec, count });
  }
  for (const acks of client.otherAcks) {
    say(`${client.name}: acks=${acks}`);
    const topic = `${client.name}-acks-${acks}`;
    await run("roundtrip", "none", { topic, acks, count: FEW_RECORDS });
  }
  for (const protocol of client.groupProtocols) {
    if (!options.protocols.includes(protocol)) continue;
    say(`${client.name}: ${protocol} group`);
    const topic = `${client.name}-${protocol}`;
    const group = `${topic}-group`;
    await run("create", "none", { topic });
    await run("produce", "none", { topic, count: FEW_RECORDS });
    const members = new Members(client, { ...common, topic, group, protocol });
    try {
      await members.join(JOIN_TIMEOUT_MS, true);
      await members.join(SHARE_TIMEOUT_MS, false);
      await run("produce", "none", { topic, first: FEW_RECORDS, count: FEW_RECORDS });
      if (client.hasAdmin) {
        await run("admin", "none", { topic: `${topic}-admin`, group, count: FEW_RECORDS });
      }
      await members.leave();
      if (client.hasAdmin) await run("committed", "none", { topic, group });
    } finally {
      await members.kill();
    }
  }
  if (options.transactions && client.hasTransactions) {
    say(`${client.name}: transactions`);
    const topic = `${client.name}-transaction`;
    await run("transaction", "none", { topic, group: `${topic}-group`, count: FEW_RECORDS });
  }
}

type Flags = Readonly<Record<string, string | number>>;

class Members {
  readonly #client: Client;
  readonly #flags: Flags;
  readonly #programs: Program[] = [];

  constructor(client: Client, flags: Flags) {
    this.#client = client;
    this.#flags = flags;
  }

  /** One more; returns when it has said what it was assigned, or when it took too long. */
  async join(timeoutMs: number, required: boolean): Promise<void> {
    const sessionMs = SESSION_MS;
    const program = new Program([
      ...this.#client.program("none"),
      "member",
      ...flags({ ...this.#flags, sessionMs }),
    ]);
    this.#programs.push(program);
    const deadlineMs = performance.now() + timeoutMs;
    while (!program.lines.some(({ event }) => event === "assigned")) {
      if (!program.alive) throw new Error(`A member ended: ${program.story}`);
      if (performance.now() > deadlineMs) {
        if (required) throw new Error(`A member got nothing: ${program.story}`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The newest first, so that the others take over. */
  async leave(): Promise<void> {
    for (const program of this.#programs.toReversed()) {
      program.terminate();
      const late = setTimeout(() => program.kill(), STEP_TIMEOUT_MS);
      const code = await program.exited;
      clearTimeout(late);
      if (code !== 0) throw new Error(`A member failed: ${program.story}`);
    }
  }

  async kill(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.kill()));
  }
}
