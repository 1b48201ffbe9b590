/** Nodes that were given up when the metadata was recovered. */

import { strict as assert } from "node:assert";
import { isFounder } from "./founding.ts";
import { type Process, started, World } from "./test_founding.ts";

Deno.test("founders that were given up are told so, and the one that goes on is not", () => {
  const world = new World();
  const [, , three] = started(world, 1, 2, 3);
  world.settle();
  const before = three!.formed!.founders;
  for (const port of [1, 2]) world.kill(world.place(port), true);
  three!.founding.giveUpFounders();
  world.settle();
  const kept = world.place(3).state.founders;
  assert.deepEqual(kept.map(({ nodeId }) => nodeId), [1, 2, 3]);
  assert.equal(kept[2]!.incarnation, before[2]!.incarnation);
  assert.notEqual(kept[0]!.incarnation, before[0]!.incarnation);
  assert.notEqual(kept[0]!.incarnation, kept[1]!.incarnation);
  // They ask when they start.
  const returned = started(world, 1, 2);
  world.settle();
  for (const { expulsions } of returned) {
    assert.match(expulsions[0]!, /went on without this node: its metadata was recovered/);
  }
  assert.deepEqual(three!.expulsions, []);
  // One that has lost what it had is another node, and joins.
  const place = world.place(1);
  world.wipe(place);
  const joined = world.start(place);
  world.settle();
  assert.equal(joined.formed!.clusterId, three!.formed!.clusterId);
  assert.deepEqual(joined.expulsions, []);
});

Deno.test("founders that still run, and could not be reached when they were given up, hear of it later", () => {
  const world = new World();
  const [one, two, three] = started(world, 1, 2, 3);
  world.settle();
  three!.founding.giveUpFounders();
  world.save(world.place(3));
  // The network loses what was said at that moment.
  world.messages = [];
  world.settle();
  for (const { expulsions } of [one!, two!]) {
    assert.match(expulsions[0]!, /went on without this node/);
  }
  assert.deepEqual(three!.expulsions, []);
});

/** Node 1 founded the cluster alone; 2 and 3 came later. */
function grown(): { world: World; processes: Process[] } {
  const world = new World();
  const seeds = [world.place(1).address];
  const processes = [1, 2, 3].map((port) =>
    world.start(world.place(port), port === 1 ? [] : seeds)
  );
  world.settle();
  assert.equal(world.clusterIds.size, 1);
  return { world, processes };
}

function founderAt(world: World, port: number) {
  const { nodeId, incarnation, address } = world.place(port);
  return { nodeId, incarnation, ...address };
}

Deno.test("voters that are given up hear of it, also those that founded nothing: when they return, and when they run on", () => {
  for (const isDead of [true, false]) {
    const { world, processes: [one, two, three] } = grown();
    const others = [founderAt(world, 2), founderAt(world, 3)];
    if (isDead) { for (const port of [2, 3]) world.kill(world.place(port), true); }
    one!.founding.giveUpFounders(others);
    world.save(world.place(1));
    world.messages = [];
    // Whom it gave up, it knows after a restart, too.
    world.kill(world.place(1), true);
    const again = world.start(world.place(1), []);
    const seeds = [world.place(1).address];
    const given = isDead
      ? [2, 3].map((port) => world.start(world.place(port), seeds))
      : [two!, three!];
    world.settle();
    for (const { expulsions } of given) {
      assert.match(expulsions[0]!, /went on without this node: its metadata was recovered/);
    }
    assert.deepEqual([...one!.expulsions, ...again.expulsions], []);
    assert.equal(isFounder(world.place(1).state, world.place(1).incarnation), true);
    // Who has lost what it had joins, and tells those who were given up.
    world.wipe(world.place(2));
    const joined = world.start(world.place(2), seeds);
    world.settle();
    assert.deepEqual(joined.expulsions, []);
    world.kill(world.place(1), true);
    world.kill(world.place(3), true);
    const late = world.start(world.place(3), [world.place(2).address]);
    world.settle();
    assert.equal(late.expulsions.length > 0, true);
  }
});
