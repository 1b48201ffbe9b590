import { strict as assert } from "node:assert";
import type { ConsumedRecord } from "./client/records.ts";
import { recordFormat } from "./record_format.ts";

const RECORD: ConsumedRecord = {
  topic: "orders",
  partition: 3,
  offset: 42,
  timestamp: 1_767_225_600_000,
  key: new TextEncoder().encode("k"),
  value: new TextEncoder().encode("häll%o"),
  headers: [
    { key: "a", value: new TextEncoder().encode("1") },
    { key: "b", value: null },
  ],
};

function print(pattern: string, record = RECORD): string {
  const format = recordFormat(pattern);
  assert.ok(typeof format !== "string", String(format));
  return new TextDecoder().decode(format(record));
}

Deno.test("recordFormat() knows its verbs and escapes, and ends the line", () => {
  assert.equal(print("%v"), "häll%o\n");
  assert.equal(print("%t/%p@%o %d [%h] 100%%"), "orders/3@42 1767225600000 [a=1,b=] 100%\n");
  assert.equal(print("%k\\t%v\\n"), "k\thäll%o\n\n");
  assert.equal(print("%k=%v.", { ...RECORD, key: null, value: null }), "=.\n");
});

Deno.test("recordFormat() passes bytes through as they are", () => {
  const format = recordFormat("%v");
  assert.ok(typeof format !== "string");
  const value = new Uint8Array([0, 255, 254, 10]);
  assert.deepEqual(format({ ...RECORD, value }), new Uint8Array([0, 255, 254, 10, 10]));
});

Deno.test("recordFormat() says what is wrong with a pattern", () => {
  assert.match(String(recordFormat("%x")), /^%x is not a verb/);
  assert.match(String(recordFormat("100%")), /^% is not a verb/);
  assert.match(String(recordFormat("\\q")), /^\\q is not an escape/);
});

Deno.test("json has one object per line, and base64 where there is no text", () => {
  assert.deepEqual(JSON.parse(print("json")), {
    topic: "orders",
    partition: 3,
    offset: 42,
    timestamp: "2026-01-01T00:00:00.000Z",
    key: "k",
    value: "häll%o",
    headers: [{ key: "a", value: "1" }, { key: "b", value: null }],
  });
  const binary = { ...RECORD, key: null, value: new Uint8Array([255, 0]), headers: [] };
  assert.deepEqual(JSON.parse(print("json", binary)), {
    topic: "orders",
    partition: 3,
    offset: 42,
    timestamp: "2026-01-01T00:00:00.000Z",
    key: null,
    valueBase64: "/wA=",
  });
});
