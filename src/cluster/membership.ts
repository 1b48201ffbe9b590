/**
 * Forming the cluster, and registering its nodes and features.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { CommandContext } from "./command.ts";
import { type NodeRecord, RecordType } from "./records.ts";

/**
 * The newest cluster-wide behaviour that this program has. It is raised with each behaviour that a program without it
 * could not follow, which then waits until every node has it.
 */
export const LOGICAL_VERSION = 2;

/** Gives a new cluster the id under which its nodes founded it; does nothing when it has one. */
export function formCluster(context: CommandContext, clusterId: string): void {
  if (context.image.clusterId !== "") return;
  context.emit([{ type: RecordType.CLUSTER, body: { clusterId } }]);
}

/**
 * Gives no group an id below `firstFree`: a metadata log that damage took the end of may not know of every log
 * that there is, and a new topic must not find one of them in its place.
 */
export function reserveGroupIds(context: CommandContext, firstFree: number): void {
  if (context.image.nextGroupId >= firstFree) return;
  context.emit([{ type: RecordType.GROUP_IDS, body: { nextGroupId: firstFree } }]);
}

/** Makes `node` a member, or records what changed about it since it last started. */
export function registerNode(context: CommandContext, node: NodeRecord): void {
  assert(node.nodeId >= 0, "a node id is not negative");
  const known = context.image.nodes.get(node.nodeId);
  if (known !== undefined && sameNode(known, node)) return;
  context.emit([{ type: RecordType.NODE, body: node }]);
}

/** Sets the cluster-wide level of a feature; 0 switches it off. */
export function setFeatureLevel(context: CommandContext, name: string, level: number): void {
  if ((context.image.features.get(name) ?? 0) === level) return;
  context.emit([{ type: RecordType.FEATURE_LEVEL, body: { name, level } }]);
}

function sameNode(a: NodeRecord, b: NodeRecord): boolean {
  return a.incarnation === b.incarnation && a.rack === b.rack &&
    a.logicalVersion === b.logicalVersion &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((endpoint, at) => {
      const other = b.endpoints[at]!;
      return endpoint.name === other.name && endpoint.host === other.host &&
        endpoint.port === other.port;
    });
}
