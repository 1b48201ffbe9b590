import { strict as assert } from "node:assert";
import { checkFile, withoutComments } from "./check_layers.ts";

const HEADER = "/** Why. */\n";

function rules(file: string, text: string): string[] {
  return checkFile(file, text).map(({ rule, line }) => `${rule}:${line}`);
}

Deno.test("checkFile() lets imports point downwards only", () => {
  const up = `${HEADER}import { Reactor } from "../shard/reactor.ts";\n`;
  assert.deepEqual(rules("src/raft/log.ts", up), ["layer:2"]);
  const down = `${HEADER}import { assert } from "../base/assert.ts";\n`;
  assert.deepEqual(rules("src/raft/log.ts", down), []);
  const above = `${HEADER}import type { Timers } from "../io/timers.ts";\n`;
  assert.deepEqual(rules("src/raft/log.ts", above), ["layer:2"], "raft stands on base and bytes");
  assert.deepEqual(rules("src/replication/log.ts", above), []);
  const beside = `${HEADER}export * from "../group/offsets.ts";\n`;
  assert.deepEqual(rules("src/cluster/image.ts", beside), ["layer:2"]);
  const dynamic = `${HEADER}const later = import("../cli/flags.ts");\n`;
  assert.deepEqual(rules("src/shard/worker.ts", dynamic), ["layer:2"]);
  const outside = `${HEADER}import { x } from "../../tests/harness/broker.ts";\n`;
  assert.deepEqual(rules("src/cli/start.ts", outside), ["layer:2"]);
  assert.deepEqual(rules("src/newcomer/a.ts", HEADER), ["layer:1"]);
});

Deno.test("checkFile() lets what is pure see only the seam's interfaces", () => {
  const seam = `${HEADER}import type { Disk } from "../io/disk.ts";\n`;
  const ring = `${HEADER}import { Ring } from "../io/uring.ts";\n`;
  assert.deepEqual(rules("src/storage/log.ts", seam), []);
  assert.deepEqual(rules("src/storage/log.ts", ring), ["layer:2"]);
  assert.deepEqual(rules("src/shard/reactor.ts", ring), []);
});

Deno.test("checkFile() finds each impurity, but not in comments, strings or tests", () => {
  const impure = [
    "async function f() {}",
    "const now = Date.now();",
    "performance.now();",
    "Math.random();",
    "let p: Promise<void>;",
    "setTimeout(f, 1);",
    "Deno.exit(1);",
    'import { x } from "node:fs";',
  ];
  for (const line of impure) {
    assert.deepEqual(rules("src/raft/a.ts", `${HEADER}${line}\n`), ["purity:2"], line);
    assert.deepEqual(rules("src/raft/a_test.ts", `${line}\n`), [], line);
    assert.deepEqual(rules("src/shard/a.ts", `${HEADER}${line}\n`), [], line);
  }
  const innocent = '/** Date and await. */\nconst a = "Deno"; // Promise\nconst updateDate1 = 1;\n';
  assert.deepEqual(rules("src/raft/a.ts", innocent), []);
  assert.deepEqual(rules("src/bytes/compression.ts", `${HEADER}import "node:zlib";\n`), []);
});

Deno.test("checkFile() asks for a header, a bounded length and reasons", () => {
  assert.deepEqual(rules("src/raft/a.ts", "export const a = 1;\n"), ["header:1"]);
  assert.deepEqual(rules("src/raft/a.ts", HEADER + "\n".repeat(599)), []);
  assert.deepEqual(rules("src/raft/a.ts", HEADER + "\n".repeat(600)), ["length:601"]);
  assert.deepEqual(rules("src/wire/generated/a.ts", HEADER + "\n".repeat(600)), []);
  assert.deepEqual(rules("tests/a.ts", "// TODO later\n"), ["todo:1"]);
  assert.deepEqual(rules("tests/a.ts", "// TODO(needs KIP-932): later\n"), []);
});

Deno.test("checkFile() finds machine paths and registries in any text file", () => {
  assert.deepEqual(rules("docs/a.md", "see /home/someone/x\n"), ["place:1"]);
  const host = ["registry", "npmjs", "org"].join(".");
  assert.deepEqual(rules("package-lock.json", `"resolved": "https://${host}/a"`), ["place:1"]);
  assert.deepEqual(rules("docs/a.md", "tests/home.ts src/homestead\n"), []);
});

Deno.test("withoutComments() keeps line numbers and quoted comment marks", () => {
  assert.equal(withoutComments('a /* b\nc */ d\n"// e" // f'), 'a     \n     d\n"// e"     ');
});
