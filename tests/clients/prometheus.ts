/**
 * Prometheus as Debian packages it, run for a test: scrapes some nodes each second, and answers queries.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../../src/cli/pause.ts";
import { freePorts } from "../harness/free_ports.ts";
import { OutputLines } from "../harness/output_lines.ts";
import { CACHE } from "./clients.ts";

const BINARIES = `${CACHE}prometheus/usr/bin/`;
/** It has its first samples, or rules are evaluated, within this time. */
const READY_MS = 60_000;
const LOOK_MS = 200;
const QUERY_TIMEOUT_MS = 20_000;

/** What a program said, and how it ended. */
export interface Told {
  readonly code: number;
  readonly text: string;
}

/** Runs `promtool ARGS`. */
export async function promtool(args: readonly string[], stdin = ""): Promise<Told> {
  const child = new Deno.Command(`${BINARIES}promtool`, {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(QUERY_TIMEOUT_MS),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** A rule, as Prometheus sees it. */
export interface RuleState {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
}

export class Prometheus implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #log: OutputLines;
  readonly #address: string;
  readonly #folder: string;

  private constructor(child: Deno.ChildProcess, address: string, folder: string) {
    this.#child = child;
    this.#log = new OutputLines(child.stderr);
    this.#address = address;
    this.#folder = folder;
  }

  /**
   * Starts one, and waits until it has scraped every target.
   *
   * @param targets addresses of admin servers
   * @param rules a file of rules
   */
  static async start(targets: readonly string[], rules: string): Promise<Prometheus> {
    const folder = Deno.makeTempDirSync({ prefix: "gregor-prometheus-" });
    const address = `127.0.0.1:${freePorts(1)[0]}`;
    Deno.writeTextFileSync(`${folder}/gregor.rules.yml`, rules);
    Deno.writeTextFileSync(`${folder}/prometheus.yml`, configOf(targets));
    const child = new Deno.Command(`${BINARIES}prometheus`, {
      args: [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=${address}`,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const prometheus = new Prometheus(child, address, folder);
    try {
      await prometheus.until(`sum(up{job="gregor"}) == ${targets.length}`);
      return prometheus;
    } catch (error) {
      await prometheus[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The values that a query gives at this moment. */
  async query(expr: string): Promise<number[]> {
    const answer = await this.#get(`query?query=${encodeURIComponent(expr)}`) as {
      result: { value: [number, string] }[];
    };
    return answer.result.map(({ value }) => Number(value[1]));
  }

  /** Asks until a query gives anything. */
  async until(expr: string): Promise<void> {
    const deadlineMs = performance.now() + READY_MS;
    for (;;) {
      const values = await this.query(expr).catch(() => []);
      if (values.length > 0) return;
      assert.ok(performance.now() < deadlineMs, `never true: ${expr}\n${this.#log.text}`);
      await pause(LOOK_MS);
    }
  }

  /** Every rule, once each has been evaluated. */
  async rules(): Promise<RuleState[]> {
    const deadlineMs = performance.now() + READY_MS;
    for (;;) {
      const answer = await this.#get("rules") as { groups: { rules: RuleState[] }[] };
      const rules = answer.groups.flatMap((group) => group.rules);
      const isEvaluated = rules.length > 0 && rules.every(({ health }) => health !== "unknown");
      if (isEvaluated) return rules;
      assert.ok(performance.now() < deadlineMs, `rules: ${JSON.stringify(rules)}`);
      await pause(LOOK_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#log.ended;
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #get(what: string): Promise<unknown> {
    const signal = AbortSignal.timeout(QUERY_TIMEOUT_MS);
    const response = await fetch(`http://${this.#address}/api/v1/${what}`, { signal });
    const { status, data, error } = await response.json();
    assert.equal(status, "success", `${decodeURIComponent(what)}: ${error}`);
    return data;
  }
}

function configOf(targets: readonly string[]): string {
  return [
    "global:",
    "  scrape_interval: 1s",
    "  evaluation_interval: 1s",
    "rule_files: [gregor.rules.yml]",
    "scrape_configs:",
    "  - job_name: gregor",
    "    metrics_path: /public_metrics",
    "    static_configs:",
    `      - targets: [${targets.map((target) => JSON.stringify(target)).join(", ")}]`,
    "",
  ].join("\n");
}
