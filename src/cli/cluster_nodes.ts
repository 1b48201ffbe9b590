/**
 * `gregor cluster nodes`.
 *
 * @module
 */

import { DESCRIBE_NODES } from "../wire/generated/apis.ts";
import { newDescribeNodesRequest } from "../wire/generated/describe_nodes_request.ts";
import type {
  DescribedNode,
  DescribeNodesResponse,
} from "../wire/generated/describe_nodes_response.ts";
import type { Cluster } from "./client/cluster.ts";
import { stateWords } from "./client/node_states.ts";
import { askNode } from "./client/replicas.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { formatAddress } from "./flags.ts";
import { formatDuration } from "./size.ts";

interface NodeRow {
  readonly node: number;
  readonly role: string;
  readonly state: string;
  /** How long it has been so (ms); null: not known. */
  readonly forMs: number | null;
  readonly work: string;
  readonly rack: string | null;
  readonly kafka: string | null;
  readonly rpc: string | null;
  readonly version: string | null;
  readonly leads: number;
  readonly replicas: number;
}

export const definition = command({
  name: "cluster nodes",
  about: "Shows every node of the cluster: whether it can be reached and since when, its " +
    "addresses, its program's version, and the partitions that it leads and holds. Whether a node " +
    "can be reached is the word of the node that answers; versions and starts are each node's own.",
  positionals: [],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [
    { line: "cluster nodes", says: "All nodes:" },
    {
      line: "cluster nodes --format json | jq -r '.[] | select(.state == \"down\").node'",
      says: "Those that cannot be reached:",
    },
  ],
  run: async ({ values, terminal }) => {
    const rows = await withCluster(values, nodeRows);
    printRows(terminal, values.format, [
      { heading: "NODE", isNumber: true, key: "node", of: (row) => row.node },
      { heading: "ROLE", key: "role", of: (row) => row.role },
      {
        heading: "STATE",
        key: "state",
        of: (row) => row.state,
        show: ({ state, forMs }) =>
          forMs === null ? state : `${state} for ${formatDuration(forMs)}`,
      },
      { heading: "WORK", key: "work", of: (row) => row.work },
      { heading: "RACK", key: "rack", of: (row) => row.rack },
      { heading: "KAFKA", key: "kafka", of: (row) => row.kafka },
      { heading: "RPC", key: "rpc", of: (row) => row.rpc },
      { heading: "VERSION", key: "version", of: (row) => row.version },
      { heading: "LEADS", isNumber: true, key: "leads", of: (row) => row.leads },
      { heading: "REPLICAS", isNumber: true, key: "replicas", of: (row) => row.replicas },
    ], rows);
    return EXIT_OK;
  },
});

async function nodeRows(cluster: Cluster): Promise<NodeRow[]> {
  const places = await cluster.places(null);
  const partitions = places.topics.flatMap((topic) => topic.partitions);
  const view = await cluster.any.call(DESCRIBE_NODES, newDescribeNodesRequest());
  const own = await ownWords(cluster, view);
  const nowMs = Date.now();
  return view.nodes.map((node) => {
    const { nodeId, rack, isUp, sinceMs } = node;
    const itself = own.get(nodeId);
    const fromMs = itself?.startedMs ?? sinceMs;
    return {
      node: nodeId,
      role: isUp && nodeId === view.controllerId ? "controller" : "",
      state: isUp ? "up" : "down",
      forMs: fromMs < 0 ? null : Math.max(0, nowMs - fromMs),
      work: stateWords(node),
      rack,
      kafka: endpointOf(node, "kafka"),
      rpc: endpointOf(node, "rpc"),
      version: itself?.programVersion ?? null,
      leads: isUp ? partitions.filter(({ leader }) => leader === nodeId).length : 0,
      replicas: partitions.filter(({ replicas }) => replicas.includes(nodeId)).length,
    };
  });
}

/** What each node that can be reached says of itself. */
async function ownWords(
  cluster: Cluster,
  view: DescribeNodesResponse,
): Promise<Map<number, DescribeNodesResponse>> {
  const words = await Promise.all(view.nodes.map(async ({ nodeId, isUp }) => {
    if (nodeId === view.nodeId) return view;
    return isUp ? await askNode(cluster, nodeId, DESCRIBE_NODES, newDescribeNodesRequest()) : null;
  }));
  return new Map(words.flatMap((one) => one === null ? [] : [[one.nodeId, one] as const]));
}

function endpointOf({ endpoints }: DescribedNode, name: string): string | null {
  const found = endpoints.find((endpoint) => endpoint.name === name);
  return found === undefined ? null : formatAddress(found);
}
