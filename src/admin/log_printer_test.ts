import { strict as assert } from "node:assert";
import { textOf } from "./log_printer.ts";

Deno.test("what a client calls itself cannot end a line, nor command a terminal", () => {
  const hostile = "a\nb\r\u001b[2J\u009b31m\u007f\u202etxt\u2028";
  assert.equal(
    textOf({ client: hostile, port: 9092, plain: "a-b.c" }),
    ' client="a\\nb\\r\\u001b[2J\\u009b31m\\u007f\\u202etxt\\u2028" port=9092 plain=a-b.c',
  );
});
