/** Nodes that were given up when the metadata was recovered. */

import { strict as assert } from "node:assert";
import { newNodeHello } from "../wire/generated/node_hello.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import type { GivenUp } from "./founding_state.ts";
import { type Founder, isFounder } from "./founding.ts";
import { GIVEN_UP_MAX } from "./hello.ts";
import { partialLife } from "./lives.ts";
import { memberIncarnation } from "./members.ts";
import { type Process, started, World } from "./test_founding.ts";

/** Without who gave them up. */
function livesIn(givenUp: readonly GivenUp[] = []): Founder[] {
  return givenUp.map(({ nodeId, incarnation, host, port }) => ({
    nodeId,
    incarnation,
    host,
    port,
  }));
}

Deno.test("founders that were given up are told so, and the one that goes on is not", () => {
  const world = new World();
  const [, , three] = started(world, 1, 2, 3);
  world.settle();
  const before = three!.formed!.founders;
  for (const port of [1, 2]) world.kill(world.place(port), true);
  three!.founding.goOnWithout([1, 2].map((port) => founderAt(world, port)));
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
  three!.founding.goOnWithout([1, 2].map((port) => founderAt(world, port)));
  world.save(world.place(3));
  // The network loses what was said at that moment.
  world.messages = [];
  world.settle();
  for (const { expulsions } of [one!, two!]) {
    assert.match(expulsions[0]!, /went on without this node/);
  }
  assert.deepEqual(three!.expulsions, []);
});

Deno.test("a founder that can be reached is not given up: it goes on with the others' choice, and passes it on", () => {
  const world = new World();
  const [one, two, three] = started(world, 1, 2, 3);
  world.settle();
  world.kill(world.place(3), true);
  const lost = founderAt(world, 3);
  one!.founding.goOnWithout([lost], [world.place(2).address]);
  world.save(world.place(1));
  // What was said at that moment is lost; it is said again.
  world.messages = [];
  world.settle();
  assert.deepEqual(two!.expulsions, []);
  assert.deepEqual(livesIn(world.place(2).state.givenUp), [lost]);
  assert.equal(isFounder(world.place(1).state, world.place(2).incarnation), true);
  // The lost one hears of it also from a node that only heard of it itself.
  world.kill(world.place(1), true);
  const returned = world.start(world.place(3));
  world.settle();
  assert.match(returned.expulsions[0]!, /went on without this node/);
  assert.deepEqual([...two!.expulsions, ...three!.expulsions], []);
});

Deno.test("lives that were given up are learned once, up to a limit, and by whoever is none of them", () => {
  const world = new World();
  const { processes: [, two] } = grown(world);
  const lives = Array.from({ length: 40 }, (_, at) => ({
    nodeId: 10 + at,
    incarnation: at.toString(16).padStart(32, "a"),
    host: "gone",
    port: 1 + at,
  }));
  const tell = (givenUp: Founder[], sequence: number): void => {
    const { clusterId, founders } = world.place(2).state;
    const asked = world.place(2).address;
    two!.founding.received(
      newNodeHello({
        nodeId: 9,
        incarnation: "9".repeat(32),
        process: 7,
        run: 1,
        sequence,
        host: "other",
        port: 9,
        clusterId,
        founders: [...founders],
        askedHost: asked.host,
        askedPort: asked.port,
        givenUp: givenUp.map((node) => ({ ...node, by: ZERO_UUID })),
      }),
      world.nowMs,
    );
  };
  let saves = 0;
  const save = (): void => {
    if (two!.pending !== null) saves++;
    world.save(world.place(2));
  };
  const known = (): number => world.place(2).state.givenUp?.length ?? 0;
  for (let round = 0; round < 3; round++) {
    tell([lives[0]!, lives[1]!, lives[0]!], 1 + round);
    save();
  }
  assert.deepEqual([known(), saves], [2, 1]);
  for (let at = 0; at < lives.length; at += 10) {
    tell(lives.slice(at, at + 10), 10 + at);
    save();
  }
  assert.equal(known(), GIVEN_UP_MAX);
  saves = 0;
  for (let at = 0; at < lives.length; at += 10) {
    tell(lives.slice(at, at + 10), 60 + at);
    save();
  }
  assert.equal(saves, 0);
  assert.deepEqual(two!.expulsions, []);
  tell([founderAt(world, 2)], 200);
  assert.equal(two!.expulsions.length, 1);
  assert.equal(two!.pending, null);
});

