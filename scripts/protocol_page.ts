/**
 * `docs/PROTOCOL.md`: every API of the Kafka protocol that a client may send, what of it is served and
 * what is left out, from the registry of handlers and the comments that open their files.
 *
 * @module
 */

import type { AnyHandler } from "../src/kafka/router.ts";
import { kafkaHandlers } from "../src/shard/handlers.ts";
import { type Api, OWN_KEY_MIN } from "../src/wire/api.ts";
import { FETCH_VERSION_MAX, FETCH_VERSION_MIN } from "../src/wire/fetch_reader.ts";
import { APIS, FETCH, PRODUCE } from "../src/wire/generated/apis.ts";
import { PRODUCE_VERSION_MAX, PRODUCE_VERSION_MIN } from "../src/wire/produce_reader.ts";

// deno-lint-ignore no-explicit-any -- APIs of every request type.
type AnyApi = Api<any, any>;

interface Served {
  readonly api: AnyApi;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** Where it runs, in words. */
  readonly where: string;
  /** The file whose opening comment lists its gaps. */
  readonly file: string;
}

const ROUTES = {
  local: "the connection's shard",
  shard: "one shard",
  split: "the owners' shards",
} as const;

/** A paragraph of a file's opening comment that lists what is missing. */
const GAPS = /^(?:Deliberate gaps|Gaps|Not here yet): (.*)$/s;

export async function protocolPage(banner: string): Promise<string> {
  const served = servedApis();
  const keys = new Set(served.map(({ api }) => api.key));
  const missing = APIS.filter((api) => api.listeners.includes("broker") && !keys.has(api.key));
  const lines = [
    banner,
    "",
    "# Protocol",
    "",
    "What a client learns from ApiVersions, and what each API leaves out. *Kafka* is the range of the",
    "schemas that the codec was generated from; *here* is what is served. The rest of each API's",
    "behaviour is described at the top of its file.",
    "",
    "Produce is advertised from version 0 on, although versions 0 to 2 are refused",
    "([ADR 0013](adr/0013-produce-versions-advertised.md)).",
    "",
    "Keys from 20000 on are Gregor's own: what its command line asks, and Kafka has no API for. No other client is",
    "told of them.",
    "",
    "| Key | API | Kafka | Here | Runs on | Left out |",
    "| ---: | --- | --- | --- | --- | --- |",
  ];
  for (const { api, minVersion, maxVersion, where, file } of served) {
    const name = `[${api.name}](../${file})`;
    // A version that is not final is not advertised.
    const newest = api.latestVersionUnstable ? api.maxVersion - 1 : api.maxVersion;
    const kafka = api.key < OWN_KEY_MIN ? `${api.minVersion}–${newest}` : "";
    const gaps = await gapsOf(file);
    lines.push(
      `| ${api.key} | ${name} | ${kafka} | ${minVersion}–${maxVersion} | ${where} | ${gaps} |`,
    );
  }
  lines.push(
    "",
    "## Not served",
    "",
    "Not advertised; a client that sends one anyway has its connection closed.",
    "",
    "| Key | API |",
    "| ---: | --- |",
    ...missing.map((api) => `| ${api.key} | ${api.name} |`),
  );
  return lines.join("\n") + "\n";
}

function servedApis(): Served[] {
  const handlers: AnyHandler[] = kafkaHandlers(() => []);
  const served: Served[] = handlers.map(({ api, minVersion, maxVersion, route }) => ({
    api,
    minVersion,
    maxVersion,
    where: ROUTES[route.kind],
    file: `src/kafka/handlers/${snakeCase(api.name)}.ts`,
  }));
  served.push({
    api: PRODUCE,
    minVersion: PRODUCE_VERSION_MIN,
    maxVersion: PRODUCE_VERSION_MAX,
    where: ROUTES.split,
    file: "src/kafka/produce.ts",
  }, {
    api: FETCH,
    minVersion: FETCH_VERSION_MIN,
    maxVersion: FETCH_VERSION_MAX,
    where: ROUTES.split,
    file: "src/kafka/fetch.ts",
  });
  return served.sort((a, b) => a.api.key - b.api.key);
}

/** What the file's opening comment says is missing; empty when it says nothing, or none. */
async function gapsOf(file: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(`../${file}`, import.meta.url));
  const comment = text.slice(0, text.indexOf("*/"));
  const paragraphs = comment.split(/\n \*\n/).map((paragraph) =>
    paragraph.split("\n").map((line) => line.replace(/^ \* ?/, "").trim()).join(" ").trim()
  );
  const gaps = paragraphs.map((paragraph) => GAPS.exec(paragraph)?.[1]).find((found) => found);
  if (gaps === undefined || gaps === "none.") return "";
  return gaps.replace(/\{@linkcode (\w+)\}/g, "`$1`").replaceAll("|", "\\|");
}

function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
