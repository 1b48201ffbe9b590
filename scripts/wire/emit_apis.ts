/**
 * The table of all APIs, and the catalog of all messages for tests.
 *
 * @module
 */

import { BANNER, snakeCase } from "./emit_message.ts";
import type { Field, FieldType, Message, Struct } from "./schema.ts";
import { isEmpty, NO_VERSIONS, OPEN, overlaps, type Versions } from "./versions.ts";

/** A request and its response. */
interface Pair {
  readonly name: string;
  readonly request: Message;
  readonly response: Message;
}

/** `src/wire/generated/apis.ts`. */
export function emitApis(messages: readonly Message[]): string {
  const pairs = pairUp(messages);
  const imports = pairs.flatMap(({ request, response }) => [
    importOf(request, (name) => `decode${name}, encode${name}, type ${name}`),
    importOf(response, (name) => `decode${name}, encode${name}, type ${name}`),
  ]);
  const constants = pairs.map(emitConstant);
  const table = pairs.map(({ name }) => `  ${constantName(name)},`);
  return [
    BANNER,
    `import { type Api, NEVER_FLEXIBLE } from "../api.ts";`,
    ...imports,
    "",
    `export type { Api } from "../api.ts";`,
    "",
    ...constants,
    `/** Every API that has a schema, by ascending key. */`,
    `export const APIS: readonly Api<unknown, unknown>[] = [`,
    ...table,
    `];`,
    "",
    `const BY_KEY = new Map(APIS.map((api) => [api.key, api]));`,
    "",
    `/** The API of a key, whatever its messages are. */`,
    `export function apiByKey(key: number): Api<unknown, unknown> | undefined {`,
    `  return BY_KEY.get(key);`,
    `}`,
    "",
  ].join("\n");
}

/** `src/wire/generated/catalog.ts`: what a property test must know to invent any message. */
export function emitCatalog(messages: readonly Message[]): string {
  const imports = messages.map((message) =>
    `import * as ${moduleName(message)} from "./${snakeCase(message.name)}.ts";`
  );
  const entries = messages.map((message) => {
    const module = moduleName(message);
    return [
      `  {`,
      `    name: "${message.name}", minVersion: ${message.versions.low}, ` +
      `maxVersion: ${message.versions.high}, flexibleSince: ${flexibleSince(message)},`,
      `    decode: ${module}.decode${message.name}, encode: ${module}.encode${message.name},`,
      `    structs: {`,
      ...occurring(message).map((struct) =>
        `      ${struct.name}: { create: ${module}.new${struct.name}, ` +
        `fields: [${describeStruct(struct)}] },`
      ),
      `    },`,
      `  },`,
    ].join("\n");
  });
  return [
    BANNER,
    `import { NEVER_FLEXIBLE } from "../api.ts";`,
    `import type { CatalogEntry } from "../catalog_entry.ts";`,
    ...imports,
    "",
    `/** Every message with its fields; for tests and tools, nothing on the way of a request needs it. */`,
    `export const CATALOG: readonly CatalogEntry[] = [`,
    ...entries,
    `];`,
    "",
  ].join("\n");
}

/** Structs that exist in some version. */
function occurring(message: Message): readonly Struct[] {
  return message.structs.filter((struct) => !isEmpty(struct.versions));
}

function moduleName(message: Message): string {
  return message.name[0]!.toLowerCase() + message.name.slice(1);
}

function describeStruct(struct: Struct): string {
  const fields = struct.fields.map((field) => `\n        ${describeField(field)}`);
  return fields.length === 0 ? "" : `${fields.join(",")},\n      `;
}

function describeField(field: Field): string {
  const parts = [
    `name: "${field.name}"`,
    `type: "${typeText(field.type)}"`,
    `versions: ${rangeText(field.versions)}`,
  ];
  if (!isEmpty(field.nullable)) parts.push(`nullable: ${rangeText(field.nullable)}`);
  if (field.tag >= 0) parts.push(`tag: ${field.tag}`);
  if (field.ignorable) parts.push(`ignorable: true`);
  return `{ ${parts.join(", ")} }`;
}

function typeText(type: FieldType): string {
  return type.kind === "array" ? `[]${typeText(type.element)}` : type.name;
}

function rangeText(versions: Versions): string {
  const range = isEmpty(versions) ? NO_VERSIONS : versions;
  return `[${range.low}, ${range.high}]`;
}

function pairUp(messages: readonly Message[]): Pair[] {
  const responses = new Map(
    messages.filter((message) => message.type === "response").map((one) => [one.apiKey, one]),
  );
  return messages
    .filter((message) => message.type === "request")
    .sort((a, b) => a.apiKey - b.apiKey)
    .map((request) => {
      const response = responses.get(request.apiKey);
      if (response === undefined) throw new Error(`${request.name} has no response`);
      if (flexibleSince(request) !== flexibleSince(response)) {
        throw new Error(`${request.name} and its response differ in flexible versions`);
      }
      if (
        request.versions.low !== response.versions.low ||
        request.versions.high !== response.versions.high
      ) throw new Error(`${request.name} and its response differ in versions`);
      return { name: request.name.replace(/Request$/, ""), request, response };
    });
}

function emitConstant({ name, request, response }: Pair): string {
  const listeners = request.listeners.map((listener) => `"${listener}"`).join(", ");
  return [
    `export const ${constantName(name)}: Api<${request.name}, ${response.name}> = {`,
    `  key: ${request.apiKey},`,
    `  name: "${name}",`,
    `  minVersion: ${request.versions.low},`,
    `  maxVersion: ${request.versions.high},`,
    `  flexibleSince: ${flexibleSince(request)},`,
    `  latestVersionUnstable: ${request.latestVersionUnstable},`,
    `  listeners: [${listeners}],`,
    `  decodeRequest: decode${request.name},`,
    `  encodeRequest: encode${request.name},`,
    `  decodeResponse: decode${response.name},`,
    `  encodeResponse: encode${response.name},`,
    `};`,
    "",
  ].join("\n");
}

function flexibleSince(message: Message): string {
  if (!overlaps(message.flexible, { low: 0, high: OPEN })) return "NEVER_FLEXIBLE";
  return String(message.flexible.low);
}

function constantName(name: string): string {
  return snakeCase(name).toUpperCase();
}

function importOf(message: Message, names: (name: string) => string): string {
  const list = names(message.name).split(", ").sort((a, b) =>
    a.replace("type ", "") < b.replace("type ", "") ? -1 : 1
  ).join(", ");
  return `import { ${list} } from "./${snakeCase(message.name)}.ts";`;
}
