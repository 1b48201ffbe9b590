/**
 * How a node becomes a member of its cluster, and says what changed about it since it last started: it asks the
 * controller, wherever that is, until the metadata says so.
 *
 * ```
 * REGISTER  := format:uint8 (1) firstFreeGroupId:int32 NodeRecord     a call of the API {@linkcode REGISTER_API}
 * response  := code:uint8 (0 done, 1 refused) reason:string offset:int64    both big-endian, flexible encoding
 * ```
 *
 * A node that knows no controller asks any other node, which passes the call on, once: its version says so
 * ({@linkcode RegisterVersion}). The answer goes to the address that is being registered, because the answering node may
 * not know it yet. `offset` is what the controller has applied of the metadata log: when the node has that too, its metadata
 * is not older than its start.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import type { CommandContext } from "../cluster/command.ts";
import type { ControllerService } from "../cluster/controller_service.ts";
import { raiseVersion, versionsOf } from "../cluster/features.ts";
import type { ClusterImage } from "../cluster/image.ts";
import { versionProblem } from "../cluster/logical_version.ts";
import { NODES_MAX, nodesMax } from "../cluster/members.ts";
import { formCluster, registerNode, reserveGroupIds } from "../cluster/membership.ts";
import { skipProducerIds } from "../cluster/producer_ids.ts";
import type { NodeRecord } from "../cluster/records.ts";
import type { Task } from "../io/task.ts";
import { decodeNodeRecord, encodeNodeRecord } from "../wire/generated/node_record.ts";

/** No API of Kafka's has this key. */
export const REGISTER_API = -1;
/** Of a call: as the node sent it, or passed on. */
export const RegisterVersion = { DIRECT: 0, PASSED_ON: 1 } as const;
const FORMAT = 1;
const BODY_VERSION = 0;
const DONE = 0;
const REFUSED = 1;
const GROUP_ID_MAX = 1_000_000_000;
/** Group ids that the metadata may have forgotten, if its log lost its end. */
const GROUPS_AHEAD_MAX = 1_000_000;

/** A node that wants to be a member. */
export interface Registration {
  readonly node: NodeRecord;
  /** Above the id of every log of the node. */
  readonly firstFreeGroupId: number;
}

/** Refused for good, with a reason for people; or done. */
export interface RegistrationAnswer {
  readonly refusal: string | null;
  /** First offset of the metadata log that the controller has not applied. */
  readonly offset: number;
}

export function encodeRegistration({ node, firstFreeGroupId }: Registration): Uint8Array {
  const writer = new Writer();
  writer.int8(FORMAT);
  writer.int32(firstFreeGroupId);
  encodeNodeRecord(writer, BODY_VERSION, node);
  return writer.copyBytes();
}

/** Null for what makes no sense. */
export function decodeRegistration(bytes: Uint8Array): Registration | null {
  const cursor = Cursor.of(bytes);
  if (cursor.int8() !== FORMAT) return null;
  const firstFreeGroupId = cursor.int32();
  const node = decodeNodeRecord(cursor, BODY_VERSION);
  if (!cursor.atEnd() || node.nodeId < 0) return null;
  if (firstFreeGroupId < 0 || firstFreeGroupId > GROUP_ID_MAX) return null;
  return { node, firstFreeGroupId };
}

export function encodeRegistrationAnswer({ refusal, offset }: RegistrationAnswer): Uint8Array {
  const writer = new Writer();
  writer.int8(refusal === null ? DONE : REFUSED);
  writer.string(refusal ?? "", true);
  writer.int64(offset);
  return writer.copyBytes();
}

/** Null for what makes no sense. */
export function decodeRegistrationAnswer(bytes: Uint8Array): RegistrationAnswer | null {
  const cursor = Cursor.of(bytes);
  const code = cursor.int8();
  const reason = cursor.string(true);
  const offset = cursor.int64();
  if (!cursor.atEnd() || (code !== DONE && code !== REFUSED) || offset < 0) return null;
  return { refusal: code === REFUSED ? reason : null, offset };
}

