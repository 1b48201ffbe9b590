import { strict as assert } from "node:assert";
import { strangerWords } from "./strangers.ts";

function words(...bytes: number[]): string | null {
  return strangerWords(bytes.reduce((prefix, byte) => (prefix << 8) | byte, 0));
}

function text(start: string): string | null {
  return words(...start.split("").map((letter) => letter.charCodeAt(0)));
}

Deno.test("who came to the wrong address is told by its first bytes", () => {
  assert.match(text("GRP1")!, /is a node of a cluster.*its --seeds/);
  assert.match(text("GET ")!, /speaks HTTP/);
  assert.match(text("POST")!, /speaks HTTP/);
  assert.match(words(0x16, 3, 1, 0)!, /speaks TLS.*security\.protocol=PLAINTEXT/);
  assert.equal(words(0, 0, 0, 44), null);
  assert.equal(words(0x16, 0, 0, 0), null, "a size that is only too large");
  assert.equal(words(0xff, 0xff, 0xff, 0xff), null);
});
