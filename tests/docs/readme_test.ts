/**
 * Every command of the README is typed as it stands, and must print what the README shows.
 *
 * `gregor` is that of the sources, and `npx` brings the runtime of this test. The page's ports and data directory are replaced
 * by free ones, and put back in what is printed. A broker is left running until its ready line, and until the page kills it or
 * checks its files.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { type DocumentedCommand, documentedCommands, withoutChance } from "./console_blocks.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const COMMAND_TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 30_000;
const STARTS = / task start$|^gregor start\b/;
/** Printed by the first start on a machine alone. */
const ONLY_ONCE = /^Building the shim/;
/** A line of the log; which there are besides those that the page shows depends on the machine. */
const LOG_LINE = /^TIME [A-Z]+ +(\S+)/;

Deno.test("documentedCommands() reads blocks, and leaves out what is marked", () => {
  const page =
    "text\n```console\n$ a\nA\n$ b\n```\n<!-- not run: why -->\n\n```console\n$ c\n```\n" +
    "```ts\n$ d\n```\n```console\n$ e\n```\n";
  assert.deepEqual(documentedCommands(page), [
    { line: 3, command: "a", output: ["A"] },
    { line: 5, command: "b", output: [] },
    { line: 16, command: "e", output: [] },
  ]);
});

const hasKcat = new Deno.Command("bash", { args: ["-c", "command -v kcat"] }).outputSync().success;
const mayBeSkipped = Deno.env.get("CI") !== "true";

Deno.test({
  name: `the README's commands print what it shows${hasKcat ? "" : " (kcat is not installed)"}`,
  ignore: !hasKcat && mayBeSkipped,
  fn: followReadme,
});

async function followReadme(): Promise<void> {
  const commands = documentedCommands(Deno.readTextFileSync(`${ROOT}README.md`));
  assert.ok(commands.length > 8, "the page's commands were found");
  await using reader = new Reader();
  for (const documented of commands) await reader.type(documented);
}

/** A person at two terminals, who follows a page. */
class Reader {
  readonly #folder = Deno.makeTempDirSync({ prefix: "gregor-readme-" });
  /** What stands on the page, and what is meant here. */
  readonly #places: readonly (readonly [string, string])[];
  #server: Deno.ChildProcess | null = null;

  constructor() {
    const script = `#!/bin/sh\nexec "${Deno.execPath()}" task --quiet gregor "$@"\n`;
    Deno.writeTextFileSync(`${this.#folder}/gregor`, script, { mode: 0o755 });
    const npx = `#!/bin/sh\nshift 2\nexec "${Deno.execPath()}" "$@"\n`;
    Deno.writeTextFileSync(`${this.#folder}/npx`, npx, { mode: 0o755 });
    this.#places = [
      ["127.0.0.1:9092", `127.0.0.1:${freePort()}`],
      ["127.0.0.1:9644", `127.0.0.1:${freePort()}`],
      ["gregor-data", `${this.#folder}/gregor-data`],
    ];
  }

  async type({ line, command, output }: DocumentedCommand): Promise<void> {
    const printed = STARTS.test(command)
      ? await this.#start(this.#here(command))
      : await this.#run(this.#here(command), output);
    const expected = output.filter((text) => !ONLY_ONCE.test(text)).map(withoutChance);
    const logged = new Set(expected.map((text) => LOG_LINE.exec(text)?.[1]));
    const shown = printed.filter((text) => !ONLY_ONCE.test(text))
      .map((text) => withoutChance(this.#onPage(text)))
      .filter((text) => !LOG_LINE.test(text) || logged.has(LOG_LINE.exec(text)![1]));
    assert.deepEqual(shown, expected, `README.md:${line}: ${command}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    Deno.removeSync(this.#folder, { recursive: true });
  }

  /** Until the ready line; the task line names V8 flags that the page shortens. */
  async #start(command: string): Promise<string[]> {
    this.#server = this.#spawn(command);
    const lines: string[] = [];
    const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
      let rest = "";
      for await (const text of stream.pipeThrough(new TextDecoderStream())) {
        const parts = (rest + text).split("\n");
        rest = parts.pop()!;
        for (const part of parts) lines.push(part);
      }
    };
    const ended = Promise.all([read(this.#server.stdout), read(this.#server.stderr)]);
    let hasEnded = false;
    ended.then(() => hasEnded = true, () => hasEnded = true);
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (!lines.some((text) => text.startsWith("ready "))) {
      const late = hasEnded || performance.now() > deadlineMs;
      assert.ok(!late, `not ready:\n${lines.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const shortened = lines.map((text) => text.replace(/--v8-flags=\S+/, "--v8-flags=..."));
    return shortened.sort((a, b) => Number(a.startsWith("ready")) - Number(b.startsWith("ready")));
  }

  /** What it prints; of progress on stderr, which a terminal overwrites, the lines that the page shows. */
  async #run(command: string, onPage: readonly string[]): Promise<string[]> {
    // The files of a broker are looked at when it has stopped.
    if (/^gregor check\b/.test(command)) await this.#stop();
    const child = this.#spawn(command);
    const timer = setTimeout(() => Deno.kill(-child.pid, "SIGKILL"), COMMAND_TIMEOUT_MS);
    const { stdout, stderr, success } = await child.output();
    clearTimeout(timer);
    if (/^kill -9 /.test(command)) await this.#ended();
    const lines = (bytes: Uint8Array): string[] =>
      new TextDecoder().decode(bytes).split("\n").filter((text) => text !== "");
    const known = new Set(onPage.map(withoutChance));
    const remarks = lines(stderr).filter((text) => !success || known.has(withoutChance(text)));
    return [...lines(stdout), ...remarks];
  }

  #spawn(command: string): Deno.ChildProcess {
    return new Deno.Command("bash", {
      args: ["-c", command],
      cwd: ROOT,
      env: {
        NO_COLOR: "1",
        PATH: `${this.#folder}:${Deno.env.get("PATH")}`,
        GREGOR_DATA_DIR: this.#here("gregor-data"),
        GREGOR_KAFKA_ADDR: this.#here("127.0.0.1:9092"),
        GREGOR_ADMIN_ADDR: this.#here("127.0.0.1:9644"),
        GREGOR_BROKERS: this.#here("127.0.0.1:9092"),
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
  }

  async #stop(): Promise<void> {
    if (this.#server === null) return;
    Deno.kill(-this.#server.pid, "SIGINT");
    await this.#ended();
  }

  async #ended(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const timer = setTimeout(() => Deno.kill(-server.pid, "SIGKILL"), STOP_TIMEOUT_MS);
    await server.status;
    clearTimeout(timer);
    this.#server = null;
  }

  #here(text: string): string {
    return this.#places.reduce((result, [page, here]) => result.replaceAll(page, here), text);
  }

  #onPage(text: string): string {
    return this.#places.reduce((result, [page, here]) => {
      return result.replaceAll(here, page);
    }, text);
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
