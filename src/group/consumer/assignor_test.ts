import { strict as assert } from "node:assert";
import fc from "../../../tests/harness/fast_check.ts";
import { type AssignorInput, type AssignorMember, ASSIGNORS } from "./assignor.ts";
import type { Assignment, TopicFacts } from "./types.ts";

const RACKS = ["r0", "r1", "r2"];

function topicOf(id: string, partitionCount: number): TopicFacts {
  return { id, name: id, partitionCount, racksOf: (partition) => [RACKS[partition % 3]!] };
}

function inputOf(
  topics: readonly (readonly [string, number])[],
  members: readonly (Partial<AssignorMember> & { memberId: string; reads: readonly string[] })[],
): AssignorInput {
  return {
    topics: new Map(topics.map(([id, count]) => [id, topicOf(id, count)])),
    members: members.map(({ reads, ...member }) => ({
      instanceId: null,
      rackId: null,
      topicIds: new Set(reads),
      previous: new Map(),
      ...member,
    })),
  };
}

/** Any group: some topics, members that read some of them. */
const groups = fc.record({
  counts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
  reads: fc.array(fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 6,
  }),
  isEven: fc.boolean(),
  leaver: fc.nat(5),
});

function groupOf(
  { counts, reads, isEven }: { counts: number[]; reads: number[][]; isEven: boolean },
): AssignorInput {
  const ids = counts.map((_, at) => `t${at}`);
  const members = reads.map((list, at) => {
    const some = isEven ? ids : list.filter((index) => index < ids.length).map((i) => ids[i]!);
    return { memberId: `m${at}`, reads: some };
  });
  const read = new Set(members.flatMap((member) => member.reads));
  const topics = ids.map((id, at) => [id, counts[at]!] as const).filter(([id]) => read.has(id));
  return inputOf(topics, members);
}

function size(assignment: Assignment): number {
  return [...assignment.values()].reduce((sum, list) => sum + list.length, 0);
}

/** Every partition has one owner, who reads its topic. */
function checkWhole(input: AssignorInput, assigned: ReadonlyMap<string, Assignment>): void {
  assert.equal(assigned.size, input.members.length);
  const owners = new Map<string, string>();
  for (const { memberId, topicIds } of input.members) {
    for (const [topicId, partitions] of assigned.get(memberId)!) {
      assert.ok(topicIds.has(topicId), "a member got a topic that it does not read");
      assert.ok(partitions.length > 0, "an empty list");
      for (const partition of partitions) {
        assert.ok(!owners.has(`${topicId}/${partition}`), "a partition has two owners");
        owners.set(`${topicId}/${partition}`, memberId);
      }
    }
  }
  let total = 0;
  for (const { partitionCount } of input.topics.values()) total += partitionCount;
  assert.equal(owners.size, total, "a partition has no owner");
}

/** No partition could go to a reader that has two less. */
function checkEven(input: AssignorInput, assigned: ReadonlyMap<string, Assignment>): void {
  for (const { memberId } of input.members) {
    for (const topicId of assigned.get(memberId)!.keys()) {
      for (const other of input.members) {
        if (!other.topicIds.has(topicId)) continue;
        assert.ok(size(assigned.get(memberId)!) - size(assigned.get(other.memberId)!) <= 1);
      }
    }
  }
}

function again(input: AssignorInput, assigned: ReadonlyMap<string, Assignment>): AssignorInput {
  return {
    ...input,
    members: input.members.map((member) => ({
      ...member,
      previous: assigned.get(member.memberId) ?? new Map(),
    })),
  };
}

for (const [name, assign] of ASSIGNORS) {
  Deno.test(`${name}: every partition that is read has exactly one owner, who reads it`, () => {
    fc.assert(fc.property(groups, (group) => {
      const input = groupOf(group);
      checkWhole(input, assign(input));
    }));
  });

  Deno.test(`${name}: the same group gets the same assignment again`, () => {
    fc.assert(fc.property(groups, (group) => {
      const input = groupOf(group);
      const first = assign(input);
      assert.deepEqual(assign(again(input, first)), first);
    }));
  });
}

