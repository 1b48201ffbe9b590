import { strict as assert } from "node:assert";
import { COMMANDS, loadCommand } from "./commands.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { type Flags, parseFlags } from "./flags.ts";
import { runGregor } from "./testing.ts";

Deno.test("gregor help names every command", async () => {
  for (const argv of [[], ["help"], ["--help"], ["-h"]]) {
    const { code, out } = await runGregor(argv);
    assert.equal(code, 0);
    for (const { name, summary } of COMMANDS) {
      assert.ok(out.includes(`  ${name} `) && out.includes(summary), `${name} in ${argv}`);
    }
  }
});

for (const entry of COMMANDS) {
  Deno.test(`gregor ${entry.name} --help shows every flag, default and example`, async () => {
    const command = await loadCommand(entry);
    assert.equal(command.name, entry.name);
    const { code, out } = await runGregor([...entry.name.split(" "), "--help"]);
    assert.equal(code, 0);
    assert.equal((await runGregor(["help", ...entry.name.split(" ")])).out, out);
    for (const [name, flag] of Object.entries(command.flags)) {
      assert.ok(out.includes(`--${name}${flag.value === "" ? "" : ` ${flag.value}`}`), name);
      if (flag.shownDefault !== null && !flag.required) {
        assert.ok(out.replace(/\s+/g, " ").includes(`(default ${flag.shownDefault})`), name);
      }
    }
    assert.ok(command.examples.length > 0, "a command without an example");
    for (const { line } of command.examples) assert.ok(out.includes(`gregor ${line}`));
    const wide = out.split("\n").filter((one) => one.length > 100 && !one.startsWith("    gregor"));
    assert.deepEqual(wide, []);
  });

  Deno.test(`the examples of gregor ${entry.name} are right`, async () => {
    const command = await loadCommand(entry);
    for (const { line } of command.examples) {
      const words = shellWords(line.replace(/ [|<>&].*$/, ""));
      const argv = words.slice(entry.name.split(" ").length);
      assert.equal(words.slice(0, entry.name.split(" ").length).join(" "), entry.name);
      const parsed = parseFlags<Flags>(command, argv, {});
      assert.deepEqual([...parsed.problems, ...(command.check?.(parsed) ?? [])], [], line);
    }
  });
}

Deno.test("gregor help exit-codes explains each code", async () => {
  const { code, out } = await runGregor(["help", "exit-codes"]);
  assert.equal(code, 0);
  for (const one of EXIT_CODES) assert.match(out, new RegExp(`^ +${one.code}  `, "m"));
  assert.deepEqual(
    [0, 64, 65, 69, 70, 71, 73, 74].filter((number) =>
      !EXIT_CODES.some((one) => one.code === number)
    ),
    [],
  );
});

Deno.test("colour is for terminals alone, and not under NO_COLOR", async () => {
  const escape = "\x1b[";
  assert.ok((await runGregor(["help"], { isInteractive: true })).out.includes(escape));
  assert.ok(!(await runGregor(["help"])).out.includes(escape));
  const asked = await runGregor(["help"], { isInteractive: true, env: { NO_COLOR: "1" } });
  assert.ok(!asked.out.includes(escape));
});

/** Cuts a line as a shell does, as far as examples need it. */
function shellWords(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!);
}