export interface RegisterOptions {
  readonly controller: ControllerService;
  readonly clusterId: string;
  /** Whether a node can be reached at the address that it registered. */
  readonly isAlive: (nodeId: number) => boolean;
  /** Whether there is a connection to that node, in the life in which it is registered, at this moment. */
  readonly isConnected?: (nodeId: number) => boolean;
  /** First offset of the metadata log that is not applied here. */
  readonly appliedOffset?: () => number;
  /** Everybody who founded the cluster is registered: its version may rise. It does not when absent. */
  readonly isComplete?: (image: ClusterImage) => boolean;
  /** The controller's own node: what it says of its logs is so. */
  readonly isOwn?: boolean;
  /** Ids that were given to producers may be unknown: many are passed by. */
  readonly skipsProducerIds?: boolean;
}

/** On the controller's node; null: it is not the controller (any more), or cannot tell yet who else has that id. */
export function* register(
  options: RegisterOptions,
  registration: Registration,
): Task<RegistrationAnswer | null> {
  const { node, firstFreeGroupId } = registration;
  const { controller, clusterId, skipsProducerIds } = options;
  if (isUndecided(controller, node, options)) return null;
  const executed = yield* controller.execute((context): string | null => {
    const refusal = registrationProblem(context, registration, options);
    if (refusal !== null) return refusal;
    formCluster(context, clusterId);
    reserveGroupIds(context, firstFreeGroupId);
    if (skipsProducerIds === true) skipProducerIds(context);
    registerNode(context, node);
    if (options.isComplete?.(context.image) === true) raiseVersion(context);
    return null;
  });
  return executed === null
    ? null
    : { refusal: executed.result, offset: options.appliedOffset?.() ?? 0 };
}

/** Another life of the node is registered elsewhere, and nothing is known of it yet. */
function isUndecided(
  { committed }: ControllerService,
  node: NodeRecord,
  { isAlive, isConnected = isAlive }: RegisterOptions,
): boolean {
  const known = committed.nodes.get(node.nodeId);
  return known !== undefined && known.incarnation !== node.incarnation &&
    placeOf(known) !== placeOf(node) && isAlive(node.nodeId) && !isConnected(node.nodeId);
}

/**
 * Two nodes cannot have one id at once; one that lost its disk takes its place again. A node that comes back elsewhere is
 * another one as long as there is a connection to where it was: the data directory was copied.
 */
function registrationProblem(
  { image }: CommandContext,
  { node, firstFreeGroupId }: Registration,
  { isAlive, isConnected = isAlive, isOwn }: RegisterOptions,
): string | null {
  const { nodeId, incarnation } = node;
  const unfit = versionProblem(image.finalizedVersion, versionsOf(node));
  if (unfit !== null) return unfit;
  if (isOwn !== true && firstFreeGroupId > image.nextGroupId + GROUPS_AHEAD_MAX) {
    return `node ${nodeId} has logs of groups up to ${
      firstFreeGroupId - 1
    }, and the cluster has given out ids up to ` +
      `${
        image.nextGroupId - 1
      }: its data directory is not of this cluster, or is damaged; start it with an empty one`;
  }
  const known = image.nodes.get(nodeId);
  if (known === undefined) return roomProblem(image);
  const where = placeOf(known);
  if (known.incarnation !== incarnation) {
    // Who was there cannot be there any more: its connection has not been noticed to be gone.
    if (!isConnected(nodeId) || (where !== "" && where === placeOf(node))) return null;
    const place = where === "" ? "" : ` at ${where}`;
    return `another node with the id ${nodeId} is running${place}: start this one with another --node-id`;
  }
  if (where === "" || where === placeOf(node) || !isConnected(nodeId)) return null;
  return `the node ${nodeId} is running at ${where} with a copy of this data directory: stop one of the two; to add ` +
    "a node, start it with an empty data directory and a --node-id of its own";
}

function roomProblem({ nodes, logicalVersion }: ClusterImage): string | null {
  const most = nodesMax(logicalVersion);
  if (nodes.size < most) return null;
  return `the cluster has ${nodes.size} nodes, and ${most} at most` +
    (most < NODES_MAX ? ` at its logical version ${logicalVersion}` : "");
}

/** Where other nodes reach a node; empty: nowhere. */
function placeOf({ endpoints }: NodeRecord): string {
  const where = endpoints.find(({ name }) => name === "rpc");
  return where === undefined ? "" : hostPort(where.host, where.port);
}
