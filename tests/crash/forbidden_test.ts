/**
 * A host that forbids some of io_uring's system calls: the start says so, and what to do.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_HOST_UNFIT } from "../../src/base/exit_codes.ts";
import { gregorCommand } from "../harness/broker.ts";

const FORBID = new URL("../harness/forbid_syscall.ts", import.meta.url).pathname;
/** The same numbers on every architecture. */
const CALLS = { io_uring_setup: 425, io_uring_enter: 426, io_uring_register: 427 } as const;

for (const [name, number] of Object.entries(CALLS)) {
  Deno.test(`a start without ${name} ends with ${EXIT_HOST_UNFIT} and says what to allow`, async () => {
    const dataDir = Deno.makeTempDirSync({ prefix: "gregor-forbidden-" });
    try {
      const start = ["start", "--mode=dev", `--data-dir=${dataDir}`, "--kafka-addr=127.0.0.1:0"];
      const args = ["run", "-A", FORBID, String(number), ...gregorCommand(), ...start];
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args,
        stdin: "null",
        signal: AbortSignal.timeout(30_000),
      }).output();
      const text = new TextDecoder().decode(stderr);
      assert.equal(code, EXIT_HOST_UNFIT, text);
      assert.match(text, /io_uring is forbidden to this process/);
      assert.match(text, new RegExp(`allow .*${name}`));
      assert.doesNotMatch(text, /\bat .*\.ts:\d+/, "no stack trace");
    } finally {
      Deno.removeSync(dataDir, { recursive: true });
    }
  });
}
