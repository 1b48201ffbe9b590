import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { newNodeHello, type NodeHello } from "../wire/generated/node_hello.ts";
import { HELLO_INTERVAL_MS, isFounder, UNFORMED } from "./founding.ts";
import { decodeHello, encodeHello } from "./hello.ts";
import { newUuid } from "./ids.ts";
import { type Message, type Place, SEED_PORTS, started, World } from "./test_founding.ts";

Deno.test("a node without seeds founds a cluster of one, and stays in it", () => {
  const world = new World();
  const place = world.place(1);
  const process = world.start(place, []);
  assert.equal(process.formed, null, "not before it is durable");
  assert.equal(process.founding.nextTickMs, Infinity, "there is nobody to ask");
  world.save(place);
  assert.match(process.formed!.clusterId, /^[A-Za-z0-9_-]{22}$/);
  assert.deepEqual(process.formed!.founders.map(({ nodeId }) => nodeId), [1]);
  assert.deepEqual(world.messages, []);
  world.kill(place, true);
  const again = world.start(place, []);
  assert.deepEqual(again.formed, process.formed);
  assert.equal(again.pending, null, "nothing is written again");
});

Deno.test("the seeds found one cluster, with the same founders in the same order", () => {
  const world = new World();
  const processes = started(world, 3, 1, 2);
  world.settle();
  const [first] = processes;
  for (const { formed } of processes) assert.deepEqual(formed, first!.formed);
  assert.deepEqual(first!.formed!.founders.map(({ nodeId }) => nodeId), [1, 2, 3]);
  for (const { incarnation, state } of world.places.values()) assert(isFounder(state, incarnation));
});

Deno.test("as long as one seed is silent there is no cluster, and people are told who is missing", () => {
  const world = new World();
  const [one, two] = started(world, 1, 2);
  world.settle();
  assert.equal(world.clusterIds.size, 0);
  assert.equal(one!.founding.waitsFor, "no answer yet from h:3");
  started(world, 3);
  world.settle();
  assert.equal(world.clusterIds.size, 1);
  assert(one!.formed !== null && two!.formed !== null);
});

Deno.test("nobody founds before everybody has agreed durably", () => {
  const world = new World();
  started(world, 1, 2, 3);
  for (let round = 0; round < 20; round++) {
    world.nowMs += HELLO_INTERVAL_MS;
    for (const [at, place] of [...world.places.values()].entries()) {
      place.process!.founding.tick(world.nowMs);
      // The third one's disk hangs.
      if (at !== 2) world.save(place);
    }
    for (let left = world.messages.length; left > 0; left--) world.deliver(0);
  }
  assert.equal(world.clusterIds.size, 0);
  assert.notEqual(world.place(3).process!.pending, null);
  assert.match(world.place(1).process!.founding.waitsFor, /nodes 3 have not agreed/);
});

Deno.test("a wiped founder joins the cluster that there is, also when only one of it runs", () => {
  const world = new World();
  started(world, 1, 2, 3);
  world.settle();
  const [clusterId] = world.clusterIds;
  world.wipe(world.place(1));
  world.kill(world.place(3), true);
  const [process] = started(world, 1);
  world.settle();
  assert.equal(process!.formed?.clusterId, clusterId);
  const { state, incarnation } = world.place(1);
  assert(!isFounder(state, incarnation), "what it agreed to is lost");
});

Deno.test("a founder that missed the decision hears of it later", () => {
  const world = new World();
  started(world, 1, 2, 3);
  world.settle(3);
  const third = world.place(3);
  world.kill(third, false);
  assert(third.state.pledge !== null || third.state.clusterId !== "");
  world.settle();
  started(world, 3);
  world.settle();
  assert.equal(world.clusterIds.size, 1);
  assert(isFounder(third.state, third.incarnation));
});

