/**
 * `gregor cluster health`.
 *
 * @module
 */

import { votersFor } from "../cluster/controller_members.ts";
import { DAMAGE_REMEDY, FULL_DISK_REMEDY } from "../shard/node_health.ts";
import { ErrorCode } from "../wire/errors.ts";
import { DESCRIBE_LOG_DIRS, DESCRIBE_NODES } from "../wire/generated/apis.ts";
import { newDescribeNodesRequest } from "../wire/generated/describe_nodes_request.ts";
import type { DescribedNode } from "../wire/generated/describe_nodes_response.ts";
import type { DescribedReplica } from "../wire/generated/describe_replicas_response.ts";
import { newDescribeLogDirsRequest } from "../wire/generated/describe_log_dirs_request.ts";
import type { Cluster, ClusterPlaces } from "./client/cluster.ts";
import { NodeState } from "./client/node_states.ts";
import { describeReplica, METADATA_TOPIC } from "./client/replicas.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { formatSize } from "./size.ts";
import { formatFields } from "./table.ts";

/** Highest version whose fields have their meaning here. */
const LOG_DIRS_VERSION_MAX = 4;

/** The problems; partitions as `topic/partition`. */
export interface Health {
  readonly isHealthy: boolean;
  readonly hasController: boolean;
  /** Nobody can write to them or read from them. */
  readonly leaderless: readonly string[];
  /** They work, with fewer replicas than they should have. */
  readonly underReplicated: readonly string[];
  /** Nodes that cannot be reached. */
  readonly missingNodes: readonly number[];
  /** A replica's disk does not give all of it, or takes nothing more. */
  readonly damaged: readonly string[];
  /** Disks that refuse appends. */
  readonly fullDisks: readonly FullDisk[];
}

/** The disk of a node that has no room. */
export interface FullDisk {
  readonly node: number;
  readonly directory: string;
  readonly freeBytes: number;
}

export const definition = command({
  name: "cluster health",
  about:
    "Looks for nodes that cannot be reached, a missing controller, partitions that are damaged, " +
    "without a leader, or with replicas that are missing, and disks that are full; says what to do " +
    "next. Exits with 0 when there are none, with 1 otherwise.",
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
    const health = await withCluster(values, async (cluster) => {
      const places = await cluster.places(null);
      const nodes = await nodesOf(cluster);
      const down = new Set(nodes.filter(({ isUp }) => !isUp).map(({ nodeId }) => nodeId));
      const name = { topic: METADATA_TOPIC, partition: 0 };
      const metadata = nodes.length === 0 || places.controllerId < 0
        ? null
        : await describeReplica(cluster, places.controllerId, name);
      const fewVoters = lacksVoters(metadata, nodes);
      return judge(places, await fullDisks(cluster, places, down), down, fewVoters);
    });
    if (values.format === "json") printJson(terminal, health);
    else {
      terminal.out(formatFields([
        ["health", health.isHealthy ? "good" : "not good"],
        ["controller", health.hasController ? "there" : "none at the moment"],
        ["missing nodes", some(health.missingNodes.map(String))],
        ["leaderless partitions", some(health.leaderless)],
        ["under-replicated partitions", some(health.underReplicated)],
        ["damaged partitions", some(health.damaged)],
        ["full disks", some(health.fullDisks.map(describeDisk))],
      ]));
      const remedies: [string, boolean][] = [
        [
          `${
            health.missingNodes.length === 1 ? "Start the missing node" : "Start missing nodes"
          } ` +
          "again; `gregor cluster nodes` shows since when each is gone.",
          health.missingNodes.length > 0,
        ],
        [
          "The cluster's metadata has no leader: a majority of the nodes that keep it is needed, see " +
          "`gregor partition describe __cluster_metadata`. If too few of them are left, " +
          "`gregor partition recover __cluster_metadata/0` says what can be done.",
          !health.hasController,
        ],
        [
          "A partition without a leader needs a majority of its replicas: `gregor partition describe " +
          `${health.leaderless[0] ?? ""}` +
          "` shows which are missing. If too few are left, or damage has cut their " +
          `logs, \`gregor partition recover ${health.leaderless[0] ?? ""}\` says what can be done.`,
          health.leaderless.length > 0,
        ],
        [`To make room: ${FULL_DISK_REMEDY}.`, health.fullDisks.length > 0],
        [`To mend what is damaged: ${DAMAGE_REMEDY}.`, health.damaged.length > 0],
      ];
      for (const [text, applies] of remedies) if (applies) terminal.out(`\n${text}\n`);
    }
    return health.isHealthy ? EXIT_OK : EXIT_FAILED;
  },
});

