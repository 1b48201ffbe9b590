/**
 * A command needs no package: `deno task gregor` works on a machine without a network and with an empty cache.
 *
 * @module
 */

import { strict as assert } from "node:assert";

const ROOT = new URL("../../", import.meta.url).pathname;
const TIMEOUT_MS = 120_000;
/** Nothing listens there. */
const NO_REGISTRY = "http://127.0.0.1:1";

Deno.test("deno task gregor asks no registry for anything", async () => {
  const cache = Deno.makeTempDirSync({ prefix: "gregor-cache-" });
  try {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "gregor", "version"],
      cwd: ROOT,
      env: {
        DENO_DIR: cache,
        NPM_CONFIG_REGISTRY: NO_REGISTRY,
        JSR_URL: NO_REGISTRY,
        NO_COLOR: "1",
      },
      stdin: "null",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    assert.match(new TextDecoder().decode(stdout), /^gregor \d/);
  } finally {
    Deno.removeSync(cache, { recursive: true });
  }
});
