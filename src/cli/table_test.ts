import { strict as assert } from "node:assert";
import { displayWidth, formatFields, formatTable, wrap } from "./table.ts";
import type { Terminal } from "./terminal.ts";

const PIPE = { isInteractive: false, env: {} } as unknown as Terminal;

Deno.test("formatTable() aligns columns, numbers to the right, without trailing blanks", () => {
  const table = formatTable(PIPE, [{ heading: "NAME" }, { heading: "N", isNumber: true }, {
    heading: "NOTE",
  }], [["a", "1", ""], ["longer", "1000", "x"]]);
  assert.equal(table, "NAME       N  NOTE\na          1\nlonger  1000  x\n");
});

Deno.test("formatTable() counts what a terminal shows, not code units", () => {
  assert.equal(displayWidth("日本"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(
    formatTable(PIPE, [{ heading: "A" }, { heading: "B" }], [["日本", "x"]]),
    "A     B\n日本  x\n",
  );
});

Deno.test("formatFields() and wrap() keep lines together", () => {
  assert.equal(formatFields([["a", "1"], ["long", ""]]), "a     1\nlong\n");
  assert.equal(wrap("one two three", 7, 2), "one two\n  three");
});
