/**
 * Makes two brokers' answers comparable: what is each broker's own is replaced by what it stands for,
 * and nothing else is touched.
 *
 * Own are: topic ids, producer ids, ids of members, sessions and clusters, addresses, leader epochs,
 * directories and sizes, and times. An id that the request itself named stays as it was said.
 *
 * @module
 */

import type { CatalogEntry, CatalogField } from "../../../src/wire/catalog_entry.ts";
import { ZERO_UUID } from "../../../src/wire/uuid.ts";
import type { Json, JsonObject } from "./case.ts";
import { isIn } from "./message_builder.ts";
import { describeRecords } from "./records_text.ts";

const NAMED_AS_GIVEN: ReadonlySet<string> = new Set(["EndTxnResponse", "WriteTxnMarkersResponse"]);

/** What is known of one broker. */
export interface Knowledge {
  /** Topic ids by the name of the topic. */
  readonly topicIds: Map<string, string>;
  /** Ids of topics that were deleted: what they are called in a comparison. */
  readonly formerIds: Map<string, string>;
  /** Leader epochs by `TOPIC#PARTITION`. */
  readonly epochs: Map<string, number>;
  readonly port: number;
}

/** A time within a day of now is a clock's; others were in the request. */
const DAY_MS = 86_400_000;
/** Between which times a timestamp should lie, in texts. */
const TIME_BOUNDS = /\[-?\d{13,19}, -?\d{13,19}\]/g;
const UUID_TEXT = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

export class Normaliser {
  readonly #knowledge: Knowledge;
  readonly #symbols: readonly (readonly [string, string])[];
  readonly #said: string;

  /** @param said the request as it was sent to this broker: what it names is kept */
  constructor(knowledge: Knowledge, said: Json) {
    this.#knowledge = knowledge;
    this.#said = JSON.stringify(said);
    const symbols: [string, string][] = [];
    for (const [name, id] of knowledge.topicIds) {
      symbols.push([id, `<id of ${name}>`]);
      symbols.push([base64Of(id), `<id of ${name}>`]);
    }
    for (const [id, label] of knowledge.formerIds) {
      symbols.push([id, label]);
      symbols.push([base64Of(id), label]);
    }
    symbols.push([`:${knowledge.port}`, ":<port>"]);
    this.#symbols = symbols;
  }

  message(entry: CatalogEntry, version: number, message: object): Json {
    return this.#struct(entry, entry.name, version, message);
  }

  #struct(entry: CatalogEntry, name: string, version: number, value: object): Json {
    const result: Record<string, Json> = {};
    for (const field of entry.structs[name]!.fields) {
      if (!isIn(version, field.versions)) continue;
      result[field.name] = this.#value(
        entry,
        field,
        field.type,
        version,
        (value as Record<string, unknown>)[field.name],
      );
    }
    return result;
  }

  #value(
    entry: CatalogEntry,
    field: CatalogField,
    type: string,
    version: number,
    value: unknown,
  ): Json {
    if (value === null) return null;
    if (type.startsWith("[]")) {
      return (value as unknown[]).map((one) =>
        this.#value(entry, field, type.slice(2), version, one)
      );
    }
    switch (type) {
      case "bool":
        return value as boolean;
      case "string":
        return this.#text(field.name, value as string);
      case "uuid":
        return this.#uuid(value as string);
      case "bytes":
        return printable(value as Uint8Array);
      case "records":
        return describeRecords(value as Uint8Array);
      case "int8":
      case "int16":
      case "uint16":
      case "int32":
      case "uint32":
      case "int64":
      case "float64":
        return this.#number(entry, field.name, value as number);
      default:
        return this.#struct(entry, type, version, value as object);
    }
  }

  #uuid(value: string): string {
    if (value === ZERO_UUID) return value;
    for (const [from, to] of this.#symbols) if (from === value) return to;
    return this.#said.includes(value) ? value : "<uuid>";
  }

  #text(name: string, value: string): string {
    if (name === "clusterId" && value !== "") return "<cluster>";
    if (name === "logDir" || name === "rack") return `<${name}>`;
    let text = value;
    for (const [from, to] of this.#symbols) text = text.replaceAll(from, to);
    return text.replace(UUID_TEXT, "<uuid>").replace(TIME_BOUNDS, "[<times>]");
  }

  #number(entry: CatalogEntry, name: string, value: number): Json {
    switch (name) {
      case "port":
        if (entry.name === "DescribeQuorumResponse" && value > 0) return "<port>";
        return value === this.#knowledge.port ? "<port>" : value;
      case "epoch":
        return value >= 0 && entry.name === "FetchResponse" ? "<epoch>" : value;
      case "leaderEpoch":
      case "partitionLeaderEpoch":
        return value >= 0 && entry.name !== "OffsetFetchResponse" ? "<epoch>" : value;
      case "producerId":
        // The request named what each broker had given.
        if (value >= 0 && NAMED_AS_GIVEN.has(entry.name)) return "<producer>";
        return value >= 0 && !this.#said.includes(`"producerId":${value}`) ? "<producer>" : value;
      case "sessionId":
        return value > 0 ? "<session>" : value;
      case "highWatermark":
      case "logEndOffset":
        return value >= 0 && entry.name === "DescribeQuorumResponse" ? "<offset>" : value;
      case "partitionSize":
      case "totalBytes":
      case "usableBytes":
        return value > 0 ? "<bytes>" : value;
      case "issueTimestampMs":
      case "logAppendTimeMs":
      case "lastTimestamp":
      case "lastFetchTimestamp":
      case "lastCaughtUpTimestamp":
      case "transactionStartTimeMs":
        return Math.abs(value - Date.now()) < DAY_MS ? "<now>" : value;
      default:
        return value;
    }
  }
}