Deno.test("uniform: nobody could be given a partition of a member that has two more", () => {
  fc.assert(fc.property(groups, (group) => {
    const input = groupOf(group);
    checkEven(input, ASSIGNORS.get("uniform")!(input));
  }));
});

Deno.test("uniform: when a member goes, the others keep what they have", () => {
  fc.assert(fc.property(groups, (group) => {
    const assign = ASSIGNORS.get("uniform")!;
    const input = groupOf({ ...group, isEven: true });
    if (input.members.length < 2) return;
    const first = assign(input);
    const gone = group.leaver % input.members.length;
    const rest = { ...input, members: input.members.filter((_, at) => at !== gone) };
    const second = assign(again(rest, first));
    checkWhole(rest, second);
    checkEven(rest, second);
    for (const { memberId } of rest.members) {
      for (const [topicId, partitions] of first.get(memberId)!) {
        const now = second.get(memberId)!.get(topicId) ?? [];
        for (const partition of partitions) assert.ok(now.includes(partition), "it moved");
      }
    }
  }));
});

Deno.test("uniform: when a member comes, only what it gets moves", () => {
  fc.assert(fc.property(groups, (group) => {
    const assign = ASSIGNORS.get("uniform")!;
    const input = groupOf({ ...group, isEven: true });
    const first = assign(input);
    const reads = input.members[0]!.topicIds;
    const comer = { ...input.members[0]!, memberId: "new", topicIds: reads };
    const wider = { ...input, members: [...input.members, comer] };
    const second = assign(again(wider, first));
    checkWhole(wider, second);
    checkEven(wider, second);
    let kept = 0;
    for (const { memberId } of input.members) {
      for (const [topicId, partitions] of first.get(memberId)!) {
        const now = second.get(memberId)!.get(topicId) ?? [];
        kept += partitions.filter((partition) => now.includes(partition)).length;
      }
    }
    const total = [...first.values()].reduce((sum, assignment) => sum + size(assignment), 0);
    assert.equal(kept, total - size(second.get("new")!));
  }));
});

Deno.test("uniform: partitions go to members in a rack of their replicas, where that costs no evenness", () => {
  const members = RACKS.map((rackId, at) => ({ memberId: `m${at}`, rackId, reads: ["t"] }));
  const assigned = ASSIGNORS.get("uniform")!(inputOf([["t", 9]], members));
  for (const [at, { memberId }] of members.entries()) {
    assert.deepEqual(assigned.get(memberId)!.get("t"), [at, at + 3, at + 6]);
  }
});

Deno.test("range: neighbours, the same of all topics, static members first", () => {
  const reads = ["t", "u"];
  const assigned = ASSIGNORS.get("range")!(inputOf([["t", 5], ["u", 5]], [
    { memberId: "b", reads },
    { memberId: "z", instanceId: "one", reads },
  ]));
  assert.deepEqual([...assigned.get("z")!], [["t", [0, 1, 2]], ["u", [0, 1, 2]]]);
  assert.deepEqual([...assigned.get("b")!], [["t", [3, 4]], ["u", [3, 4]]]);
});

Deno.test("uniform: a large group is assigned quickly", () => {
  const reads = Array.from({ length: 20 }, (_, at) => `t${at}`);
  const topics = reads.map((id) => [id, 500] as const);
  const members = Array.from({ length: 500 }, (_, at) => ({ memberId: `m${at}`, reads }));
  const input = inputOf(topics, members);
  const begun = performance.now();
  const first = ASSIGNORS.get("uniform")!(input);
  ASSIGNORS.get("uniform")!(again(input, first));
  // 10,000 partitions; a bound that only an algorithm of another order breaks.
  assert.ok(performance.now() - begun < 3_000);
});
