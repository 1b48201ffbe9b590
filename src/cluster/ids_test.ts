import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { uuidToBase64 } from "../wire/uuid.ts";
import { newUuid } from "./ids.ts";

Deno.test("newUuid() makes version 4 UUIDs whose base64 never begins with a dash", () => {
  const random = new Xoshiro128(7);
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const id = newUuid(random);
    assert.match(id, /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
    assert.doesNotMatch(uuidToBase64(id), /^-/);
    seen.add(id);
  }
  assert.equal(seen.size, 2000);
});
