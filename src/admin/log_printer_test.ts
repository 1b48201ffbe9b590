import { strict as assert } from "node:assert";
import { LogLevel } from "../base/logger.ts";
import { jsonOf, textOf } from "./log_printer.ts";

Deno.test("what a client calls itself cannot end a line, nor command a terminal", () => {
  const hostile = "a\nb\r\u001b[2J\u009b31m\u007f\u202etxt\u2028";
  assert.equal(
    textOf({ client: hostile, port: 9092, plain: "a-b.c" }),
    ' client="a\\nb\\r\\u001b[2J\\u009b31m\\u007f\\u202etxt\\u2028" port=9092 plain=a-b.c',
  );
});

Deno.test("a value of a line has a largest length", () => {
  const client = "x".repeat(32_767);
  const shown = `${"x".repeat(1000)}... (32767 characters)`;
  assert.equal(textOf({ client }), ` client="${shown}"`);
  const line = JSON.parse(jsonOf("now", LogLevel.WARN, "Closed a connection", { client, port: 1 }));
  assert.deepEqual(line, {
    time: "now",
    level: "warn",
    message: "Closed a connection",
    client: shown,
    port: 1,
  });
});
