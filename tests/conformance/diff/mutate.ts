/**
 * Variations of a request: every field that its version has, one at a time, and lists that are empty,
 * absent, or name the same thing twice.
 *
 * @module
 */

import type { CatalogEntry, CatalogField } from "../../../src/wire/catalog_entry.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import type { Json, JsonObject } from "./case.ts";
import { isIn } from "./message_builder.ts";
import { valuesOf } from "./values.ts";

const ENTRIES = new Map(CATALOG.map((entry) => [entry.name, entry]));

/** A request with one field changed, and what was changed. */
export interface Variation {
  readonly name: string;
  readonly request: JsonObject;
}

/** Every variation of `request`, each one change away from it. */
export function* variations(
  api: string,
  version: number,
  request: JsonObject,
): Generator<Variation> {
  const entry = ENTRIES.get(`${api}Request`)!;
  yield* inStruct(entry, entry.name, version, request, "");
}

function* inStruct(
  entry: CatalogEntry,
  name: string,
  version: number,
  json: JsonObject,
  path: string,
): Generator<Variation> {
  for (const field of entry.structs[name]!.fields) {
    if (!isIn(version, field.versions)) continue;
    const at = path === "" ? field.name : `${path}.${field.name}`;
    for (const { name: what, value } of inField(entry, name, field, version, json, at)) {
      yield { name: what, request: { ...json, [field.name]: value } };
    }
  }
}

interface Changed {
  readonly name: string;
  readonly value: Json;
}

function* inField(
  entry: CatalogEntry,
  struct: string,
  field: CatalogField,
  version: number,
  json: JsonObject,
  path: string,
): Generator<Changed> {
  const current = json[field.name];
  const inner = field.type.replace(/^\[\]/, "");
  const isStruct = entry.structs[inner] !== undefined;
  if (field.type.startsWith("[]")) {
    yield* inArray(entry, struct, field, version, current, path);
  } else if (isStruct) {
    const nullable = field.nullable !== undefined && isIn(version, field.nullable);
    if (nullable) yield { name: `${path}=null`, value: null };
    const base = (current ?? {}) as JsonObject;
    for (const one of inStruct(entry, inner, version, base, path)) {
      yield { name: one.name, value: one.request };
    }
  } else {
    for (const value of valuesOf(struct, field, version)) {
      if (JSON.stringify(value) !== JSON.stringify(current)) {
        yield { name: `${path}=${JSON.stringify(value)}`, value };
      }
    }
  }
}

function* inArray(
  entry: CatalogEntry,
  struct: string,
  field: CatalogField,
  version: number,
  current: Json | undefined,
  path: string,
): Generator<Changed> {
  const inner = field.type.slice(2);
  const elements = Array.isArray(current) ? current as readonly Json[] : [];
  const nullable = field.nullable !== undefined && isIn(version, field.nullable);
  if (nullable && current !== null) yield { name: `${path}=null`, value: null };
  if (elements.length > 0) {
    yield { name: `${path}=[]`, value: [] };
    yield { name: `${path} twice`, value: [...elements, elements[0]!] };
  }
  if (entry.structs[inner] === undefined) {
    for (const value of valuesOf(struct, field, version)) {
      yield { name: `${path}=[${JSON.stringify(value)}]`, value: [value] };
      yield { name: `${path}+${JSON.stringify(value)}`, value: [...elements, value] };
    }
    return;
  }
  if (elements.length === 0) return;
  const [first, ...rest] = elements as readonly JsonObject[];
  for (const one of inStruct(entry, inner, version, first!, `${path}[0]`)) {
    yield { name: one.name, value: [one.request, ...rest] };
    yield { name: `${path} and ${one.name}`, value: [...elements, one.request] };
  }
}
