/**
 * Forming the cluster, and registering its nodes.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { ErrorCode } from "../wire/errors.ts";
import { type CommandContext, epochFloorNow, type Outcome, refuse, SUCCESS } from "./command.ts";
import { NodeState } from "./image.ts";
import { skipProducerIds } from "./producer_ids.ts";
import { knowChanges } from "./reassign.ts";
import { type NodeRecord, RecordType } from "./records.ts";

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
  const { nextGroupId, epochFloor } = context.image;
  if (nextGroupId >= firstFree) return;
  context.emit([{ type: RecordType.GROUP_IDS, body: { nextGroupId: firstFree, epochFloor } }]);
}

/** Leader epochs that a partition may have had of which nobody is left who heard of them: its leader's disk is gone. */
const EPOCHS_OF_A_LIFE = 10_000;

/** Group ids that are passed by after the metadata was recovered. */
const GROUP_IDS_PASSED_BY = 10_000;

/**
 * Passes by what commands may have given out that the recovered metadata does not have: a producer would share its id with
 * another one, and a new partition would find the log of one that nobody knows of.
 */
export function passByIds(context: CommandContext): void {
  skipProducerIds(context);
  reserveGroupIds(context, context.image.nextGroupId + GROUP_IDS_PASSED_BY);
}

/** Makes `node` a member, or records what changed about it since it last started. */
export function registerNode(context: CommandContext, node: NodeRecord): void {
  assert(node.nodeId >= 0, "a node id is not negative");
  const { image } = context;
  const known = image.nodes.get(node.nodeId);
  if (known !== undefined && sameNode(known, node)) return;
  context.emit([{ type: RecordType.NODE, body: node }]);
  // What only its former life had begins again.
  if (known !== undefined && known.incarnation !== node.incarnation && image.partitionCount > 0) {
    const { nextGroupId } = image;
    const body = { nextGroupId, epochFloor: epochFloorNow(context, EPOCHS_OF_A_LIFE) };
    context.emit([{ type: RecordType.GROUP_IDS, body }]);
  }
  const isToFill = known === undefined && image.partitionCount > 0 && knowChanges(image) &&
    image.settings.boolean("new.nodes.take.partitions");
  if (!isToFill) return;
  const { nodeId } = node;
  context.emit([{ type: RecordType.NODE_STATE, body: { nodeId, state: NodeState.FILLING } }]);
}

/** A new node has its share, as far as it can have it. */
export function endFilling({ image, emit }: CommandContext, nodeId: number): void {
  if (image.stateOf(nodeId) !== NodeState.FILLING) return;
  emit([{ type: RecordType.NODE_STATE, body: { nodeId, state: NodeState.ACTIVE } }]);
}

/** Says what a node takes part in. */
export function setNodeState(
  { image, emit }: CommandContext,
  nodeId: number,
  state: number,
): Outcome {
  if (!isNodeState(state)) return refuse(ErrorCode.INVALID_REQUEST, `there is no state ${state}`);
  if (!image.nodes.has(nodeId)) {
    return refuse(
      ErrorCode.BROKER_ID_NOT_REGISTERED,
      `Broker ID ${nodeId} is not currently registered`,
    );
  }
  if (image.stateOf(nodeId) === state) return SUCCESS;
  if (!knowChanges(image)) {
    const message = "not every node of the cluster has a program that knows what this means";
    return refuse(ErrorCode.UNSUPPORTED_VERSION, message);
  }
  const others = [...image.nodes.keys()].filter((other) =>
    other !== nodeId && image.stateOf(other) !== NodeState.DECOMMISSIONING
  );
  if (state === NodeState.DECOMMISSIONING && others.length === 0) {
    return refuse(ErrorCode.INVALID_REQUEST, "no other node is there to take its place");
  }
  emit([{ type: RecordType.NODE_STATE, body: { nodeId, state } }]);
  return SUCCESS;
}

function isNodeState(state: number): state is NodeState {
  return state >= NodeState.ACTIVE && state <= NodeState.DECOMMISSIONING;
}

/** UnregisterBroker: forgets a node, which must hold nothing. One that runs ends, and becomes a member again when it starts. */
export function removeNode({ image, emit }: CommandContext, nodeId: number): Outcome {
  if (!image.nodes.has(nodeId)) {
    return refuse(
      ErrorCode.BROKER_ID_NOT_REGISTERED,
      `Broker ID ${nodeId} is not currently registered`,
    );
  }
  const { replicas } = image.loadOf(nodeId);
  if (replicas > 0) {
    const message =
      `Broker ID ${nodeId} still has ${replicas} replica(s): decommission it, or reassign them, first`;
    return refuse(ErrorCode.INVALID_REQUEST, message);
  }
  emit([{ type: RecordType.NODE_REMOVED, body: { nodeId } }]);
  return SUCCESS;
}

function sameNode(a: NodeRecord, b: NodeRecord): boolean {
  return a.incarnation === b.incarnation && a.rack === b.rack &&
    a.logicalVersion === b.logicalVersion && a.logicalVersionMin === b.logicalVersionMin &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((endpoint, at) => {
      const other = b.endpoints[at]!;
      return endpoint.name === other.name && endpoint.host === other.host &&
        endpoint.port === other.port;
    });
}