/** As Kafka's texts have topic ids. */
function base64Of(uuid: string): string {
  return Uint8Array.fromHex(uuid).toBase64({ alphabet: "base64url", omitPadding: true });
}

function printable(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  return /^[\x20-\x7e]*$/.test(text) ? text : bytes.toHex();
}

/** One field in which the answers differ. */
export interface FieldDifference {
  /** `topics[0].errorCode`; empty where the outcomes differ altogether. */
  readonly path: string;
  readonly kafka: Json;
  readonly gregor: Json;
}

const DIFFERENCES_MAX = 500;

/** Every field in which two normalised values differ, up to a bound. */
export function compare(kafka: Json, gregor: Json): FieldDifference[] {
  const found: FieldDifference[] = [];
  compareAt("", kafka, gregor, found);
  return found;
}

function compareAt(path: string, kafka: Json, gregor: Json, found: FieldDifference[]): void {
  if (found.length >= DIFFERENCES_MAX || kafka === gregor) return;
  if (Array.isArray(kafka) && Array.isArray(gregor)) {
    if (kafka.length !== gregor.length || isByKey(kafka, gregor)) {
      compareByName(path, kafka, gregor, found);
      return;
    }
    kafka.forEach((one, index) => compareAt(`${path}[${index}]`, one, gregor[index]!, found));
  } else if (isObject(kafka) && isObject(gregor)) {
    for (const key of new Set([...Object.keys(kafka), ...Object.keys(gregor)])) {
      const inner = path === "" ? key : `${path}.${key}`;
      compareAt(inner, kafka[key] ?? null, gregor[key] ?? null, found);
    }
  } else {
    found.push({ path, kafka, gregor });
  }
}

/** What stands in the same place of two lists of APIs has nothing in common. */
function isByKey(...lists: readonly (readonly Json[])[]): boolean {
  return lists.flat().every((element) => isObject(element) && "apiKey" in element);
}

/** Lists of different lengths whose elements have names: what one has and the other has not. */
function compareByName(
  path: string,
  kafka: readonly Json[],
  gregor: readonly Json[],
  found: FieldDifference[],
): void {
  const [one, other] = [byName(kafka), byName(gregor)];
  if (one === null || other === null) {
    found.push({ path, kafka, gregor });
    return;
  }
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    compareAt(`${path}{${name}}`, one.get(name) ?? null, other.get(name) ?? null, found);
  }
}

function byName(elements: readonly Json[]): Map<string, Json> | null {
  const named = new Map<string, Json>();
  for (const element of elements) {
    const name = isObject(element) ? element.name ?? element.apiKey : undefined;
    if (name === undefined || name === null || named.has(`${name}`)) return null;
    named.set(`${name}`, element);
  }
  return named;
}

function isObject(json: Json): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
