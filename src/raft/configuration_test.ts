import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import {
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
  isValid,
} from "./configuration.ts";
import { members, simple } from "./test_cluster.ts";

Deno.test("encodeConfiguration() writes the example of its page", async () => {
  const url = new URL("../../docs/formats/raft_configuration.md", import.meta.url);
  const [, hex] = /```hex\n([^`]*)```/.exec(await Deno.readTextFile(url))!;
  const expected = Uint8Array.from(hex!.trim().split(/\s+/), (byte) => parseInt(byte, 16));
  const configuration = { voters: members(1, 2), outgoing: members(3), learners: members(3) };
  assert.deepEqual(encodeConfiguration(configuration), expected);
  assert.deepEqual(decodeConfiguration(expected), configuration);
});

const member = fc.record({
  node: fc.integer({ min: 0, max: 20 }),
  incarnation: fc.integer({ min: 0, max: 2 }),
}, { noNullPrototype: true });
const configuration: fc.Arbitrary<Configuration> = fc.record({
  voters: fc.array(member, { maxLength: 6 }),
  outgoing: fc.array(member, { maxLength: 3 }),
  learners: fc.array(member, { maxLength: 3 }),
}, { noNullPrototype: true });

Deno.test("decodeConfiguration() returns what was encoded, if that is valid", () => {
  fc.assert(fc.property(configuration, (each) => {
    const decoded = decodeConfiguration(encodeConfiguration(each));
    assert.deepEqual(decoded, isValid(each) ? each : null);
  }));
});

Deno.test("decodeConfiguration() refuses other bytes", () => {
  const bytes = encodeConfiguration(simple(1, 2, 3));
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(decodeConfiguration(bytes.slice(0, length)), null);
  }
  for (let at = 0; at < 8; at++) {
    const changed = bytes.slice();
    changed[at]! += 1;
    assert.equal(decodeConfiguration(changed), null, `byte ${at}`);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (each) => {
    const decoded = decodeConfiguration(Uint8Array.from(each));
    if (decoded !== null) assert.ok(isValid(decoded));
  }));
});

Deno.test("isValid() knows what cannot be a configuration", () => {
  const is = (voters: number[], outgoing: number[], learners: number[]): boolean =>
    isValid({
      voters: members(...voters),
      outgoing: members(...outgoing),
      learners: members(...learners),
    });
  assert.ok(is([1], [], []));
  assert.ok(is([1, 2], [2, 3], [3, 4]));
  assert.ok(!is([], [1], []));
  assert.ok(!is([1, 1], [], []));
  assert.ok(!is([1, 2], [], [2]));
  assert.ok(!is(Array.from({ length: 16 }, (_, at) => at), [], []));
  const twice = { node: 1, incarnation: 1 };
  assert.ok(!isValid({ voters: members(1), outgoing: [twice], learners: [] }));
  assert.ok(!isValid({ voters: [{ node: -1, incarnation: 0 }], outgoing: [], learners: [] }));
});
