import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { uuidToBytes } from "../wire/uuid.ts";
import { newUuid } from "./ids.ts";
import { TopicLookup } from "./topic_lookup.ts";

const encoder = new TextEncoder();

function bytesOfUuid(uuid: string): Uint8Array {
  const bytes = new Uint8Array(16);
  uuidToBytes(uuid, bytes);
  return bytes;
}

Deno.test("findName() and findId() read the bytes where they lie", () => {
  const lookup = new TopicLookup();
  const id = bytesOfUuid("00112233445566778899aabbccddeeff");
  lookup.add(5, encoder.encode("orders"), id);
  const region = new Uint8Array(100);
  region.set(encoder.encode("xxordersxx"), 40);
  region.set(id, 60);
  assert.equal(lookup.findName(region, 42, 6), 5);
  assert.equal(lookup.findName(region, 42, 5), -1);
  assert.equal(lookup.findName(region, 42, 7), -1);
  assert.equal(lookup.findName(region, 41, 6), -1);
  assert.equal(lookup.findId(region, 60), 5);
  assert.equal(lookup.findId(region, 61), -1);
});

Deno.test("add() refuses a name, an id and a handle that are in use", () => {
  const lookup = new TopicLookup();
  const random = new Xoshiro128(1);
  const id = bytesOfUuid(newUuid(random));
  lookup.add(0, encoder.encode("a"), id);
  assert.throws(() => lookup.add(1, encoder.encode("a"), bytesOfUuid(newUuid(random))));
  assert.throws(() => lookup.add(1, encoder.encode("b"), id));
  assert.throws(() => lookup.add(0, encoder.encode("b"), bytesOfUuid(newUuid(random))));
  assert.throws(() => lookup.remove(1));
});

Deno.test("the lookup agrees with a Map under random additions and removals", () => {
  const random = new Xoshiro128(0x5eed);
  const lookup = new TopicLookup();
  const model = new Map<string, { handle: number; id: Uint8Array }>();
  const removed: Uint8Array[] = [];
  for (let step = 0; step < 6000; step++) {
    const name = "topic-".repeat(random.nextBelow(4)) + random.nextBelow(900);
    const known = model.get(name);
    if (known !== undefined) {
      lookup.remove(known.handle);
      model.delete(name);
      removed.push(known.id);
    } else {
      const id = bytesOfUuid(newUuid(random));
      lookup.add(step, encoder.encode(name), id);
      model.set(name, { handle: step, id });
    }
    if (step % 500 !== 0) continue;
    for (const [present, { handle, id }] of model) {
      const bytes = encoder.encode(present);
      assert.equal(lookup.findName(bytes, 0, bytes.length), handle);
      assert.equal(lookup.findId(id, 0), handle);
    }
    for (const id of removed) assert.equal(lookup.findId(id, 0), -1);
  }
  assert.equal(lookup.count, model.size);
  assert.ok(model.size > 300, "the test covers more topics than the first table holds");
  for (let i = 0; i < 900; i++) {
    const bytes = encoder.encode(`${i}`);
    assert.equal(lookup.findName(bytes, 0, bytes.length), model.get(`${i}`)?.handle ?? -1);
  }
});
