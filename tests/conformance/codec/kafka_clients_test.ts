/**
 * The generated codec against Kafka's own classes (kafka-clients, from Maven).
 *
 * Random values of every message in every version are encoded here, decoded and encoded again
 * there, and must come back as the same bytes. Skipped, aloud, where Java or Maven are missing or
 * the library cannot be had; `vectors_test.ts` holds what an earlier run confirmed.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import fc from "../../harness/fast_check.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { type OlderVersions, parseJson } from "../../../scripts/wire/schema.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import { arbitraryMessage } from "./arbitrary_message.ts";

const HERE = new URL("./kafka_clients/", import.meta.url).pathname;
const SIZES = { elementsMax: 3, textMax: 8 };
const VALUES_PER_VERSION = 5;
/** The present release, and the last one with the versions that Kafka 4 dropped. */
const RELEASES = [
  { kafka: "4.3.0", older: false },
  { kafka: "3.9.1", older: true },
];
/** Messages whose schemas are ours. */
const OWN_MESSAGES = new Set(
  [...Deno.readDirSync(new URL("../../../src/wire/schemas", import.meta.url))]
    .map(({ name }) => name.replace(/\.json$/, "")),
);
const OLDER_VERSIONS = new URL("../../../src/wire/older_versions.json", import.meta.url);

function run(command: string, args: string[]): string | null {
  try {
    const output = new Deno.Command(command, { args, cwd: HERE, stderr: "null" }).outputSync();
    return output.success ? new TextDecoder().decode(output.stdout) : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The class path of a release of kafka-clients, or null. */
function classPath(directory: string, kafka: string): string | null {
  const file = `${directory}/class_path`;
  const to = [`-Dkafka.version=${kafka}`, `-Dmdep.outputFile=${file}`];
  const args = ["-q", "-B", "dependency:build-classpath", ...to];
  return run("mvn", ["-o", ...args]) === null && run("mvn", args) === null
    ? null
    : Deno.readTextFileSync(file);
}

/** Lines of vectors, of all messages, or of those that have older versions than Kafka 4 knows. */
function randomVectors(older: boolean): string[] {
  const versions = parseJson(Deno.readTextFileSync(OLDER_VERSIONS)) as OlderVersions[];
  const named = new Set(versions.map(({ name }) => name));
  const lines: string[] = [];
  for (const entry of CATALOG) {
    if (older && !named.has(entry.name)) continue;
    for (let version = entry.minVersion; version <= entry.maxVersion; version++) {
      const messages = fc.sample(arbitraryMessage(entry, version, SIZES), VALUES_PER_VERSION);
      for (const message of messages) {
        const writer = new Writer();
        entry.encode(writer, version, message);
        lines.push(`${entry.name} ${version} ${writer.borrowBytes().toHex()}`);
      }
    }
  }
  return lines;
}

for (const { kafka, older } of RELEASES) {
  Deno.test(`the classes of Kafka ${kafka} read and write the same bytes`, () => {
    const directory = Deno.makeTempDirSync();
    try {
      const jars = classPath(directory, kafka);
      if (jars === null) {
        console.log("skipped: no Maven, or kafka-clients cannot be had");
        return;
      }
      const vectors = `${directory}/vectors.txt`;
      const lines = randomVectors(older);
      Deno.writeTextFileSync(vectors, lines.join("\n") + "\n");
      const printed = run("java", ["-cp", jars, `${HERE}CheckVectors.java`, vectors]);
      assert.ok(printed !== null, "CheckVectors did not run");
      const summary = /checked (\d+) skipped (\d+) different (\d+)\n$/.exec(printed);
      assert.ok(summary !== null, printed);
      assert.equal(summary[3], "0", printed);
      // It has none of most of our own messages, and does not know some versions of others.
      const known = lines.filter((line) => !OWN_MESSAGES.has(line.split(" ")[0]!));
      assert.ok(Number(summary[1]) > known.length * 0.9, `${summary[0]}, of ${known.length}`);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}
