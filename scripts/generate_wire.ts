/**
 * Writes `src/wire/generated/` from the Kafka message schemas and from our own in
 * `src/wire/schemas/`. Versions that Kafka's schemas have dropped come from `src/wire/older_versions.json`.
 *
 *     deno run -A scripts/generate_wire.ts [--schemas DIR] [--check]
 *
 * `--check` writes nothing and exits with 1 when the committed files are not what would be written;
 * where the schema directory is missing, it says so and exits with 0.
 *
 * @module
 */

import { emitApis, emitCatalog } from "./wire/emit_apis.ts";
import { emitMessage, snakeCase } from "./wire/emit_message.ts";
import { type Message, type OlderVersions, parseJson, parseMessage } from "./wire/schema.ts";

const ROOT = new URL("../", import.meta.url);
const OWN_SCHEMAS = new URL("src/wire/schemas/", ROOT);
const OLDER_VERSIONS = new URL("src/wire/older_versions.json", ROOT);
const OUTPUT = new URL("src/wire/generated/", ROOT);

if (import.meta.main) Deno.exit(main(Deno.args));

function main(args: readonly string[]): number {
  const check = args.includes("--check");
  const at = args.indexOf("--schemas");
  const directory = at >= 0
    ? new URL(`file://${Deno.realPathSync(args[at + 1]!)}/`)
    : schemaDirectory();
  if (directory === null) {
    console.error("generate: the schema directory ../shared/kafka-protocol is missing");
    return check ? 0 : 66;
  }
  const older = parseJson(Deno.readTextFileSync(OLDER_VERSIONS)) as OlderVersions[];
  const files = generate([...readSchemas(directory, older), ...readSchemas(OWN_SCHEMAS)]);
  return check ? compare(files) : write(files);
}

/** The default directory: beside the repository, or beside the repository of this work tree. */
function schemaDirectory(): URL | null {
  for (const candidate of ["../shared/kafka-protocol/", "../../shared/kafka-protocol/"]) {
    const url = new URL(candidate, ROOT);
    try {
      if (Deno.statSync(url).isDirectory) return url;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}

function readSchemas(directory: URL, older: readonly OlderVersions[] = []): Message[] {
  const names = [...Deno.readDirSync(directory)]
    .map((entry) => entry.name)
    .filter((name) => name.endsWith(".json"))
    .sort();
  const messages: Message[] = [];
  for (const name of names) {
    const message = parseMessage(Deno.readTextFileSync(new URL(name, directory)), older);
    if (message !== null) messages.push(message);
  }
  return messages;
}

/** Texts of all generated files by name. */
function generate(messages: readonly Message[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const message of messages) {
    files.set(`${snakeCase(message.name)}.ts`, emitMessage(message));
  }
  files.set("apis.ts", emitApis(messages));
  files.set("catalog.ts", emitCatalog(messages));
  return files;
}

function committedNames(): string[] {
  return [...Deno.readDirSync(OUTPUT)].map((entry) => entry.name);
}

function write(files: ReadonlyMap<string, string>): number {
  Deno.mkdirSync(OUTPUT, { recursive: true });
  for (const name of committedNames()) {
    if (!files.has(name)) Deno.removeSync(new URL(name, OUTPUT));
  }
  for (const [name, text] of files) Deno.writeTextFileSync(new URL(name, OUTPUT), text);
  console.log(`generate: ${files.size} files written`);
  return 0;
}

function compare(files: ReadonlyMap<string, string>): number {
  const stale: string[] = [];
  const committed = new Set(committedNames());
  for (const [name, text] of files) {
    if (!committed.has(name) || Deno.readTextFileSync(new URL(name, OUTPUT)) !== text) {
      stale.push(name);
    }
  }
  for (const name of committed) if (!files.has(name)) stale.push(name);
  if (stale.length === 0) return 0;
  console.error(`generate: not up to date: ${stale.join(", ")} (run: deno task generate)`);
  return 1;
}
