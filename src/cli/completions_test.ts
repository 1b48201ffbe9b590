/** The shells themselves complete what the scripts say; one that is not installed is left out, in CI none is. */

import { strict as assert } from "node:assert";
import { COMMANDS } from "./commands.ts";
import { runGregor } from "./testing.ts";

async function scriptFor(shell: string): Promise<string> {
  const { code, out, remarks } = await runGregor(["completions", shell]);
  assert.equal(code, 0, remarks);
  return out;
}

/** What a shell prints for `code` behind the script; null: there is no such shell here. */
async function ask(shell: string, script: string, code: string): Promise<string | null> {
  const path = await Deno.makeTempFile({ prefix: "gregor-completions-" });
  try {
    await Deno.writeTextFile(path, script);
    // Nobody's own configuration is read.
    const quiet = { bash: ["--norc"], zsh: ["-f"], fish: ["--no-config"] }[shell]!;
    const { stdout, stderr } = await new Deno.Command(shell, {
      args: [...quiet, "-c", code.replaceAll("SCRIPT", path)],
      stdin: "null",
    }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    return new TextDecoder().decode(stdout);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    assert(Deno.env.get("CI") === undefined, `${shell} is not installed`);
    return null;
  } finally {
    await Deno.remove(path);
  }
}

/** Completes the last of `words` in bash's way. */
const bashCompletes = (...words: string[]): string =>
  `source SCRIPT; COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); ` +
  `COMP_CWORD=${words.length - 1}; _gregor; echo "\${COMPREPLY[*]}"`;

Deno.test("bash completes commands, their second words, and flags", async () => {
  const script = await scriptFor("bash");
  const all = await ask("bash", script, bashCompletes("gregor", ""));
  const firsts = new Set(COMMANDS.map(({ name }) => name.split(" ")[0]!));
  for (const first of firsts) assert(all!.trim().split(" ").includes(first), first);
  assert.equal(await ask("bash", script, bashCompletes("gregor", "topic", "cr")), "create\n");
  const flags = await ask("bash", script, bashCompletes("gregor", "topic", "create", "--rep"));
  assert.equal(flags, "--replication-factor\n");
  const later = bashCompletes("gregor", "consume", "--count", "3", "--off");
  assert.equal(await ask("bash", script, later), "--offset\n");
});

Deno.test("zsh takes the script behind compinit", async () => {
  const code = "autoload -U compinit && compinit -D && source SCRIPT && print $_comps[gregor]";
  const said = await ask("zsh", await scriptFor("zsh"), code);
  if (said !== null) assert.match(said, /_gregor/);
});

Deno.test("fish completes commands, their second words, and flags", async () => {
  const script = await scriptFor("fish");
  const completes = (line: string) => ask("fish", script, `source SCRIPT; complete -C"${line}"`);
  const commands = await completes("gregor top");
  if (commands === null) return;
  assert.match(commands, /^topic\t/);
  assert.equal(await completes("gregor topic cr"), "create\tCreate topics\n");
  assert.match((await completes("gregor topic create --rep"))!, /^--replication-factor\t/);
});

Deno.test("a shell that is not known is refused by name", async () => {
  const { code, remarks } = await runGregor(["completions", "tcsh"]);
  assert.equal(code, 64);
  assert.match(remarks, /expected bash, zsh or fish, got "tcsh"/);
});
