import { strict as assert } from "node:assert";
import { groupPartition, javaStringHash } from "./group_partition.ts";

/** Printed by a Java program: text, hash, partition of fifty. */
const KNOWN: [string, number, number][] = [
  ["", 0, 0],
  ["test", 3556498, 48],
  ["my-group", -1906497762, 12],
  ["console-consumer-12345", 158455506, 6],
  ["grüppe-日本-😀", 630390608, 8],
  // The one hash without a positive counterpart.
  ["polygenelubricants", -2147483648, 0],
];

Deno.test("groupPartition() agrees with Kafka", () => {
  for (const [groupId, hash, partition] of KNOWN) {
    assert.equal(javaStringHash(groupId), hash, groupId);
    assert.equal(groupPartition(groupId, 50), partition, groupId);
  }
});
