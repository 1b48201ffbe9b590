import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import {
  BUCKET_COUNT,
  bucketOf,
  DETAILED_BUCKETS,
  LONGEST_US,
  PUBLIC_BUCKETS,
  upperEdgeUs,
} from "./histogram_buckets.ts";

Deno.test("a time is in the bucket whose edges it lies between, and an edge in the one below it", () => {
  const edges = Array.from({ length: BUCKET_COUNT }, (_, bucket) => upperEdgeUs(bucket));
  assert.ok(edges.every((edge, at) => at === 0 || edge > edges[at - 1]!), String(edges));
  for (const [bucket, edge] of edges.entries()) {
    assert.equal(bucketOf(edge), bucket);
    assert.equal(bucketOf(edge + 1), bucket + 1);
  }
  assert.equal(bucketOf(0), 0);
  assert.equal(bucketOf(LONGEST_US), BUCKET_COUNT);
  assert.equal(upperEdgeUs(BUCKET_COUNT), Infinity);
  fc.assert(fc.property(fc.integer({ min: 0, max: LONGEST_US }), (us) => {
    const bucket = bucketOf(us);
    assert.ok(us <= upperEdgeUs(bucket));
    assert.ok(bucket === 0 || us > upperEdgeUs(bucket - 1));
  }));
});

Deno.test("the public page has Redpanda's 18 edges, all of which the detailed one has, too", () => {
  const edges = PUBLIC_BUCKETS.map((bucket) => upperEdgeUs(bucket));
  assert.deepEqual(edges, Array.from({ length: 18 }, (_, at) => 256 * 2 ** at));
  assert.ok(PUBLIC_BUCKETS.every((bucket) => DETAILED_BUCKETS.includes(bucket)));
});
