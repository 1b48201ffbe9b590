import { strict as assert } from "node:assert";
import type { Configuration, Member } from "./configuration.ts";
import { isAstray, isAsWanted, nextMembers, type WantedMembers } from "./next_members.ts";

/** Members as `node` or `node.incarnation`, separated by spaces. */
function members(text: string): Member[] {
  return text.split(" ").filter((word) => word !== "").map((word) => {
    const [node, incarnation] = word.split(".");
    return { node: Number(node), incarnation: Number(incarnation ?? 7) };
  });
}

function configuration(voters: string, learners = "", outgoing = ""): Configuration {
  return {
    voters: members(voters),
    outgoing: members(outgoing),
    learners: members(learners),
  };
}

function wanted(voters: string, learners = ""): WantedMembers {
  return { voters: members(voters), learners: members(learners) };
}

const ALL = () => true;
const NOBODY = () => false;

function next(
  now: Configuration,
  then: WantedMembers,
  isCaughtUp: (node: number) => boolean = ALL,
): string | null {
  const step = nextMembers(now, then, isCaughtUp);
  if (step === null) return null;
  const text = (list: readonly Member[]) =>
    list.map(({ node, incarnation }) => incarnation === 7 ? `${node}` : `${node}.${incarnation}`)
      .join(" ");
  return `${text(step.voters)} / ${text(step.learners)}`;
}

Deno.test("what is as it should be needs no step", () => {
  assert.equal(next(configuration("1 2 3", "4"), wanted("1 2 3", "4")), null);
  assert(isAsWanted(configuration("1 2"), wanted("1 2")));
  assert(!isAsWanted(configuration("1 2", "", "1 3"), wanted("1 2")));
});

Deno.test("a new voter is a learner first, and a voter when it has caught up", () => {
  assert.equal(next(configuration("1 2 3"), wanted("1 2 4")), "1 2 3 / 4");
  assert.equal(next(configuration("1 2 3", "4"), wanted("1 2 4"), NOBODY), null);
  assert.equal(next(configuration("1 2 3", "4"), wanted("1 2 4")), "1 2 4 / ");
});

Deno.test("all replicas change in one step, when all new ones have caught up", () => {
  assert.equal(next(configuration("1 2 3"), wanted("4 5 6")), "1 2 3 / 4 5 6");
  const isCaughtUp = (node: number) => node !== 6;
  assert.equal(next(configuration("1 2 3", "4 5 6"), wanted("4 5 6"), isCaughtUp), null);
  assert.equal(next(configuration("1 2 3", "4 5 6"), wanted("4 5 6")), "4 5 6 / ");
});

Deno.test("voters leave only where a majority of those that stay keeps up", () => {
  const withoutThree = (node: number) => node !== 3;
  assert.equal(next(configuration("1 2 3"), wanted("2 3"), withoutThree), null);
  assert.equal(next(configuration("1 2 3"), wanted("3"), withoutThree), null);
  assert.equal(next(configuration("1 2 3"), wanted("1 2"), withoutThree), "1 2 / ");
  assert.equal(next(configuration("1 2 3", "4"), wanted("4 2 3"), withoutThree), "4 2 3 / ");
  assert.equal(
    next(configuration("1 2 3"), wanted("3 1 2"), NOBODY),
    "3 1 2 / ",
    "the same voters",
  );
  assert.equal(next(configuration("1 2 3", "4"), wanted("1 2 3"), NOBODY), "1 2 3 / ");
});

Deno.test("learners come and go at once, and so does another order of preference", () => {
  assert.equal(next(configuration("1 2 3", "4"), wanted("1 2 3", "5")), "1 2 3 / 5");
  assert.equal(next(configuration("1 2 3", "4"), wanted("1 2 3")), "1 2 3 / ");
  assert.equal(next(configuration("1 2 3"), wanted("3 1 2")), "3 1 2 / ");
});

Deno.test("a life that is over leaves before the next one of its node comes", () => {
  assert.equal(next(configuration("1 2.5 3"), wanted("1 2.6 3")), "1 3 / ");
  assert.equal(next(configuration("1 3"), wanted("1 2.6 3")), "1 3 / 2.6");
  assert.equal(next(configuration("1 3", "2.6"), wanted("1 2.6 3"), NOBODY), null);
  assert.equal(next(configuration("1 3", "2.6"), wanted("1 2.6 3")), "1 2.6 3 / ");
  assert.equal(next(configuration("1 3", "2.5"), wanted("1 3", "2.6")), "1 3 / ");
  assert.equal(next(configuration("2.5"), wanted("2.6")), null, "the only voter cannot leave");
});

Deno.test("a move that is taken back while two sets of voters decide is cancelled", () => {
  assert(isAstray(configuration("1 2 4", "", "1 2 3"), wanted("1 2 3")));
  assert(!isAstray(configuration("1 2 4", "", "1 2 3"), wanted("1 2 4")));
  assert(!isAstray(configuration("1 3", "", "1 2.5 3"), wanted("1 2.6 3")));
  assert(!isAstray(configuration("1 2 3"), wanted("4")));
});

Deno.test("from any members to any others, one step at a time", () => {
  const goals = ["1", "1 2 3", "4 5 6", "2 3 4 5 6", "1.8 2 3", "6.9 5 4"];
  for (const from of goals) {
    for (const to of goals) {
      let now = configuration(from);
      const then = wanted(to);
      let steps = 0;
      for (;;) {
        const step = nextMembers(now, then, ALL);
        if (step === null) break;
        now = { voters: step.voters, outgoing: [], learners: step.learners };
        assert(steps++ < 5, `${from} to ${to} goes round in circles`);
      }
      const isStuck = from === "1" && to.startsWith("1.8");
      assert(isStuck || isAsWanted(now, then), `${from} to ${to} ends at ${JSON.stringify(now)}`);
    }
  }
});
