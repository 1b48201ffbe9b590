/**
 * The model of a message schema, read from Kafka's JSON (whole-line comments allowed).
 *
 * Structs, inline or common, become a flat list per message, each with the versions in which it can
 * occur, so that the emitted code asks only what can differ there.
 *
 * @module
 */

import { hull, intersect, isEmpty, NO_VERSIONS, parseVersions, type Versions } from "./versions.ts";

export type Primitive =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "float64"
  | "string"
  | "uuid"
  | "bytes"
  | "records";

export type FieldType =
  | { readonly kind: "primitive"; readonly name: Primitive }
  | { readonly kind: "struct"; readonly name: string }
  | { readonly kind: "array"; readonly element: FieldType };

export interface Field {
  /** Lower camel case. */
  readonly name: string;
  readonly type: FieldType;
  readonly versions: Versions;
  readonly nullable: Versions;
  /** Tag number, or -1. */
  readonly tag: number;
  readonly ignorable: boolean;
  /** The default as TypeScript; null for a nullable field whose default is null. */
  readonly defaultCode: string;
  /** The field keeps the old length prefix in flexible versions (the client id). */
  readonly neverFlexible: boolean;
  readonly about: string;
}

export interface Struct {
  /** As in the schema, the message's name in front where it would clash. */
  readonly name: string;
  readonly fields: readonly Field[];
  /** Versions of the message in which the struct can occur. */
  versions: Versions;
}

export interface Message {
  readonly name: string;
  readonly type: string;
  readonly apiKey: number;
  readonly listeners: readonly string[];
  readonly latestVersionUnstable: boolean;
  readonly versions: Versions;
  readonly flexible: Versions;
  /** The message itself first. */
  readonly structs: readonly Struct[];
}

/** Versions of a message below the lowest of its schema. */
export interface OlderVersions {
  readonly name: string;
  readonly lowest: number;
  /** Fields of these versions that the schema has forgotten, with the place that they had. */
  readonly fields?: readonly (RawField & { readonly in: string; readonly after: string })[];
}

interface RawField {
  name: string;
  type: string;
  versions: string;
  nullableVersions?: string;
  taggedVersions?: string;
  flexibleVersions?: string;
  tag?: number;
  ignorable?: boolean;
  default?: string | number | boolean | null;
  about?: string;
  fields?: RawField[];
}

interface RawMessage {
  name: string;
  type: string;
  apiKey?: number;
  listeners?: string[];
  latestVersionUnstable?: boolean;
  validVersions: string;
  flexibleVersions?: string;
  fields?: RawField[];
  commonStructs?: { name: string; versions: string; fields: RawField[] }[];
}

const PRIMITIVES: ReadonlySet<string> = new Set([
  "bool",
  "int8",
  "int16",
  "uint16",
  "int32",
  "uint32",
  "int64",
  "float64",
  "string",
  "uuid",
  "bytes",
  "records",
]);
/** Names that generated files import or that the language has. */
const RESERVED: ReadonlySet<string> = new Set(["Cursor", "Writer", "Uuid", "Record", "Partial"]);

/** Parses JSON with whole-line comments. */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, ""));
}

/**
 * Parses one schema file; null for a tombstone (`validVersions: "none"`).
 *
 * @param older versions to read and write besides those of the schema, for any messages
 */
export function parseMessage(
  text: string,
  older: readonly OlderVersions[] = [],
): Message | null {
  const raw = parseJson(text) as RawMessage;
  let versions = parseVersions(raw.validVersions);
  if (isEmpty(versions)) return null;
  for (const addition of older.filter(({ name }) => name === raw.name)) {
    versions = hull(versions, { low: addition.lowest, high: addition.lowest });
    for (const field of addition.fields ?? []) insertField(raw, field);
  }
  const structs: Struct[] = [];
  addStruct(structs, raw.name, raw.name, raw.fields ?? []);
  for (const common of raw.commonStructs ?? []) {
    addStruct(structs, raw.name, common.name, common.fields);
  }
  const names = structs.map((struct) => struct.name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`${raw.name}: two structs are called ${twice}`);
  spreadVersions(structs, structs[0]!, versions);
  return {
    name: raw.name,
    type: raw.type,
    apiKey: raw.apiKey ?? -1,
    listeners: raw.listeners ?? [],
    latestVersionUnstable: raw.latestVersionUnstable ?? false,
    versions,
    flexible: parseVersions(raw.flexibleVersions ?? "none"),
    structs,
  };
}

