import { strict as assert } from "node:assert";
import { type Check, checkHost, type HostFacts, Verdict } from "./host_checks.ts";

const GIB = 2 ** 30;

const SOUND: HostFacts = {
  kernel: "Linux 6.18.0",
  uring: null,
  cores: 2,
  processors: 2,
  memoryBytes: 4 * GIB,
  decoderBytes: GIB / 2,
  memory: { ramBytes: 8 * GIB, availableBytes: 7 * GIB, cgroupBytes: Infinity, cgroupFile: "" },
  locks: true,
  lock: null,
  fileLimit: 1_048_576,
  filesNeeded: 200,
  directory: "/var/lib/gregor",
  fileSystem: "xfs",
  direct: null,
  freeBytes: 100 * GIB,
  flush: { count: 200, medianMs: 0.1, worstMs: 3 },
  clockSource: "tsc",
  governor: "performance",
  swap: false,
  hugePages: 1,
  somaxconn: 4_096,
};

function found(facts: Partial<HostFacts>): readonly Check[] {
  return checkHost({ ...SOUND, ...facts }).filter(({ verdict }) => verdict !== Verdict.GOOD);
}

Deno.test("nothing is said against a sound host, and every check is named once", () => {
  assert.deepEqual(found({}), []);
  const names = checkHost(SOUND).map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.equal(names.length, 14);
});

Deno.test("what a start refuses is bad, with the words and the remedy of the start", () => {
  const problem = { message: "No.", hint: "Do this." };
  for (const facts of [{ uring: problem }, { lock: problem }, { direct: problem }]) {
    assert.deepEqual(found(facts).map(({ verdict, found, remedy }) => [verdict, found, remedy]), [
      [Verdict.BAD, "No.", "Do this."],
    ]);
  }
  assert.match(found({ memoryBytes: 9 * GIB })[0]!.found, /this host has 8192MiB/);
  assert.match(found({ fileLimit: 100 })[0]!.found, /a broker needs 200/);
  assert.equal(found({ fileLimit: 100 })[0]!.verdict, Verdict.BAD);
});

Deno.test("what slows a broker down is a warning with a remedy", () => {
  const slow: readonly Partial<HostFacts>[] = [
    { fileLimit: 1_024 },
    { cores: 3 },
    { fileSystem: "tmpfs" },
    { freeBytes: GIB },
    { flush: { count: 50, medianMs: 25, worstMs: 90 } },
    { hugePages: 0 },
    { swap: true },
    { clockSource: "hpet" },
    { governor: "powersave" },
    { somaxconn: 128 },
  ];
  for (const facts of slow) {
    const [check, ...others] = found(facts);
    assert.deepEqual(others, [], JSON.stringify(facts));
    assert.equal(check?.verdict, Verdict.WARN, JSON.stringify(facts));
    assert((check?.remedy ?? "") !== "");
  }
});

Deno.test("what could not be found out is left out", () => {
  const unknown = {
    fileSystem: null,
    freeBytes: null,
    flush: null,
    clockSource: null,
    governor: null,
    swap: null,
    somaxconn: null,
  };
  assert.deepEqual(found(unknown), []);
  assert.equal(checkHost({ ...SOUND, ...unknown }).length, 7);
});
