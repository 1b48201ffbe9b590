/**
 * How `gregor consume` prints a record: a pattern with verbs, or JSON.
 *
 *     %t topic   %p partition   %o offset   %d timestamp (ms)   %k key   %v value
 *     %h headers (a=1,b=2)      %% a percent sign               \n \t \\ as usual
 *
 * Keys and values are bytes and come out as the bytes they are; JSON, which has no bytes, gets text where
 * they are UTF-8 and base64 (`keyBase64`, `valueBase64`) where they are not.
 *
 * @module
 */

import type { ConsumedRecord } from "./client/records.ts";

/** Prints one record, with its line end. */
export type RecordFormat = (record: ConsumedRecord) => Uint8Array;

type Part = (record: ConsumedRecord) => Uint8Array;

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

const VERBS: Readonly<Record<string, Part>> = {
  t: (record) => encoder.encode(record.topic),
  p: (record) => encoder.encode(String(record.partition)),
  o: (record) => encoder.encode(String(record.offset)),
  d: (record) => encoder.encode(String(record.timestamp)),
  k: (record) => record.key ?? NOTHING,
  v: (record) => record.value ?? NOTHING,
  h: (record) =>
    encoder.encode(
      record.headers.map(({ key, value }) => `${key}=${value === null ? "" : lossy(value)}`).join(
        ",",
      ),
    ),
  "%": () => encoder.encode("%"),
};

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "\\": "\\",
  "0": "\0",
};

/** Reads a pattern; a text that says what is wrong with it, where something is. */
export function recordFormat(pattern: string): RecordFormat | string {
  if (pattern === "json") return formatJson;
  const parts: Part[] = [];
  for (const match of pattern.matchAll(/%(.?)|\\(.?)|[^%\\]+/gs)) {
    const [whole, verb, escape] = match;
    if (verb !== undefined) {
      const part = VERBS[verb];
      if (part === undefined) {
        return `%${verb} is not a verb; there are %t %p %o %d %k %v %h and %%`;
      }
      parts.push(part);
      continue;
    }
    const text = escape === undefined ? whole : ESCAPES[escape];
    if (text === undefined) {
      return `\\${escape} is not an escape; there are \\n \\t \\r \\0 and \\\\`;
    }
    const bytes = encoder.encode(text);
    parts.push(() => bytes);
  }
  const lineEnd = encoder.encode("\n");
  return (record) => join([...parts.map((part) => part(record)), lineEnd]);
}

function formatJson(record: ConsumedRecord): Uint8Array {
  const { topic, partition, offset, timestamp, headers } = record;
  return encoder.encode(
    JSON.stringify({
      topic,
      partition,
      offset,
      timestamp: new Date(timestamp).toISOString(),
      ...jsonBytes("key", record.key),
      ...jsonBytes("value", record.value),
      ...(headers.length === 0
        ? {}
        : { headers: headers.map(({ key, value }) => ({ key, ...jsonBytes("value", value) })) }),
    }) + "\n",
  );
}

function jsonBytes(name: string, bytes: Uint8Array | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null };
  try {
    return { [name]: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { [`${name}Base64`]: bytes.toBase64() };
  }
}

function lossy(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
