import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { runTask } from "../io/task.ts";
import { Timers } from "../io/timers.ts";
import { identityOf, type Manifest } from "../storage/manifest.ts";
import type { StorageContext } from "../storage/shard_storage.ts";
import { NodeMembership } from "./node_membership.ts";
import type { JoinRefusal } from "./start_sequence.ts";

const LIFE = "a".repeat(32);

/** What a node decides whose cluster three nodes founded, it among them in the life `incarnation`. */
function decided(
  incarnation: string,
): { readonly refusal: JoinRefusal | null | undefined; readonly isFounder: boolean } {
  const founders = [1, 2, 3].map((nodeId) => ({
    nodeId,
    incarnation: nodeId === 2 ? incarnation : `${nodeId}`.repeat(32),
    host: "h",
    port: nodeId,
  }));
  const identity = { incarnation: LIFE, clusterId: "A".repeat(22), founders, pledge: null };
  const manifest: Manifest = {
    ...identityOf(null),
    ...identity,
    formatVersion: 3,
    nodeId: 2,
    mountEpoch: 4,
    nextJournalId: 1,
    shards: [],
  };
  const membership = new NodeMembership({
    nodeId: 2,
    address: { host: "h", port: 2 },
    candidate: null,
    seeds: [],
    transport: { send: () => {} },
    context: {} as StorageContext,
    random: new Xoshiro128(1),
    timers: new Timers(),
    nowMs: () => 0,
    logger: { log: () => {} },
    onExpelled: () => {},
  }, manifest);
  let refusal: JoinRefusal | null | undefined;
  runTask(membership.decide(true), (answer) => refusal = answer);
  return { refusal, isFounder: membership.isFounder };
}

Deno.test("a founder starts again; one that lost its data is not taken for what it was", () => {
  assert.deepEqual(decided(LIFE), { refusal: null, isFounder: true });
  assert.deepEqual(decided("9".repeat(32)), { refusal: null, isFounder: false });
});
