/**
 * `gregor cluster health`.
 *
 * @module
 */

import type { ClusterPlaces } from "./client/cluster.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { formatFields } from "./table.ts";

/** What is not as it should be; partitions as `topic/partition`. */
export interface Health {
  readonly isHealthy: boolean;
  readonly hasController: boolean;
  /** Nobody can write to them or read from them. */
  readonly leaderless: readonly string[];
  /** They work, with fewer replicas than they should have. */
  readonly underReplicated: readonly string[];
  /** Nodes that hold replicas and are not there. */
  readonly missingNodes: readonly number[];
}

export const definition = command({
  name: "cluster health",
  about:
    "Looks for partitions without a leader or with replicas that lag, and for missing nodes. " +
    "Exits with 0 when there are none, with 1 otherwise.",
  positionals: [],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [
    { line: "cluster health", says: "Have a look:" },
    {
      line: "cluster health > /dev/null && echo ready",
      says: "In a script:",
    },
  ],
  run: async ({ values, terminal }) => {
    const health = judge(await withCluster(values, (cluster) => cluster.places(null)));
    if (values.format === "json") printJson(terminal, health);
    else {
      terminal.out(formatFields([
        ["health", health.isHealthy ? "good" : "not good"],
        ["controller", health.hasController ? "there" : "none at the moment"],
        ["missing nodes", some(health.missingNodes.map(String))],
        ["leaderless partitions", some(health.leaderless)],
        ["under-replicated partitions", some(health.underReplicated)],
      ]));
    }
    return health.isHealthy ? EXIT_OK : EXIT_FAILED;
  },
});

/** Judges a cluster by its metadata. */
export function judge(places: ClusterPlaces): Health {
  const leaderless: string[] = [];
  const underReplicated: string[] = [];
  const present = new Set(places.brokers.map((broker) => broker.nodeId));
  const missing = new Set<number>();
  for (const topic of places.topics) {
    for (const one of topic.partitions) {
      const name = `${topic.name}/${one.partition}`;
      if (one.leader < 0) leaderless.push(name);
      if (one.inSync.length < one.replicas.length) underReplicated.push(name);
      for (const replica of one.replicas) if (!present.has(replica)) missing.add(replica);
    }
  }
  const hasController = places.controllerId >= 0;
  return {
    isHealthy: hasController && leaderless.length + underReplicated.length + missing.size === 0,
    hasController,
    leaderless,
    underReplicated,
    missingNodes: [...missing].sort((a, b) => a - b),
  };
}

/** The first few of a list, and how many more there are. */
function some(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const shown = names.slice(0, 10).join(", ");
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
