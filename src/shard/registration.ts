/**
 * How a node becomes a member of its cluster, and says what changed about it since it last started: it asks the
 * controller, wherever that is, until the metadata says so.
 *
 * ```
 * REGISTER  := format:uint8 (1) firstFreeGroupId:int32 NodeRecord     a call of the API {@linkcode REGISTER_API}
 * response  := code:uint8 (0 done, 1 refused) reason:string            both big-endian, flexible encoding
 * ```
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import type { CommandContext } from "../cluster/command.ts";
import type { ControllerService } from "../cluster/controller_service.ts";
import { formCluster, registerNode, reserveGroupIds } from "../cluster/membership.ts";
import { skipProducerIds } from "../cluster/producer_ids.ts";
import type { NodeRecord } from "../cluster/records.ts";
import type { Task } from "../io/task.ts";
import { decodeNodeRecord, encodeNodeRecord } from "../wire/generated/node_record.ts";

/** No API of Kafka's has this key. */
export const REGISTER_API = -1;
const FORMAT = 1;
const BODY_VERSION = 0;
const DONE = 0;
const REFUSED = 1;
const GROUP_ID_MAX = 1_000_000_000;

/** A node that wants to be a member. */
export interface Registration {
  readonly node: NodeRecord;
  /** Above the id of every log of the node. */
  readonly firstFreeGroupId: number;
}

/** Refused for good, with a reason for people; or done. */
export interface RegistrationAnswer {
  readonly refusal: string | null;
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

export function encodeRegistrationAnswer({ refusal }: RegistrationAnswer): Uint8Array {
  const writer = new Writer();
  writer.int8(refusal === null ? DONE : REFUSED);
  writer.string(refusal ?? "", true);
  return writer.copyBytes();
}

/** Null for what makes no sense. */
export function decodeRegistrationAnswer(bytes: Uint8Array): RegistrationAnswer | null {
  const cursor = Cursor.of(bytes);
  const code = cursor.int8();
  const reason = cursor.string(true);
  if (!cursor.atEnd() || (code !== DONE && code !== REFUSED)) return null;
  return { refusal: code === REFUSED ? reason : null };
}

export interface RegisterOptions {
  readonly controller: ControllerService;
  readonly clusterId: string;
  /** Whether a node can be reached at the address that it registered. */
  readonly isAlive: (nodeId: number) => boolean;
  /** Ids that were given to producers may be unknown: many are passed by. */
  readonly skipsProducerIds?: boolean;
}

/** On the controller's node; null: it is not the controller (any more). */
export function* register(
  { controller, clusterId, isAlive, skipsProducerIds }: RegisterOptions,
  { node, firstFreeGroupId }: Registration,
): Task<RegistrationAnswer | null> {
  const executed = yield* controller.execute((context): string | null => {
    const refusal = registrationProblem(context, node, isAlive);
    if (refusal !== null) return refusal;
    formCluster(context, clusterId);
    reserveGroupIds(context, firstFreeGroupId);
    if (skipsProducerIds === true) skipProducerIds(context);
    registerNode(context, node);
    return null;
  });
  return executed === null ? null : { refusal: executed.result };
}

/** Two nodes cannot have one id at once; one that lost its disk takes its place again. */
function registrationProblem(
  { image }: CommandContext,
  { nodeId, incarnation }: NodeRecord,
  isAlive: (nodeId: number) => boolean,
): string | null {
  const known = image.nodes.get(nodeId);
  if (known === undefined || known.incarnation === incarnation || !isAlive(nodeId)) return null;
  const where = known.endpoints.find(({ name }) => name === "rpc");
  const place = where === undefined ? "" : ` at ${where.host}:${where.port}`;
  return `another node with the id ${nodeId} is running${place}: start this one with another --node-id`;
}
