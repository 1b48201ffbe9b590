import { runFreshSeeds } from "./cluster_seeds.ts";

Deno.test("clusters: fresh seeds hold, the second half of them", () => runFreshSeeds(1));
