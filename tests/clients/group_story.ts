/**
 * A consumer group whose members come and go.
 *
 * Two members share the topic; a third joins; the first leaves; the second is killed; each time more records
 * are written, and all of them must be processed by whoever is left. At the end nobody has missed a
 * record and the committed offsets are the end offsets. After that the broker may be restarted, and
 * {@linkcode GroupStory.resume} checks that a new member gets only what is new.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { runGregor } from "../../src/cli/testing.ts";
import { type JsonLine, Program, runProgram } from "../harness/program.ts";
import type { Killer } from "./killer.ts";
import { type Client, flags, type GroupProtocol } from "./clients.ts";

const PARTITIONS = 4;
const STAGE_RECORDS = 1000;
const SESSION_MS = 6_000;
const STAGE_TIMEOUT_MS = 60_000;

export interface GroupStoryOptions {
  readonly brokers: string;
  readonly client: Client;
  /** Makes the topic, writes the records, reads the offsets: `client` itself where it can. */
  readonly admin: Client;
  readonly protocol: GroupProtocol;
  readonly topic: string;
  readonly baseMs: number;
}

class Member {
  readonly program: Program;
  partitions: readonly number[] = [];
  readonly processed: { partition: number; from: number; to: number }[] = [];

  constructor(command: readonly string[]) {
    this.program = new Program(command, (line) => this.#take(line));
  }

  #take(line: JsonLine): void {
    if (line["event"] === "assigned") this.partitions = line["partitions"] as number[];
    if (line["event"] === "processed") {
      this.processed.push(line as unknown as { partition: number; from: number; to: number });
    }
  }
}

export class GroupStory {
  readonly #options: GroupStoryOptions;
  readonly #members: Member[] = [];
  #written = 0;

  constructor(options: GroupStoryOptions) {
    this.#options = options;
  }