Deno.test("a node that is not among the seeds waits for a cluster, and founds none", () => {
  const world = new World();
  const newcomer = world.start(world.place(9));
  started(world, 1, 2);
  world.settle();
  assert.equal(newcomer.formed, null);
  started(world, 3);
  world.settle();
  assert.equal(world.clusterIds.size, 1);
  assert(!isFounder(newcomer.formed!, world.place(9).incarnation));
  assert.deepEqual(newcomer.formed!.founders.map(({ nodeId }) => nodeId), [1, 2, 3]);
  const alone = new World();
  const waiting = alone.start(alone.place(9), [{ host: "h", port: 1 }]);
  alone.start(alone.place(1), [{ host: "h", port: 9 }]);
  alone.settle();
  assert.match(waiting.founding.waitsFor, /not one of the --seeds/);
});

Deno.test("seeds under other names of the same nodes count once", () => {
  const world = new World();
  world.seeds = [...world.seeds, { host: "alias", port: 1 }, { host: "alias", port: 2 }];
  for (const port of SEED_PORTS) {
    world.places.set(`alias:${port}`, world.place(port));
  }
  started(world, 1, 2, 3);
  world.settle();
  assert.equal(world.clusterIds.size, 1);
  assert.deepEqual(world.place(1).state.founders.map(({ nodeId }) => nodeId), [1, 2, 3]);
});

Deno.test("two nodes with one id do not start, and say what to do", () => {
  const world = new World();
  world.place(2, 1);
  const processes = started(world, 1, 2, 3);
  world.settle();
  assert.match(
    processes[0]!.refused,
    /both have the id 1: start one of them with another --node-id/,
  );
  assert.match(processes[1]!.refused, /both have the id 1/);
  assert.equal(world.clusterIds.size, 0);
});

Deno.test("a copied data directory does not start", () => {
  const world = new World();
  started(world, 1, 2, 3);
  world.settle();
  const original = world.place(3);
  const copy = world.place(2);
  world.kill(copy, true);
  copy.incarnation = original.incarnation;
  copy.nodeId = original.nodeId;
  copy.state = UNFORMED;
  const process = world.start(copy);
  world.settle();
  assert.match(process.refused, /copies of each other: empty the one/);
  assert(original.process!.formed !== null, "who was first continues");
});

Deno.test("a seed of another cluster is told of, once", () => {
  const world = new World();
  world.start(world.place(1), []);
  world.start(world.place(2), []);
  world.settle();
  world.kill(world.place(2), true);
  const foreign = world.start(world.place(2));
  world.settle();
  assert.equal(world.clusterIds.size, 2);
  assert.equal(foreign.refused, "");
  assert.match(foreign.warnings[0]!, /this node belongs to the cluster .*, and the seed h:1 to /);
  assert.equal(foreign.warnings.length, 1);
});

Deno.test("a node that agreed to found a cluster hears what became of it before it goes elsewhere", () => {
  const world = new World();
  const founders = [7, 3].map((port) => {
    const { nodeId, incarnation, address } = world.place(port);
    return { nodeId, incarnation, ...address };
  });
  const place = world.place(3);
  place.state = { ...UNFORMED, pledge: { clusterId: "A".repeat(22), founders } };
  world.start(world.place(1), [{ host: "h", port: 1 }]);
  const process = world.start(place, [{ host: "h", port: 1 }]);
  world.settle();
  assert.equal(process.formed, null);
  assert.match(process.founding.waitsFor, /no answer yet from h:7/);
  // It never decided.
  world.start(world.place(7), [{ host: "h", port: 8 }]);
  world.settle();
  assert.equal(process.formed!.clusterId, world.place(1).state.clusterId);
});

