/**
 * DescribeNodes (key 20000, Gregor's own): the registered nodes as this one sees them, and what this one is.
 *
 * - Since when a node can be reached, or cannot, is what the answering node noticed; of a node that was never tried,
 *   nothing is known.
 * - How far a decommissioning is: what the node holds still, and how many of these replicas are on their way.
 * - Version and start are those of the answering node: who wants all asks all.
 *
 * @module
 */

import type { ClusterImage } from "../../cluster/image.ts";
import { DESCRIBE_NODES } from "../../wire/generated/apis.ts";
import type { DescribeNodesRequest } from "../../wire/generated/describe_nodes_request.ts";
import {
  type DescribeNodesResponse,
  newDescribeNodesResponse,
} from "../../wire/generated/describe_nodes_response.ts";
import { CONTROLLER_SHARD, type Handler } from "../handler.ts";
import { controllerIdOf } from "../topic_views.ts";

export const DESCRIBE_NODES_HANDLER: Handler<DescribeNodesRequest, DescribeNodesResponse> = {
  api: DESCRIBE_NODES,
  minVersion: 0,
  maxVersion: 0,
  // It has the connections to the other nodes.
  route: { kind: "shard", shardOf: () => CONTROLLER_SHARD },
  // deno-lint-ignore require-yield -- answered from memory.
  *handle({ services }) {
    const { image, live, nodeId, program } = services;
    const moving = movingOf(image);
    const nodes = [...image.nodes.values()].sort((a, b) => a.nodeId - b.nodeId);
    return newDescribeNodesResponse({
      nodeId,
      programVersion: program.version,
      startedMs: program.startedMs,
      controllerId: controllerIdOf(services),
      nodes: nodes.map((node) => ({
        nodeId: node.nodeId,
        rack: node.rack,
        endpoints: node.endpoints.map(({ name, host, port }) => ({ name, host, port })),
        isUp: node.nodeId === nodeId || live.isAlive(node.nodeId),
        sinceMs: node.nodeId === nodeId ? program.startedMs : live.sinceMs(node.nodeId),
        state: image.stateOf(node.nodeId),
        replicas: image.loadOf(node.nodeId).replicas,
        moving: moving.get(node.nodeId) ?? 0,
      })),
    });
  },
};

/** Partitions that are on their way to a node, or away from it. */
function movingOf(image: ClusterImage): Map<number, number> {
  const moving = new Map<number, number>();
  for (const { partitions } of image.topics.values()) {
    for (const { isChanging, adding, removing } of partitions) {
      if (!isChanging) continue;
      for (const nodeId of [...adding, ...removing]) {
        moving.set(nodeId, (moving.get(nodeId) ?? 0) + 1);
      }
    }
  }
  return moving;
}