  /** Gives how many records its members have processed. */
  async run(): Promise<number> {
    try {
      await this.#admin("create", {});
      const [first, second] = [this.#join(), this.#join()];
      await this.#until("two members share the partitions", () => shares([first, second]));
      await this.#write();
      const third = this.#join();
      await this.#until("the third member gets its share", () => shares([first, second, third]));
      await this.#checkType(3, this.#options.protocol);
      await this.#write();
      await this.#leave(first);
      await this.#write();
      if (this.#options.protocol === "classic") await second.program.kill();
      // The broker alone says how long a member of the new protocol may be silent: 45 s, too long here.
      else await this.#leave(second);
      await this.#write();
      await this.#leave(third);
      await this.#committedToEnd();
      return this.#written - this.#missing();
    } finally {
      await this.stop();
    }
  }

  /**
   * Two members process what is written while brokers are killed, the coordinator's among them: at the end nothing is
   * missing, and all of it is committed. Gives how many records were processed.
   */
  async runThrough(killer: Killer): Promise<number> {
    const { topic } = this.#options;
    try {
      await this.#admin("create", {});
      const members = [this.#join(), this.#join()];
      await this.#until("two members share the partitions", () => shares(members));
      await this.#checkType(members.length, this.#options.protocol);
      const kills = killer.run(topic);
      try {
        for (let stage = 0; stage < 3; stage++) await this.#write();
      } finally {
        killer.stop();
        await kills;
      }
      await this.#write();
      await this.#checkType(members.length, this.#options.protocol);
      for (const member of members) await this.#leave(member);
      await this.#committedToEnd();
      return this.#written - this.#missing();
    } finally {
      await this.stop();
    }
  }

  /**
   * A group changes from the classic protocol to the new one while it is read, and back: each time another member comes
   * before the last ones of the other protocol go. Gives how many records were processed.
   */
  async runMigration(): Promise<number> {
    const { brokers } = this.#options;
    try {
      await this.#admin("create", {});
      const old = [this.#join(brokers, "classic"), this.#join(brokers, "classic")];
      await this.#until("two members share the partitions", () => shares(old));
      await this.#checkType(2, "classic");
      await this.#write();
      const next = this.#join(brokers, "consumer");
      await this.#until("three members share the partitions", () => shares([...old, next]));
      await this.#checkType(3, "consumer");
      await this.#write();
      for (const member of old) await this.#leave(member);
      await this.#write();
      const last = this.#join(brokers, "classic");
      await this.#until("another two share the partitions", () => shares([next, last]));
      await this.#leave(next);
      await this.#write();
      await this.#checkType(1, "classic");
      await this.#leave(last);
      await this.#committedToEnd();
      return this.#written - this.#missing();
    } finally {
      await this.stop();
    }
  }

  /** A new member of the group, after a restart of the broker: it gets what is new, nothing old. Gives how much. */
  async resume(brokers: string): Promise<number> {
    try {
      const earlierEnd = this.#written / PARTITIONS;
      const member = this.#join(brokers);
      await this.#until("the new member gets all partitions", () => {
        return member.partitions.length === PARTITIONS;
      });
      await this.#write(brokers);
      const old = member.processed.filter(({ from }) => from < earlierEnd);
      assert.deepEqual(old, [], "processed again after the restart");
      await this.#leave(member);
      await this.#committedToEnd(brokers);
      return member.processed.reduce((sum, { from, to }) => sum + to - from, 0);
    } finally {
      await this.stop();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ program }) => program.kill()));
  }

  #join(brokers = this.#options.brokers, protocol = this.#options.protocol): Member {
    const { client, topic, baseMs } = this.#options;
    const member = new Member([
      ...client.program("none"),
      "member",
      ...flags({
        brokers,
        topic,
        partitions: PARTITIONS,
        group: `${topic}-group`,
        protocol,
        sessionMs: SESSION_MS,
        baseMs,
      }),
    ]);
    this.#members.push(member);
    return member;
  }

  /** A client may fall back to the other protocol without a word. */
  async #checkType(members: number, protocol: GroupProtocol): Promise<void> {
    const { brokers, topic } = this.#options;
    const line = ["group", "describe", `${topic}-group`, "--brokers", brokers, "--format", "json"];
    const { out } = await runGregor(line);
    const [group] = JSON.parse(out) as { type: string; members: unknown[] }[];
    assert.equal(group!.type, protocol);
    assert.equal(group!.members.length, members);
  }

  /** Writes the next records and waits until all records so far are processed. */
  async #write(brokers = this.#options.brokers): Promise<void> {
    const { baseMs } = this.#options;
    await this.#admin("produce", { first: this.#written, count: STAGE_RECORDS, baseMs }, brokers);
    this.#written += STAGE_RECORDS;
    await this.#until(`records to ${this.#written} are processed`, () => this.#missing() === 0);
  }

  /** SIGTERM: a member leaves and says that all went well. */
  async #leave(member: Member): Promise<void> {
    const { program } = member;
    program.terminate();
    await this.#until("the member has left", () => !program.alive);
    const code = await program.exited;
    assert.equal(code, 0, program.story);
    assert.equal(program.lastLine?.["ok"], true, program.story);
  }

  async #committedToEnd(brokers = this.#options.brokers): Promise<void> {
    const wanted = new Array(PARTITIONS).fill(this.#written / PARTITIONS);
    const deadlineMs = performance.now() + 15_000;
    for (;;) {
      const { topic } = this.#options;
      const found = await this.#admin("committed", { group: `${topic}-group` }, brokers);
      assert.deepEqual(found["end"], wanted, "end offsets");
      if (String(found["committed"]) === String(wanted)) return;
      if (performance.now() > deadlineMs) assert.deepEqual(found["committed"], wanted, "committed");
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  #missing(): number {
    const seen = Array.from({ length: PARTITIONS }, () => new Set<number>());
    for (const { processed } of this.#members) {
      for (const { partition, from, to } of processed) {
        for (let offset = from; offset < to; offset++) seen[partition]!.add(offset);
      }
    }
    return this.#written - seen.reduce((sum, { size }) => sum + size, 0);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + STAGE_TIMEOUT_MS;
    while (!holds()) {
      const broken = this.#members.find(({ program }) => program.lastLine?.["ok"] === false);
      if (broken !== undefined || performance.now() > deadlineMs) {
        const state = this.#members.map(({ partitions, program }, index) => {
          return `member ${index + 1} ${
            program.alive ? "lives" : "is gone"
          }, owns [${partitions}]\n${program.story}`;
        });
        const missing = `${this.#missing()} of ${this.#written} records missing`;
        throw new Error(`In vain: ${what}; ${missing}\n${state.join("\n")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #admin(
    command: string,
    more: Readonly<Record<string, string | number>>,
    brokers = this.#options.brokers,
  ): Promise<JsonLine> {
    const { admin, topic } = this.#options;
    const all = flags({ brokers, topic, partitions: PARTITIONS, ...more });
    return runProgram([...admin.program("none"), command, ...all], STAGE_TIMEOUT_MS);
  }
}

/** Whether these members own every partition, each at least one, none twice. */
function shares(members: readonly Member[]): boolean {
  const owned = members.flatMap(({ partitions }) => partitions);
  return members.every(({ partitions }) => partitions.length > 0) &&
    owned.length === PARTITIONS && new Set(owned).size === PARTITIONS;
}
