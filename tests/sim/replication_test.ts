import { strict as assert } from "node:assert";
import { ReplicationSimulation } from "./replication_simulation.ts";

const FIRST = Number(Deno.env.get("GREGOR_REPLICATION_FIRST") ?? 1);
const COUNT = Number(Deno.env.get("GREGOR_REPLICATION_COUNT") ?? 20);

for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
  Deno.test(`replication seed ${seed}`, () => {
    const result = new ReplicationSimulation(seed).run();
    assert.ok(result.committed > 0, "clients did work");
    if (seed % 5 === 0) assert.deepEqual(new ReplicationSimulation(seed).run(), result);
  });
}
