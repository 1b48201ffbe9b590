import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { base64OfUuid, bytesOfUuid, newUuid } from "./ids.ts";

Deno.test("newUuid() makes version 4 UUIDs whose base64 never begins with a dash", () => {
  const random = new Xoshiro128(7);
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const id = newUuid(random);
    assert.match(id, /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
    assert.doesNotMatch(base64OfUuid(id), /^-/);
    seen.add(id);
  }
  assert.equal(seen.size, 2000);
});

Deno.test("base64OfUuid() is URL-safe base64 of the 16 bytes, without padding", () => {
  const random = new Xoshiro128(8);
  for (let i = 0; i < 200; i++) {
    const id = newUuid(random);
    const binary = String.fromCharCode(...bytesOfUuid(id));
    const expected = btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    assert.equal(base64OfUuid(id), expected);
  }
});