/** Asks every node whether its disk takes appends; a node without that API is skipped. */
async function fullDisks(
  cluster: Cluster,
  places: ClusterPlaces,
  down: ReadonlySet<number>,
): Promise<FullDisk[]> {
  const found: FullDisk[] = [];
  for (const { nodeId } of places.brokers) {
    if (down.has(nodeId)) continue;
    const connection = await cluster.node(nodeId);
    if (connection.versionOf(DESCRIBE_LOG_DIRS, LOG_DIRS_VERSION_MAX) < 0) continue;
    const request = newDescribeLogDirsRequest({ topics: [] });
    const { results } = await connection.call(DESCRIBE_LOG_DIRS, request, {
      maxVersion: LOG_DIRS_VERSION_MAX,
      timeoutMs: cluster.timeoutMs,
    });
    for (const { errorCode, logDir, usableBytes } of results) {
      if (errorCode !== ErrorCode.KAFKA_STORAGE_ERROR) continue;
      found.push({ node: nodeId, directory: logDir, freeBytes: usableBytes });
    }
  }
  return found;
}

/** All nodes, as the answering one sees them; none where it does not know that question. */
async function nodesOf(cluster: Cluster): Promise<readonly DescribedNode[]> {
  if (cluster.any.versionOf(DESCRIBE_NODES) < 0) return [];
  const { nodes } = await cluster.any.call(DESCRIBE_NODES, newDescribeNodesRequest());
  return nodes;
}

/** Whether fewer nodes vote on the metadata than should: those that are still being filled do not. */
export function lacksVoters(
  metadata: Pick<DescribedReplica, "members"> | null,
  nodes: readonly Pick<DescribedNode, "state">[],
): boolean {
  const staying = nodes.filter(({ state }) => state !== NodeState.DECOMMISSIONING).length;
  const voters = metadata?.members.filter(({ part }) => part === "voter").length ?? Infinity;
  return voters < votersFor(staying);
}

function describeDisk({ node, directory, freeBytes }: FullDisk): string {
  const free = freeBytes < 0 ? "" : ` (${formatSize(freeBytes)} free)`;
  return `${directory} of node ${node}${free}`;
}

/** Judges a cluster by its metadata, by disks known to be full, nodes known to be down, and whether too few vote on the metadata. */
export function judge(
  places: ClusterPlaces,
  fullDisks: readonly FullDisk[] = [],
  down: ReadonlySet<number> = new Set(),
  fewVoters = false,
): Health {
  const leaderless: string[] = [];
  const underReplicated = fewVoters ? [`${METADATA_TOPIC}/0`] : [];
  const damaged: string[] = [];
  const present = new Set(
    places.brokers.map(({ nodeId }) => nodeId).filter((nodeId) => !down.has(nodeId)),
  );
  const missing = new Set(down);
  for (const topic of places.topics) {
    for (const one of topic.partitions) {
      const name = `${topic.name}/${one.partition}`;
      if (!present.has(one.leader)) leaderless.push(name);
      if (one.inSync.filter((node) => present.has(node)).length < one.replicas.length) {
        underReplicated.push(name);
      }
      if (one.offline.some((node) => present.has(node))) damaged.push(name);
      for (const replica of one.replicas) if (!present.has(replica)) missing.add(replica);
    }
  }
  const hasController = places.controllerId >= 0 && !down.has(places.controllerId);
  return {
    isHealthy: hasController && missing.size + fullDisks.length === 0 &&
      leaderless.length + underReplicated.length + damaged.length === 0,
    hasController,
    leaderless,
    underReplicated,
    missingNodes: [...missing].sort((a, b) => a - b),
    damaged,
    fullDisks,
  };
}

/** The first few of a list, and how many more there are. */
function some(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const shown = names.slice(0, 10).join(", ");
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
