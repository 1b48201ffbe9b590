import { strict as assert } from "node:assert";
import { runGregor } from "./testing.ts";
import { VERSION } from "./version.ts";

Deno.test("gregor --version says it in one line", async () => {
  for (const argv of [["--version"], ["-V"]]) {
    assert.deepEqual(await runGregor(argv), { code: 0, out: `gregor ${VERSION}\n`, remarks: "" });
  }
});

Deno.test("an unknown command is refused with the nearest one", async () => {
  const cases: [string[], string | null][] = [
    [["strat"], "start"],
    [["topics", "list"], "topic list"],
    [["topic", "creat", "x"], "topic create"],
    [["group", "lst"], "group list"],
    [["transmogrify"], null],
  ];
  for (const [argv, nearest] of cases) {
    const { code, out, remarks } = await runGregor(argv);
    assert.equal(code, 64);
    assert.equal(out, "");
    if (nearest === null) assert.ok(!remarks.includes("nearest"), remarks);
    else assert.ok(remarks.includes(`nearest is "${nearest}"`), remarks);
  }
});

Deno.test("half a command lists its other halves", async () => {
  const { code, remarks } = await runGregor(["topic"]);
  assert.equal(code, 64);
  for (const verb of ["create", "list", "describe", "alter", "delete", "trim"]) {
    assert.ok(remarks.includes(`gregor topic ${verb}`));
  }
  const asked = await runGregor(["topic", "--help"]);
  assert.equal(asked.code, 0);
  assert.ok(asked.out.includes("gregor topic trim"));
});

Deno.test("all problems of a command line come together, with exit code 64", async () => {
  const { code, out, remarks } = await runGregor(
    ["topic", "create", "--partitons", "3", "--replication-factor", "none"],
    { env: { GREGOR_TIMEOUT: "soon" } },
  );
  assert.equal(code, 64);
  assert.equal(out, "");
  assert.ok(remarks.includes("3 problems with the command line"), remarks);
  assert.match(remarks, /--partitons +is not a flag of this command; nearest is --partitions/);
  assert.match(remarks, /--replication-factor +expected a whole number/);
  assert.match(remarks, /GREGOR_TIMEOUT +expected a duration/);
  assert.ok(remarks.includes("See gregor topic create --help."));
});

Deno.test("a cluster that is not there is exit code 69 and says where and why", async () => {
  const { code, out, remarks } = await runGregor(["topic", "list", "--brokers", "127.0.0.1:1"]);
  assert.equal(code, 69);
  assert.equal(out, "");
  assert.ok(
    remarks.includes("cluster unreachable at 127.0.0.1:1 because connection refused"),
    remarks,
  );
  assert.ok(remarks.includes("--brokers"));
});
