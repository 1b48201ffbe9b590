import { strict as assert } from "node:assert";
import { readConfig } from "./config_file.ts";
import { parseFlags } from "./flags.ts";
import { START_FLAGS } from "./start_options.ts";
import { runGregor } from "./testing.ts";

const read = (text: string) => readConfig(START_FLAGS, "a.conf", text);

function problemsOf(text: string): string[] {
  return read(text).problems.map(({ subject, message }) => `${subject} ${message}`);
}

Deno.test("a file gives flags and settings; the command line and the environment win", () => {
  const { origins, problems } = read(
    "# a broker\n\ndata-dir = /srv/data\nmemory=1GiB\nlog.retention.ms = 7d\nnum.partitions=6\n",
  );
  assert.deepEqual(problems, []);
  const argv = ["--memory", "2GiB", "--set", "num.partitions=3"];
  const table = { flags: START_FLAGS, positionals: [] };
  const { values, origins: from } = parseFlags(table, argv, { GREGOR_CORES: "1" }, origins);
  assert.deepEqual([values.dataDir, values.memory, values.cores], ["/srv/data", 2 ** 31, 1]);
  assert.deepEqual([...values.set], [["log.retention.ms", "7d"], ["num.partitions", "3"]]);
  assert.equal(from.get("data-dir")![0]!.where, "a.conf:3");
  assert.equal(from.get("memory")![0]!.where, "--memory");
  assert.equal(from.get("cores")![0]!.where, "GREGOR_CORES");
});

Deno.test("every line of a file that is wrong is named, with what was probably meant", () => {
  assert.deepEqual(
    problemsOf("data-dri = x\nlog.retention.mss = 1\nmemory\nmode = dev\nmode = dev"),
    [
      "a.conf:1 data-dri is no flag of this command and no setting; nearest is data-dir",
      "a.conf:2 log.retention.mss is no flag of this command and no setting; nearest is log.retention.ms",
      'a.conf:3 expected NAME = VALUE, got "memory"',
      "a.conf:5 mode is in line 4 already",
    ],
  );
  assert.match(problemsOf("accept-loss = true")[0]!, /is for the command line/);
  assert.match(problemsOf("set = a=b")[0]!, /under their own names/);
});

Deno.test("start prints what a file, the environment and the command line come to", async () => {
  const file = await Deno.makeTempFile({ prefix: "gregor-", suffix: ".conf" });
  try {
    await Deno.writeTextFile(file, "mode = dev\nrack = r1\nlog.retention.ms = 1h\n");
    const argv = ["start", "--print-config", "--config-file", file, "--set", "num.partitions=4"];
    const { code, out, remarks } = await runGregor(argv, { env: { GREGOR_CORES: "1" } });
    assert.equal(code, 0, remarks);
    const rows = new Map(
      out.split("\n").map((line) => {
        const [name, value, ...from] = line.split(/ {2,}/);
        return [name!, [value, from.join(" ")]];
      }),
    );
    assert.deepEqual(rows.get("rack"), ["r1", `${file}:2`]);
    assert.deepEqual(rows.get("cores"), ["1", "GREGOR_CORES"]);
    assert.deepEqual(rows.get("memory"), ["256MiB", "default"]);
    assert.deepEqual(rows.get("log.retention.ms"), ["3600000", `${file}:3`]);
    assert.deepEqual(rows.get("num.partitions"), ["4", "--set"]);
    assert.deepEqual(rows.get("auto.create.topics.enable"), ["true", "--mode dev"]);
    await Deno.writeTextFile(file, "memory = lots\n");
    const wrong = await runGregor(argv);
    assert.equal(wrong.code, 64);
    assert.match(wrong.remarks, new RegExp(`${file}:1 +expected a size`));
    const none = await runGregor(["start", "--config-file", "/nowhere.conf"]);
    assert.match(none.remarks, /--config-file +cannot be read: .*[Nn]o such file/);
  } finally {
    await Deno.remove(file);
  }
});
