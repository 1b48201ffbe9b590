/**
 * `deno run -A tests/sim/raft_trace.ts SEED [LINES]`: replays a seed of the Raft core's simulation, and prints what
 * happened (the last LINES of it) and how it ended.
 *
 * @module
 */

import { RaftSimulation } from "../../src/raft/test_simulation.ts";

const [seed = 1, count = Infinity] = Deno.args.map(Number);
const simulation = new RaftSimulation(seed);
const lines = simulation.traced();
let end: unknown;
try {
  end = simulation.run();
} catch (error) {
  end = error;
}
for (const line of lines.slice(-count)) console.log(line);
console.log(end);
if (end instanceof Error) Deno.exit(1);
