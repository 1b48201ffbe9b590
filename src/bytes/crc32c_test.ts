import { strict as assert } from "node:assert";
import { crc32cOfBytes, softwareCrc32c } from "./crc32c.ts";
import { wrapMemory } from "./memory.ts";

Deno.test("crc32c gives the published check values", () => {
  const digits = new TextEncoder().encode("123456789");
  assert.equal(crc32cOfBytes(digits, 0, 9, 0), 0xe3069283);
  // RFC 3720, appendix B.4.
  assert.equal(crc32cOfBytes(new Uint8Array(32), 0, 32, 0), 0x8a9136aa);
  assert.equal(crc32cOfBytes(new Uint8Array(32).fill(0xff), 0, 32, 0), 0x62a8ab43);
  assert.equal(crc32cOfBytes(Uint8Array.from({ length: 32 }, (_, i) => i), 0, 32, 0), 0x46dd794e);
});

Deno.test("crc32c of a range equals the chain over any split of it", () => {
  const memory = wrapMemory(new ArrayBuffer(200));
  for (let i = 0; i < 200; i++) memory.bytes[i] = (i * 37) & 0xff;
  const crc32c = softwareCrc32c(memory);
  const whole = crc32c(3, 190, 0);
  for (let split = 0; split <= 190; split++) {
    assert.equal(crc32c(3 + split, 190 - split, crc32c(3, split, 0)), whole);
  }
});
