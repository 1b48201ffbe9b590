/**
 * What a person reads when the host cannot carry the broker: the limit, and what to do about it.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_HOST_UNFIT } from "../../src/base/exit_codes.ts";
import { gregorCommand, within } from "../harness/broker.ts";

const RUN_MS = 60_000;
/** Less than the rings of two shards are counted for (KiB). */
const LOCK_LIMIT_KIB = 256;
const DROP_LOCK_RIGHT = ["setpriv", "--bounding-set=-ipc_lock"];

Deno.test("More memory than the host has is refused in both modes, and nothing is made", async () => {
  for (const mode of ["dev", "production"]) {
    const dataDir = `${Deno.makeTempDirSync({ prefix: "gregor-host-" })}/data`;
    const { code, output } = await run([
      ...gregorCommand(),
      ...startFlags(dataDir),
      `--mode=${mode}`,
      "--memory=10000GiB",
    ]);
    assert.equal(code, EXIT_HOST_UNFIT, output);
    assert.match(
      output,
      /--memory 10240000MiB is too much: this (host has|container may use) \d+MiB/,
    );
    assert.match(output, /Set --memory to \d+MiB at most/);
    assert.throws(() => Deno.statSync(dataDir), Deno.errors.NotFound);
    Deno.removeSync(dataDir.slice(0, -"/data".length), { recursive: true });
  }
});

Deno.test({
  name: "A limit of locked memory too low for the rings is named as such",
  ignore: !mayDropRights(),
  fn: async () => {
    const dataDir = Deno.makeTempDirSync({ prefix: "gregor-host-" });
    const start = [...gregorCommand(), ...startFlags(dataDir), "--mode=dev", "--cores=2"];
    const shell = ["bash", "-c", `ulimit -l ${LOCK_LIMIT_KIB}; exec "$@"`, "bash", ...start];
    const { code, output } = await run([...DROP_LOCK_RIGHT, ...shell]);
    assert.equal(code, EXIT_HOST_UNFIT, output);
    assert.match(output, /locked memory \(ulimit -l\) is 256 KiB/);
    assert.match(output, /ulimit -l unlimited/);
    Deno.removeSync(dataDir, { recursive: true });
  },
});

function startFlags(dataDir: string): string[] {
  return [
    "start",
    `--data-dir=${dataDir}`,
    "--kafka-addr=127.0.0.1:0",
    "--admin-addr=127.0.0.1:0",
  ];
}

/** Runs a program that ends by itself. */
async function run(words: readonly string[]): Promise<{ code: number; output: string }> {
  const child = new Deno.Command(words[0]!, {
    args: words.slice(1),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const result = await within(child.output(), RUN_MS);
  if (result === null) {
    child.kill("SIGKILL");
    throw new Error(`${words.join(" ")} runs for more than ${RUN_MS} ms`);
  }
  return { code: result.code, output: new TextDecoder().decode(result.stderr) };
}

/** Whether this user's processes can be made subject to the limit: root's usually are not. */
function mayDropRights(): boolean {
  try {
    const [program, ...args] = [...DROP_LOCK_RIGHT, "true"];
    return new Deno.Command(program!, { args, stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