for (const [other, what] of [[6, "proposes"], [4, "agrees to"]] as const) {
  Deno.test(`a node that has agreed ${what} nothing else, as long as the first may come true`, () => {
    const seeds = (...ports: number[]) => ports.map((port) => ({ host: "h", port }));
    const world = new World();
    const proposer = world.place(3);
    const member = world.place(5);
    world.start(proposer, seeds(3, 5));
    world.start(member, seeds(3, 5));
    const held: Message[] = [];
    while (member.state.pledge === null || held.length === 0) {
      world.nowMs += HELLO_INTERVAL_MS;
      proposer.process!.founding.tick(world.nowMs);
      member.process!.founding.tick(world.nowMs);
      world.save(member);
      const late = world.messages.filter(({ to, bytes }) =>
        to === "h:3" && decodeHello(bytes)!.proposalId !== ""
      );
      held.push(...late);
      world.messages = world.messages.filter((message) => !late.includes(message));
      for (let left = world.messages.length; left > 0; left--) world.deliver(0);
    }
    // Its agreement is still on its way when it is started again, for another cluster; the proposer cannot be reached.
    world.kill(member, false);
    world.places.delete("h:3");
    world.start(member, seeds(5, other));
    world.start(world.place(other), seeds(5, other));
    world.settle();
    assert.equal(world.clusterIds.size, 0);
    assert.match(member.process!.founding.waitsFor, /no answer yet from h:3/);
    world.places.set("h:3", proposer);
    for (const message of held) world.messages.push(message);
    world.settle();
    assert.equal(world.clusterIds.size, 1);
    assert.equal(member.state.clusterId, proposer.state.clusterId);
    assert.notEqual(member.state.clusterId, "");
  });
}

Deno.test("a node that belongs to no cluster refuses seeds of two", () => {
  const world = new World();
  world.start(world.place(1), []);
  world.start(world.place(2), []);
  world.settle();
  const founders = [{ nodeId: 7, incarnation: newUuid(world.random), host: "h", port: 7 }];
  const place = world.place(3);
  place.state = { ...UNFORMED, pledge: { clusterId: "A".repeat(22), founders } };
  const process = world.start(place, [1, 2].map((port) => ({ host: "h", port })));
  world.settle();
  assert.match(process.refused, /belong to different clusters, h:1 to .* and h:2 to /);
});

Deno.test("a node that is met and does not talk is judged all the same", () => {
  const world = new World();
  const process = world.start(world.place(1));
  const incarnation = newUuid(world.random);
  process.founding.met({ host: "h", port: 2 }, { nodeId: 2, incarnation, clusterId: "" }, 0);
  assert.equal(process.refused, "");
  process.founding.met({ host: "h", port: 2 }, { nodeId: 1, incarnation, clusterId: "" }, 0);
  assert.match(process.refused, /both have the id 1/);
});

Deno.test("seeds that do not agree who the seeds are found nothing, and say so", () => {
  const world = new World();
  const seeds = (...ports: number[]) => ports.map((port) => ({ host: "h", port }));
  const one = world.start(world.place(1), seeds(1, 2));
  world.start(world.place(2), seeds(2, 3));
  world.start(world.place(3), seeds(3, 1));
  world.settle();
  assert.equal(world.clusterIds.size, 0);
  assert.match(one.founding.waitsFor, /do all have the same --seeds/);
});

Deno.test("what is no hello, or makes no sense, is not read", () => {
  const world = new World();
  const good = encodeHello(helloOf(world));
  assert.notEqual(decodeHello(good), null);
  assert.equal(decodeHello(good.slice(0, -1)), null);
  assert.equal(decodeHello(Uint8Array.of(2, ...good.slice(1))), null);
  assert.equal(decodeHello(new Uint8Array(0)), null);
  for (
    const wrong of [
      { nodeId: -1 },
      { port: 70_000 },
      { host: "" },
      { clusterId: "short" },
      { founders: Array.from({ length: 16 }, (_, i) => ({ ...founderOf(world), nodeId: i })) },
      { founders: [{ ...founderOf(world), port: 0 }] },
    ]
  ) {
    assert.equal(decodeHello(encodeHello({ ...helloOf(world), ...wrong })), null);
  }
});

function founderOf(world: World) {
  return { nodeId: 1, incarnation: newUuid(world.random), host: "h", port: 1 };
}

function helloOf(world: World): NodeHello {
  return newNodeHello({ ...founderOf(world), founders: [founderOf(world)] });
}

/** What happens next, as small numbers. */
const STEPS = fc.array(fc.nat({ max: 99 }), { maxLength: 400 });

