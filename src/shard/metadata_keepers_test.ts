import { strict as assert } from "node:assert";
import type { Founder } from "../cluster/founding.ts";
import { Timers } from "../io/timers.ts";
import type { Member } from "../raft/configuration.ts";
import { MetadataKeepers } from "./metadata_keepers.ts";
import type { Written } from "./node_membership.ts";

/** Keepers of node 0, and a manifest whose writes the test ends. */
class Notes {
  nowMs = 0;
  noted: readonly Founder[] = [];
  readonly writes: { readonly keepers: readonly Founder[]; readonly done: Written }[] = [];
  told = 0;
  host = "h";
  readonly timers = new Timers();
  readonly keepers: MetadataKeepers;

  constructor() {
    const membership = {
      keepers: [] as readonly Founder[],
      noteKeepers: (keepers: readonly Founder[], done: Written) => {
        this.writes.push({ keepers, done });
      },
    };
    Object.defineProperty(membership, "keepers", { get: () => this.noted });
    this.keepers = new MetadataKeepers({
      nodeId: 0,
      membership,
      timers: this.timers,
      nowMs: () => this.nowMs,
      lifeOf: ({ node, incarnation }) => ({
        nodeId: node,
        incarnation: `${incarnation}`,
        host: this.host,
        port: node,
      }),
      onNoted: () => this.told++,
    });
  }

  end(fails = false): void {
    const { keepers, done } = this.writes.shift()!;
    if (!fails) this.noted = keepers;
    done(fails ? { kind: "error", reason: "the disk" } : null);
  }

  get ids(): string {
    return this.noted.map(({ nodeId, incarnation }) => `${nodeId}:${incarnation}`).join(" ");
  }
}

function members(...lives: readonly [number, number][]): Member[] {
  return lives.map(([node, incarnation]) => ({ node, incarnation }));
}

function configuration(...lives: readonly [number, number][]) {
  return { voters: members(...lives), outgoing: [], learners: [] };
}

Deno.test("a member is noted before it may become one, in its life and with its place", () => {
  const notes = new Notes();
  assert(notes.keepers.covers(members([0, 1])));
  assert(!notes.keepers.covers(members([0, 1], [2, 7], [1, 5])));
  notes.end();
  assert.equal(notes.told, 1);
  assert(notes.keepers.covers(members([0, 1], [2, 7], [1, 5])));
  assert.equal(notes.ids, "1:5 2:7");
  // Another life is another keeper, until the former one has left.
  assert(!notes.keepers.covers(members([0, 1], [2, 8], [1, 5])));
  notes.end();
  assert.equal(notes.ids, "1:5 2:7 2:8");
  notes.keepers.settled(configuration([0, 1], [1, 5], [2, 8]));
  notes.end();
  assert.equal(notes.ids, "1:5 2:8");
  assert.deepEqual(notes.writes, []);
});

Deno.test("a list that is being written without a node does not count for it", () => {
  const notes = new Notes();
  notes.keepers.settled(configuration([0, 1], [1, 5], [2, 7]));
  notes.end();
  // Node 2 leaves, and comes back before that is written.
  notes.keepers.settled(configuration([0, 1], [1, 5]));
  assert.equal(notes.writes.length, 1);
  assert(!notes.keepers.covers(members([0, 1], [1, 5], [2, 7])));
  notes.end();
  assert.equal(notes.ids, "1:5");
  assert(!notes.keepers.covers(members([0, 1], [1, 5], [2, 7])));
  notes.end();
  assert(notes.keepers.covers(members([0, 1], [1, 5], [2, 7])));
  assert.equal(notes.ids, "1:5 2:7");
});

Deno.test("a note that could not be written is tried again; until then nobody is covered by it", () => {
  const notes = new Notes();
  assert(!notes.keepers.covers(members([1, 5])));
  notes.end(true);
  assert.equal(notes.told, 0);
  assert(!notes.keepers.covers(members([1, 5])));
  assert.deepEqual(notes.writes, []);
  notes.nowMs = 1_000;
  notes.timers.run(notes.nowMs);
  notes.end();
  assert(notes.keepers.covers(members([1, 5])));
});

Deno.test("where a node is now is noted when the metadata says so", () => {
  const notes = new Notes();
  const now = configuration([0, 1], [1, 5]);
  notes.keepers.settled(now);
  notes.end();
  notes.host = "moved";
  notes.keepers.settled(now);
  assert.deepEqual(notes.writes, []);
  notes.keepers.moved();
  notes.keepers.settled(now);
  notes.end();
  assert.equal(notes.noted[0]!.host, "moved");
});