export function structOf(message: Message, name: string): Struct {
  const struct = message.structs.find((one) => one.name === name);
  if (struct === undefined) throw new Error(`${message.name}: no struct ${name}`);
  return struct;
}

function insertField(
  message: RawMessage,
  field: RawField & { readonly in: string; readonly after: string },
): void {
  const fields = fieldsOf(message.fields ?? [], field.in);
  const at = fields?.findIndex(({ name }) => name === field.after) ?? -1;
  if (at < 0) throw new Error(`${message.name}: no ${field.in}.${field.after}`);
  fields!.splice(at + 1, 0, field);
}

/** The fields of the inline struct `name`, at any depth. */
function fieldsOf(fields: readonly RawField[], name: string): RawField[] | undefined {
  for (const field of fields) {
    if (field.fields === undefined) continue;
    if (field.type.replaceAll("[]", "") === name) return field.fields;
    const inner = fieldsOf(field.fields, name);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function addStruct(structs: Struct[], message: string, name: string, raw: RawField[]): void {
  const fields: Field[] = [];
  structs.push({ name: structName(message, name), fields, versions: NO_VERSIONS });
  for (const one of raw) {
    fields.push(parseField(message, one));
    if (one.fields !== undefined) {
      addStruct(structs, message, one.type.replaceAll("[]", ""), one.fields);
    }
  }
}

function structName(message: string, name: string): string {
  return RESERVED.has(name) ? message + name : name;
}

function parseField(message: string, raw: RawField): Field {
  const type = parseType(message, raw.type);
  const versions = parseVersions(raw.versions);
  const tagged = raw.taggedVersions === undefined ? NO_VERSIONS : parseVersions(raw.taggedVersions);
  if (!isEmpty(tagged) && raw.taggedVersions !== raw.versions) {
    throw new Error(`${message}.${raw.name}: tagged in some versions only`);
  }
  const nullable = raw.nullableVersions === undefined
    ? NO_VERSIONS
    : intersect(parseVersions(raw.nullableVersions), versions);
  return {
    name: raw.name[0]!.toLowerCase() + raw.name.slice(1),
    type,
    versions,
    nullable,
    tag: isEmpty(tagged) ? -1 : raw.tag!,
    ignorable: raw.ignorable ?? false,
    defaultCode: defaultCode(type, raw.default, nullable),
    neverFlexible: raw.flexibleVersions === "none",
    about: (raw.about ?? "").trim(),
  };
}

function parseType(message: string, text: string): FieldType {
  if (text.startsWith("[]")) {
    return { kind: "array", element: parseType(message, text.slice(2)) };
  }
  if (PRIMITIVES.has(text)) return { kind: "primitive", name: text as Primitive };
  return { kind: "struct", name: structName(message, text) };
}

function defaultCode(type: FieldType, given: RawField["default"], nullable: Versions): string {
  const text = given === undefined || given === null ? "" : String(given);
  if (text === "null") {
    if (isEmpty(nullable)) throw new Error("null is the default of a field that is never null");
    return "null";
  }
  if (type.kind === "array") return "[]";
  if (type.kind === "struct") return `new${type.name}()`;
  switch (type.name) {
    case "bool":
      return text === "true" ? "true" : "false";
    case "string":
      return JSON.stringify(text);
    case "uuid":
      return "ZERO_UUID";
    case "bytes":
      return "new Uint8Array(0)";
    case "records":
      return isEmpty(nullable) ? "new Uint8Array(0)" : "null";
    default:
      return String(Number(text));
  }
}

function spreadVersions(structs: readonly Struct[], struct: Struct, versions: Versions): void {
  struct.versions = hull(struct.versions, versions);
  for (const field of struct.fields) {
    let type = field.type;
    if (type.kind === "array") type = type.element;
    if (type.kind !== "struct") continue;
    const name = type.name;
    const inner = structs.find((one) => one.name === name);
    if (inner === undefined) throw new Error(`no struct ${name}`);
    const occurring = intersect(versions, field.versions);
    if (!isEmpty(occurring)) spreadVersions(structs, inner, occurring);
  }
}
