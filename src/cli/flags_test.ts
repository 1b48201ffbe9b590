import { strict as assert } from "node:assert";
import {
  address,
  addresses,
  choice,
  duration,
  formatAddress,
  integer,
  list,
  pairs,
  parseFlags,
  readAddress,
  size,
  text,
  toggle,
} from "./flags.ts";

const TABLE = {
  flags: {
    "data-dir": text({ value: "DIR", default: "data", help: "Directory" }),
    "partitions": integer({ value: "N", min: 1, max: 10, help: "Partitions" }),
    "memory": size({ value: "SIZE", default: 2 ** 20, help: "Memory" }),
    "wait": duration({ value: "TIME", default: 1000, help: "Wait" }),
    "listen": address({ value: "HOST:PORT", default: "127.0.0.1:9092", help: "Listen" }),
    "seeds": addresses({ value: "LIST", help: "Seeds" }),
    "set": pairs({ value: "KEY=VALUE", help: "Settings" }),
    "names": list({ value: "NAME", help: "Names" }),
    "mode": choice({ value: "MODE", choices: ["fast", "slow"], default: "fast", help: "Mode" }),
    "force": toggle({ help: "Force" }),
  },
  positionals: [{ name: "TOPIC", help: "Name of the topic", required: true }],
} as const;

function problemsOf(argv: string[], env: Record<string, string> = {}): string[] {
  return parseFlags(TABLE, argv, env).problems.map(({ subject, message }) =>
    `${subject} ${message}`
  );
}

Deno.test("parseFlags() reads every kind, with a space or an equals sign", () => {
  const { values, args, problems, given } = parseFlags(TABLE, [
    "orders",
    "--data-dir=/srv",
    "--partitions",
    "3",
    "--memory=4GiB",
    "--wait",
    "2m",
    "--listen",
    "[::1]:19092",
    "--seeds",
    "a:1,b:2",
    "--seeds=c:3",
    "--set",
    "cleanup.policy=compact,delete",
    "--set=a=b=c",
    "--names",
    "x,y",
    "--mode",
    "slow",
    "--force",
  ], {});
  assert.deepEqual(problems, []);
  assert.deepEqual(args, ["orders"]);
  assert.equal(values.dataDir, "/srv");
  assert.equal(values.partitions, 3);
  assert.equal(values.memory, 4 * 2 ** 30);
  assert.equal(values.wait, 120_000);
  assert.deepEqual(values.listen, { host: "::1", port: 19092 });
  assert.deepEqual(values.seeds.map(formatAddress), ["a:1", "b:2", "c:3"]);
  assert.deepEqual([...values.set], [["cleanup.policy", "compact,delete"], ["a", "b=c"]]);
  assert.deepEqual(values.names, ["x", "y"]);
  assert.equal(values.mode, "slow");
  assert.equal(values.force, true);
  assert.equal(given.size, 10);
});

Deno.test("parseFlags() takes the flag over the environment over the default", () => {
  const env = { GREGOR_DATA_DIR: "/env", GREGOR_PARTITIONS: "4", GREGOR_FORCE: "true" };
  const { values } = parseFlags(TABLE, ["t", "--data-dir", "/flag", "--no-force"], env);
  assert.equal(values.dataDir, "/flag");
  assert.equal(values.partitions, 4);
  assert.equal(values.force, false);
  assert.equal(values.mode, "fast");
});

Deno.test("parseFlags() cuts a repeatable flag in the environment where a new KEY= begins", () => {
  const env = {
    GREGOR_SET: "cleanup.policy=compact,delete,retention.ms=7",
    GREGOR_SEEDS: "a:1,b:2",
  };
  const { values } = parseFlags(TABLE, ["t"], env);
  assert.deepEqual([...values.set], [["cleanup.policy", "compact,delete"], ["retention.ms", "7"]]);
  assert.equal(values.seeds.length, 2);
});

Deno.test("parseFlags() lists every problem at once, each with the nearest right thing", () => {
  const problems = problemsOf([
    "--partitons",
    "3",
    "--memory",
    "much",
    "--mode=slwo",
    "--listen",
    "9092",
    "--zzzzzzzzzz",
    "--set",
    "novalue",
    "--wait",
  ]);
  assert.deepEqual(problems, [
    "--partitons is not a flag of this command; nearest is --partitions",
    "--zzzzzzzzzz is not a flag of this command",
    "--wait needs a value: --wait TIME",
    '--memory expected a size such as 512MiB or 4GiB, got "much"',
    '--listen expected HOST:PORT such as 127.0.0.1:9092, got "9092"',
    '--set expected KEY=VALUE, got "novalue"',
    '--mode expected one of fast, slow (nearest is slow), got "slwo"',
  ]);
});

Deno.test("parseFlags() names the environment variable that is wrong", () => {
  assert.deepEqual(problemsOf(["t"], { GREGOR_PARTITIONS: "11" }), [
    'GREGOR_PARTITIONS expected a whole number from 1 to 10, got "11"',
  ]);
});

Deno.test("parseFlags() minds its arguments", () => {
  assert.deepEqual(problemsOf([]), ["TOPIC is missing: Name of the topic"]);
  assert.deepEqual(problemsOf(["a", "b"]), ['"b" is one argument too many']);
  assert.deepEqual(parseFlags(TABLE, ["--", "--force"], {}).args, ["--force"]);
  assert.deepEqual(problemsOf(["t", "--partitions", "-5"]), [
    '--partitions expected a whole number from 1 to 10, got "-5"',
  ]);
  assert.deepEqual(problemsOf(["t", "-p", "3"]), ["-p is not a flag of this command"]);
});

Deno.test("readAddress() takes names, IPv4 and bracketed IPv6, and no port beyond 65535", () => {
  for (const good of ["localhost:0", "10.0.0.1:65535", "[::1]:9092"]) {
    const read = readAddress(good);
    assert.ok("port" in read, good);
    assert.equal(formatAddress(read), good);
  }
  for (const bad of ["", "localhost", ":9092", "a:65536", "::1:9092", "a b:1", "http://a:1"]) {
    assert.ok(!("port" in readAddress(bad)), bad);
  }
});
