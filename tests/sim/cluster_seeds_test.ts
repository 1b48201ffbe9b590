import { runFreshSeeds, runPastSeeds } from "./cluster_seeds.ts";

Deno.test("clusters: seeds that once failed hold", () => runPastSeeds());

Deno.test("clusters: fresh seeds hold, the first half of them", () => runFreshSeeds(0));
