/**
 * What nodes take part in, and asking for something else.
 *
 * @module
 */

import { ALTER_NODE_STATE, DESCRIBE_NODES } from "../../wire/generated/apis.ts";
import { newAlterNodeStateRequest } from "../../wire/generated/alter_node_state_request.ts";
import { newDescribeNodesRequest } from "../../wire/generated/describe_nodes_request.ts";
import type { DescribedNode } from "../../wire/generated/describe_nodes_response.ts";
import { EXIT_FAILED } from "../exit_codes.ts";
import { Failure } from "../failure.ts";
import type { Cluster } from "./cluster.ts";
import { brokerRefusal } from "./outcome.ts";

/** As they are recorded. */
export const NodeState = { ACTIVE: 0, MAINTENANCE: 1, DECOMMISSIONING: 2, FILLING: 3 } as const;
export type NodeState = typeof NodeState[keyof typeof NodeState];

/** Asks for another state; refusals are for people. */
export async function setNodeState(
  cluster: Cluster,
  nodeId: number,
  state: NodeState,
  what: string,
): Promise<void> {
  const request = newAlterNodeStateRequest({ nodeId, state });
  const { errorCode, errorMessage } = await cluster.any.call(ALTER_NODE_STATE, request);
  if (errorCode !== 0) throw brokerRefusal(what, errorCode, errorMessage);
}

/** @throws Failure where there is no such node */
export async function describeNode(cluster: Cluster, nodeId: number): Promise<DescribedNode> {
  const { nodes } = await cluster.any.call(DESCRIBE_NODES, newDescribeNodesRequest());
  const node = nodes.find((one) => one.nodeId === nodeId);
  if (node !== undefined) return node;
  throw new Failure(
    EXIT_FAILED,
    `the cluster has no node ${nodeId}`,
    "`gregor cluster nodes` shows its nodes.",
  );
}

/** For people. */
export function stateWords({ state, replicas, moving }: DescribedNode): string {
  if (state === NodeState.MAINTENANCE) return "maintenance";
  if (state === NodeState.FILLING) return `filling (${moving} on their way)`;
  if (state !== NodeState.DECOMMISSIONING) return "active";
  if (replicas === 0) return "decommissioned";
  return `decommissioning, ${replicas} to move${moving === 0 ? "" : ` (${moving} on their way)`}`;
}
