import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import type { Configuration } from "./configuration.ts";
import { Membership } from "./membership.ts";
import { members, simple } from "./test_cluster.ts";

/** Node 1's view, where each other node (2, 3, ...) has acknowledged what `matches` says. */
function membership(configuration: Configuration, matches: readonly number[]): Membership {
  const made = new Membership({ node: 1, incarnation: 0 }, configuration);
  made.activate(configuration, 1, configuration);
  for (const peer of made.peers) {
    peer.match = matches[peer.node - 2]!;
    peer.hasGranted = peer.match > 0;
  }
  return made;
}

/** The largest index that more than half of the set has, counted the slow way. */
function majorityOf(set: readonly number[], matchOf: (node: number) => number): number {
  const all = set.map(matchOf);
  return Math.max(
    0,
    ...all.filter((match) => all.filter((each) => each >= match).length > set.length / 2),
  );
}

const nodes = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
const matches = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 8, maxLength: 8 });

Deno.test("matchOfMajority() is what more than half of each set has", () => {
  fc.assert(
    fc.property(nodes, fc.option(nodes), matches, fc.nat(6), (voters, outgoing, others, own) => {
      const made = membership({
        voters: members(...voters),
        outgoing: members(...(outgoing ?? [])),
        learners: [],
      }, others);
      const matchOf = (node: number): number => node === 1 ? own : others[node - 2]!;
      let expected = majorityOf(voters, matchOf);
      if (outgoing !== null) expected = Math.min(expected, majorityOf(outgoing, matchOf));
      assert.equal(made.matchOfMajority(own), expected);
    }),
  );
});

Deno.test("isElected counts votes in each set, and those of voters only", () => {
  fc.assert(fc.property(nodes, fc.option(nodes), matches, (voters, outgoing, others) => {
    const made = membership({
      voters: members(...voters),
      outgoing: members(...(outgoing ?? [])),
      learners: members(...[2, 3].filter((node) => !voters.includes(node))),
    }, others);
    const isMajority = (set: readonly number[]): boolean =>
      set.filter((node) => node === 1 || others[node - 2]! > 0).length > set.length / 2;
    assert.equal(made.isElected, isMajority(voters) && (outgoing === null || isMajority(outgoing)));
  }));
});

Deno.test("activate() keeps what is known of members that stay, and of no other incarnation", () => {
  const made = membership(simple(1, 2, 3), [7, 8]);
  const voters = [...members(1, 2), { node: 3, incarnation: 1 }];
  made.activate({ voters, outgoing: [], learners: members(4) }, 9, made.configuration);
  assert.deepEqual(made.peers.map(({ node, match }) => [node, match]), [[2, 7], [3, 0], [4, 0]]);
  assert.deepEqual(made.peers.map(({ isLearner }) => isLearner), [false, false, true]);
});

Deno.test("rank() is the place among the voters, without the one that is gone", () => {
  const made = membership(simple(2, 1, 3), [0, 0]);
  assert.equal(made.rank(-1), 1);
  assert.equal(made.rank(2), 0);
  assert.equal(made.rank(3), 1);
});

Deno.test("a replica whose incarnation is another one is no voter", () => {
  const made = new Membership({ node: 1, incarnation: 5 }, simple(1));
  made.activate(simple(1), 0, simple(1));
  assert.equal(made.isVoter, false);
  assert.equal(made.isElected, false);
  assert.equal(made.matchOfMajority(9), 0);
});
