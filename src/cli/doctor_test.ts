import { strict as assert } from "node:assert";
import { Verdict } from "./host_checks.ts";
import { runGregor } from "./testing.ts";

interface Said {
  readonly name: string;
  readonly verdict: Verdict;
  readonly found: string;
  readonly remedy: string | null;
}

Deno.test("doctor measures the folder that is asked for, and leaves nothing there", async () => {
  const parent = await Deno.makeTempDir({ prefix: "gregor-doctor-" });
  try {
    const argv = ["doctor", "--mode", "dev", "--data-dir", `${parent}/not/yet`, "--format", "json"];
    const { code, out } = await runGregor(argv);
    const checks = JSON.parse(out) as Said[];
    const isFit = checks.every(({ verdict }) => verdict !== Verdict.BAD);
    assert.equal(code, isFit ? 0 : 71);
    assert.match(checks.find(({ name }) => name === "durable write")!.found, /^median \d/);
    assert.deepEqual([...Deno.readDirSync(parent)], []);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("doctor says what a start would refuse, and what to do", async () => {
  const { code, out } = await runGregor(["doctor", "--memory", "100TiB", "--mode", "dev"]);
  assert.equal(code, 71);
  assert.match(out, /bad +memory +--memory 104857600MiB is too much/);
  assert.match(out, /Set --memory to/);
});

Deno.test("tune names the present value of what it sets", async () => {
  const { code, out } = await runGregor(["tune"]);
  assert.equal(code, 0);
  const now = (await Deno.readTextFile("/proc/sys/net/core/somaxconn")).trim();
  assert.match(out, new RegExp(`Now: ${now}\\.\nnet\\.core\\.somaxconn = 4096\n`));
  const limits = await runGregor(["tune", "--for", "limits"]);
  assert.match(limits.out, /^gregor hard memlock unlimited$/m);
});
