/**
 * The command line as a person uses it on a cluster under test: what a command says, that it succeeds, and waiting until
 * it shows what should come to be.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../../src/cli/pause.ts";
import { type Ran, runGregor } from "../../src/cli/testing.ts";
import type { LocalCluster } from "../harness/local_cluster.ts";

/** A change of the cluster is seen within this time. */
const SEEN_MS = 30_000;
const LOOK_MS = 100;

export class CommandShell {
  readonly #cluster: LocalCluster;
  readonly #timeout: string;
  /** `--brokers` of every command. */
  brokers: string;

  /** @param timeout `--timeout` of every command */
  constructor(cluster: LocalCluster, timeout = "10s") {
    this.#cluster = cluster;
    this.#timeout = timeout;
    this.brokers = cluster.bootstrap;
  }

  /** Runs `gregor LINE`. */
  run(line: string, stdin = ""): Promise<Ran> {
    return runGregor(line.split(" "), {
      stdin,
      env: { GREGOR_BROKERS: this.brokers, GREGOR_TIMEOUT: this.#timeout },
    });
  }

  /** The same; it has to succeed. Gives what it printed. */
  async good(line: string, stdin = ""): Promise<string> {
    const ran = await this.run(line, stdin);
    assert.equal(ran.code, 0, `${line}: ${ran.out}${ran.remarks}\n${this.#cluster.stderr}`);
    return ran.out;
  }

  /** Runs it again and again, until what it says is right. */
  async until(line: string, isRight: (ran: Ran) => boolean): Promise<Ran> {
    const deadlineMs = performance.now() + SEEN_MS;
    for (;;) {
      const ran = await this.run(line);
      if (isRight(ran)) return ran;
      const seen = `${line}: ${ran.out}${ran.remarks}`;
      assert.ok(performance.now() < deadlineMs, `${seen}\n${this.#cluster.stderr}`);
      await pause(LOOK_MS);
    }
  }
}
