import { strict as assert } from "node:assert";
import { shareDescriptors } from "./descriptors.ts";

Deno.test("shareDescriptors keeps data files apart from connections", () => {
  const shares = shareDescriptors(160, 30, 2, 4, true);
  assert.ok(typeof shares !== "number");
  assert.ok(shares.openFilesPerShard >= 8);
  assert.ok(shares.connectionsMax >= 8);
  const fixed = 30 + 2 * (10 + 2 + 4) + 24;
  assert.equal(fixed + 2 * shares.openFilesPerShard + shares.connectionsMax, 160);
});

Deno.test("shareDescriptors gives what is useful where there are plenty", () => {
  assert.deepEqual(shareDescriptors(2 ** 30, 30, 2, 4, false), {
    openFilesPerShard: 1024,
    linksPerShard: 1024,
    connectionsMax: 2 * 16_384,
  });
});

Deno.test("shareDescriptors says how many are needed where there are too few", () => {
  const needed = shareDescriptors(64, 30, 2, 4, false);
  assert.ok(typeof needed === "number");
  assert.ok(typeof shareDescriptors(needed, 30, 2, 4, false) !== "number");
  assert.equal(shareDescriptors(needed - 1, 30, 2, 4, false), needed);
});

Deno.test("shareDescriptors leaves clients what they need, with other nodes and without", () => {
  for (let limit = 100; limit < 3_000; limit += 7) {
    const shares = shareDescriptors(limit, 30, 2, 4, false);
    const alone = shareDescriptors(limit, 30, 2, 4, true);
    assert.equal(typeof shares, typeof alone);
    if (typeof shares === "number" || typeof alone === "number") continue;
    assert.ok(shares.connectionsMax >= 8 && shares.openFilesPerShard >= 8);
    assert.equal(alone.linksPerShard, 0);
    const used = 2 * (shares.openFilesPerShard + shares.linksPerShard) + shares.connectionsMax;
    assert.ok(used <= limit - 30 - 2 * (10 + 2 + 4) - 24);
  }
});