Deno.test("a recovery is remembered until all of it is done; one that could not be written has not begun", () => {
  const { world, processes: [one] } = grown();
  const place = world.place(1);
  const before = place.state;
  one!.founding.goOnWithout([founderAt(world, 2)]);
  // The disk refuses.
  one!.pending = null;
  one!.founding.notSaved();
  assert.deepEqual(one!.founding.state, before);
  one!.founding.goOnWithout([founderAt(world, 2)]);
  world.save(place);
  assert.equal(place.state.isRecovering, true);
  world.kill(place, true);
  const again = world.start(place, []);
  assert.equal(again.formed!.isRecovering, true);
  again.founding.recovered();
  world.save(place);
  assert.equal(place.state.isRecovering, false);
  assert.deepEqual(livesIn(place.state.givenUp), [founderAt(world, 2)]);
});

Deno.test("what is asked for while something else is being written is written after it", () => {
  const { world, processes: [one] } = grown();
  const place = world.place(1);
  one!.founding.goOnWithout([founderAt(world, 2)]);
  one!.founding.goOnWithout([founderAt(world, 3)]);
  world.save(place);
  assert.deepEqual(livesIn(place.state.givenUp), [founderAt(world, 2)]);
  world.save(place);
  assert.deepEqual(livesIn(place.state.givenUp), [2, 3].map((port) => founderAt(world, port)));
});

