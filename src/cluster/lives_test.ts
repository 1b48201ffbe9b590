import { strict as assert } from "node:assert";
import {
  isNamed,
  isPartial,
  isSameLife,
  lifeOfMember,
  nameOfLife,
  partialLife,
  readLife,
} from "./lives.ts";
import { memberIncarnation } from "./members.ts";

const LIFE = "df6e1c0a9b3d4e2f8a7b6c5d4e3f2a1b";
const OTHER = "0f6e1c0a9b3d4e2f8a7b6c5d4e3f2a1b";

function founderOf(nodeId: number, incarnation: string, host = `h${nodeId}`) {
  return { nodeId, incarnation, host, port: 33145 };
}

Deno.test("a life is named by its node and its number, and read as it is written", () => {
  const life = founderOf(1, LIFE);
  assert.equal(nameOfLife(life), "1:5f6e1c0a");
  assert.deepEqual(readLife(nameOfLife(life)), { nodeId: 1, life: memberIncarnation(LIFE) });
  assert.deepEqual(readLife(" 12 "), { nodeId: 12, life: null });
  for (const text of ["", "x", "1:", "1:5f6e", "1:5f6e1c0g", "-1", "1:5f6e1c0a:2", "3000000000"]) {
    assert.equal(readLife(text), null, text);
  }
});

Deno.test("a life is named by its number only: its node alone names none, nor does another life of it", () => {
  const life = founderOf(1, LIFE);
  assert(isNamed([readLife("2:5f6e1c0a")!, readLife("1:5F6E1C0A")!], life));
  for (const text of ["1", "2:5f6e1c0a", "1:0f6e1c0a"]) {
    assert(!isNamed([readLife(text)!], life), text);
  }
});

Deno.test("a life of which only the number is known is the same as the one that it is the number of", () => {
  const partial = partialLife(memberIncarnation(LIFE));
  assert(isPartial(partial) && !isPartial(LIFE));
  assert.equal(memberIncarnation(partial), memberIncarnation(LIFE));
  assert(isSameLife(partial, LIFE) && isSameLife(LIFE, partial) && isSameLife(LIFE, LIFE));
  assert(!isSameLife(partial, OTHER) && !isSameLife(LIFE, OTHER));
});

Deno.test("a member is the life that it was a member in, wherever that is known, and not the one that its node has now", () => {
  const known = [founderOf(1, OTHER, "now"), founderOf(1, LIFE, "then"), founderOf(2, OTHER)];
  const member = { node: 1, incarnation: memberIncarnation(LIFE) };
  assert.deepEqual(lifeOfMember(member, known), known[1]);
  // Nobody knows it: its number is left, and where the node is.
  assert.deepEqual(lifeOfMember(member, [known[0]!]), {
    ...known[0]!,
    incarnation: partialLife(member.incarnation),
  });
  assert.deepEqual(lifeOfMember(member, []), {
    nodeId: 1,
    incarnation: partialLife(member.incarnation),
    host: "",
    port: 0,
  });
  // Whoever has that id: the first that is known.
  assert.deepEqual(lifeOfMember({ node: 1, incarnation: 0 }, known), known[0]);
  // An older program noted the id only.
  const noted = { nodeId: 1, incarnation: "", host: "", port: 0 };
  assert.deepEqual(lifeOfMember(member, [noted, known[1]!]), known[1]);
});
