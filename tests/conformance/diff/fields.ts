/**
 * What cases never ask: fields of requests that have the same value in all of them, and versions. A difference
 * would not be found there.
 *
 * @module
 */

import type { CatalogEntry } from "../../../src/wire/catalog_entry.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import { API_NAMES, versionsOf } from "./apis.ts";
import type { Case, Json, JsonObject } from "./case.ts";
import { isIn } from "./message_builder.ts";
import { TEMPLATES } from "./templates.ts";

const ENTRIES = new Map(CATALOG.map((entry) => [entry.name, entry]));

/** `APIRequest.Struct.field` of every field that has the same value in all cases. */
export function fieldsWithoutChange(cases: Iterable<Case>): string[] {
  const values = new Map<string, Set<string>>();
  for (const { steps } of cases) {
    for (const { api, version, request } of steps) {
      noteStruct(values, entryOf(api), entryOf(api).name, version, request);
    }
  }
  return API_NAMES.toSorted().filter((api) => !isPlain(api)).flatMap((api) => {
    const entry = entryOf(api);
    return fieldsOf(entry, versionsOf(api)).filter((field) => (values.get(field)?.size ?? 0) < 2);
  });
}

/** `API vN` of every version that both brokers serve and no case asks. */
export function versionsWithoutCase(cases: Iterable<Case>): string[] {
  const asked = new Set<string>();
  for (const { steps } of cases) {
    for (const { api, version } of steps) asked.add(`${api} v${version}`);
  }
  return API_NAMES.flatMap((api) => versionsOf(api).map((version) => `${api} v${version}`))
    .filter((one) => !asked.has(one));
}

/** Its fields are changed by seeds alone. */
function isPlain(api: string): boolean {
  const own = TEMPLATES.filter((template) => template.api === api);
  return own.length > 0 && own.every((template) => template.isPlain === true);
}

function entryOf(api: string): CatalogEntry {
  return ENTRIES.get(`${api}Request`)!;
}

/** Every field of a request that one of the versions has. */
function fieldsOf(entry: CatalogEntry, versions: readonly number[]): string[] {
  return Object.entries(entry.structs).flatMap(([struct, { fields }]) =>
    fields
      .filter((field) => versions.some((version) => isIn(version, field.versions)))
      .map(({ name }) => nameOf(entry, struct, name))
  );
}

function nameOf({ name }: CatalogEntry, struct: string, field: string): string {
  return struct === name ? `${name}.${field}` : `${name}.${struct}.${field}`;
}

function noteStruct(
  values: Map<string, Set<string>>,
  entry: CatalogEntry,
  struct: string,
  version: number,
  json: JsonObject,
): void {
  const { create, fields } = entry.structs[struct]!;
  const defaults = create() as Record<string, Json>;
  for (const { name, type, versions } of fields) {
    if (!isIn(version, versions)) continue;
    const value = json[name];
    const key = nameOf(entry, struct, name);
    let known = values.get(key);
    if (known === undefined) values.set(key, known = new Set());
    known.add(JSON.stringify(value === undefined ? defaults[name]! : value));
    const inner = type.replace(/^\[\]/, "");
    if (entry.structs[inner] === undefined) continue;
    for (const one of (Array.isArray(value) ? value : [value]) as readonly Json[]) {
      if (typeof one !== "object" || one === null) continue;
      noteStruct(values, entry, inner, version, one as JsonObject);
    }
  }
}