Deno.test("never two clusters, and one as soon as all seeds live, whatever is lost, late, doubled or crashes", () => {
  fc.assert(
    fc.property(fc.nat(), STEPS, (seed, steps) => {
      const world = new World(seed);
      const places = [...SEED_PORTS, 9].map((port) => world.place(port));
      const pick = (): Place => places[world.random.nextBelow(places.length)]!;
      for (const step of steps) {
        world.nowMs += world.random.nextBelow(HELLO_INTERVAL_MS);
        const place = pick();
        const at = world.random.nextBelow(Math.max(1, world.messages.length));
        if (step < 45) world.deliver(at, step < 5);
        else if (step < 50) world.messages.splice(at, 1);
        else if (step < 65) world.save(place);
        else if (step < 85) place.process?.founding.tick(world.nowMs);
        else if (step < 95 && place.process === null) world.start(place);
        else if (step < 97) world.kill(place, step === 96);
        if (world.messages.length > 60) world.messages.splice(at, 1);
        assert(world.clusterIds.size <= 1, "two clusters");
      }
      for (const place of places) if (place.process === null) world.start(place);
      world.settle();
      assert.equal(world.clusterIds.size, 1);
      for (const { process, state, incarnation, address } of places) {
        assert.equal(process!.refused, "");
        assert.notEqual(process!.formed, null);
        assert.equal(isFounder(state, incarnation), address.port !== 9);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("no node founds two clusters, even when each start is given other seeds", () => {
  fc.assert(
    fc.property(fc.nat(), STEPS, (seed, steps) => {
      const world = new World(seed);
      const places = SEED_PORTS.map((port) => world.place(port));
      const decided = new Map<string, readonly string[]>();
      const anySeeds = () => {
        const chosen = world.seeds.filter(() => world.random.nextBelow(2) === 0);
        return chosen.length > 0 ? chosen : world.seeds;
      };
      for (const step of steps) {
        world.nowMs += world.random.nextBelow(HELLO_INTERVAL_MS);
        const place = places[world.random.nextBelow(places.length)]!;
        if (step < 50) world.deliver(world.random.nextBelow(Math.max(1, world.messages.length)));
        else if (step < 70) world.save(place);
        else if (step < 85) place.process?.founding.tick(world.nowMs);
        else if (step < 97 && place.process === null) world.start(place, anySeeds());
        else if (step >= 97) world.kill(place, step === 98);
        if (world.messages.length > 40) world.messages.shift();
        for (const { state } of places) {
          if (state.clusterId === "") continue;
          decided.set(state.clusterId, state.founders.map(({ incarnation }) => incarnation));
        }
      }
      const founders = [...decided.values()].flat();
      assert.equal(new Set(founders).size, founders.length, "a founder of two clusters");
    }),
    { numRuns: 1000 },
  );
});

Deno.test("never two clusters when disks are lost, and one again when all seeds live", () => {
  fc.assert(
    fc.property(fc.nat(), STEPS, (seed, steps) => {
      const world = new World(seed);
      const places = SEED_PORTS.map((port) => world.place(port));
      let wipesLeft = 2;
      for (const place of places) world.start(place);
      for (const step of steps) {
        world.nowMs += world.random.nextBelow(HELLO_INTERVAL_MS);
        const place = places[world.random.nextBelow(places.length)]!;
        // A connection delivers in order, and none outlives the process that made it.
        if (step < 60) world.deliver(0);
        else if (step < 75) world.save(place);
        else if (step < 90) place.process?.founding.tick(world.nowMs);
        else if (step < 93) {
          const saves = step === 92;
          world.kill(place, saves);
          world.messages = [];
          world.start(place);
        } else if (step < 95 && wipesLeft > 0) {
          wipesLeft--;
          world.wipe(place);
          world.messages = [];
          world.start(place);
        }
        assert(world.clusterIds.size <= 1, "two clusters");
      }
      world.settle();
      assert.equal(world.clusterIds.size, 1);
      for (const { process } of places) assert.equal(process!.refused, "");
    }),
    { numRuns: 300 },
  );
});
