import { strict as assert } from "node:assert";
import { functionBody } from "./launcher.ts";

const BUNDLE = `(() => {
  var __name = 1;
  import { createRequire as __x } from "node:module";
var __require = __x(import.meta.url);

  var zlib = __require("node:zlib");
  globalThis.seen = zlib;
})();
`;

Deno.test("a bundle becomes a function's body that is given the runtime's modules", () => {
  const body = functionBody(BUNDLE, "gregor/x.js");
  new Function("require", body!)((name: string) => `module ${name}`);
  assert.equal((globalThis as { seen?: unknown }).seen, "module node:zlib");
  assert.match(body!, /^"use strict";\n[^]*\n\/\/# sourceURL=gregor\/x\.js\n$/);
});

Deno.test("a bundle that imports in another way is refused", () => {
  assert.equal(functionBody('import { x } from "node:zlib";\nx();\n', "x"), null);
  assert.notEqual(
    functionBody('(() => {\n  const x = () => import("node:zlib");\n})();\n', "x"),
    null,
  );
});