/** Node 1 founded the cluster alone; 2 and 3 came later. */
function grown(world = new World()): { world: World; processes: Process[] } {
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
    one!.founding.goOnWithout(others);
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

Deno.test("who was given up is learned again where it could not be written, from an answer and from a question", () => {
  for (const isAsked of [false, true]) {
    const world = new World();
    const [one] = started(world, 1, 2, 3);
    world.settle();
    world.kill(world.place(3), true);
    const lost = founderAt(world, 3);
    // The one that goes on asks; or is asked by one that starts, as what it said is lost.
    one!.founding.goOnWithout([lost], [world.place(2).address]);
    if (isAsked) world.kill(world.place(2), true);
    world.save(world.place(1));
    const two = isAsked ? world.start(world.place(2)) : world.place(2).process;
    for (let round = 0; round < 40 && two!.pending === null; round++) {
      world.nowMs += 200;
      for (const port of [1, 2]) world.place(port).process!.founding.tick(world.nowMs);
      for (let left = world.messages.length; left > 0; left--) world.deliver(0);
    }
    assert.deepEqual(livesIn(two!.pending?.givenUp), [lost]);
    // The disk refuses.
    two!.pending = null;
    two!.founding.notSaved();
    for (let left = world.messages.length; left > 0; left--) world.deliver(0);
    assert.equal(world.place(2).state.givenUp, undefined);
    world.settle(80);
    assert.deepEqual(livesIn(world.place(2).state.givenUp), [lost]);
    // Then it is quiet: nobody asks who knows the same.
    assert.deepEqual(world.messages.length, 0);
  }
});

Deno.test("what is heard while something else is being written is not forgotten", () => {
  const { world, processes: [one, two] } = grown();
  const lost = founderAt(world, 3);
  two!.founding.goOnWithout([]);
  one!.founding.goOnWithout([lost], [world.place(2).address]);
  world.save(world.place(1));
  for (let left = world.messages.length; left > 0; left--) world.deliver(0);
  world.save(world.place(2));
  world.settle(80);
  assert.deepEqual(livesIn(world.place(2).state.givenUp), [lost]);
});

Deno.test("nodes that the metadata names are told who was given up, though nobody is a seed of theirs", () => {
  const { world, processes: [one, , three] } = grown();
  world.kill(world.place(2), true);
  const lost = founderAt(world, 2);
  one!.founding.goOnWithout([lost]);
  world.messages = [];
  world.kill(world.place(1), true);
  // It does not remember who asked it once.
  const again = world.start(world.place(1), []);
  world.save(world.place(1));
  world.settle();
  assert.equal(world.place(3).state.givenUp, undefined);
  again.founding.acquaint([world.place(3).address]);
  world.settle();
  assert.deepEqual(livesIn(world.place(3).state.givenUp), [lost]);
  assert.deepEqual(three!.expulsions, []);
});

Deno.test("a life of which only the number is known is given up, and named in full when more is known", () => {
  const { world, processes: [one] } = grown();
  const lost = founderAt(world, 2);
  const number = memberIncarnation(lost.incarnation);
  const partial = { ...lost, incarnation: partialLife(number), host: "", port: 0 };
  one!.founding.goOnWithout([partial]);
  world.save(world.place(1));
  world.settle();
  // Where it is, nobody knows: nobody is told.
  assert.deepEqual(livesIn(world.place(1).state.givenUp), [partial]);
  assert.equal(world.place(3).state.givenUp, undefined);
  const another = { ...lost, incarnation: "b".repeat(32) };
  one!.founding.complete([another]);
  assert.equal(one!.pending, null);
  one!.founding.complete([another, lost]);
  world.save(world.place(1));
  assert.deepEqual(livesIn(world.place(1).state.givenUp), [lost]);
  assert.equal(world.place(1).state.isRecovering, true);
  world.settle();
  assert.match(world.place(2).process!.expulsions[0]!, /went on without this node/);
});

Deno.test("two that went on without each other: the lower id stays and says so, the other one ends, and so do those that followed it", () => {
  for (const isLearned of [false, true]) {
    const world = new World();
    const [one, two, three] = started(world, 1, 2, 3);
    world.settle();
    // Node 3 follows node 2.
    two!.founding.goOnWithout([founderAt(world, 1)], [world.place(3).address]);
    world.save(world.place(2));
    const isApart = (port: number): boolean => isLearned && port === 1;
    if (isLearned) world.settle(40, isApart);
    one!.founding.goOnWithout([founderAt(world, 2)]);
    world.save(world.place(1));
    world.settle();
    assert.deepEqual(one!.expulsions, []);
    assert.match(one!.warnings[0]!, /on node 1 and on node 2.*That of node 1 stays.*node 2.*end/);
    assert.equal(one!.warnings.length, 1);
    assert.match(two!.expulsions[0]!, /recovered twice, on node 2 and on node 1.*empty it/);
    if (isLearned) assert.match(three!.expulsions[0]!, /this node went on with node 2/);
    // What the other side said is not learned.
    assert.deepEqual(livesIn(world.place(1).state.givenUp), [founderAt(world, 2)]);
    world.kill(world.place(2), true);
    const again = world.start(world.place(2));
    world.settle();
    assert.match(again.expulsions[0]!, /recovered twice/);
  }
});

Deno.test("who is given up by a later recovery of the same nodes is no rival", () => {
  const world = new World();
  const [one, two, three] = started(world, 1, 2, 3);
  world.settle();
  one!.founding.goOnWithout([founderAt(world, 3)], [world.place(2).address]);
  world.save(world.place(1));
  world.settle();
  two!.founding.goOnWithout([founderAt(world, 1)]);
  world.save(world.place(2));
  world.settle();
  assert.match(one!.expulsions[0]!, /went on without this node/);
  assert.deepEqual(two!.expulsions, []);
  assert.match(three!.expulsions[0]!, /went on without this node/);
});
