/**
 * Requests that nodes send to the controller and clients cannot: they travel as those of Kafka's APIs do, and are not
 * advertised, nor served to a connection of a client (`docs/formats/node_frames.md`).
 *
 * @module
 */

import { completeChange, replaceReplica } from "../cluster/reassign.ts";
import type { Cursor } from "../bytes/cursor.ts";
import type { Writer } from "../bytes/writer.ts";
import type { Api } from "../wire/api.ts";
import type { ErrorCode } from "../wire/errors.ts";
import { controllerRefusal, onController } from "./controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "./handler.ts";
import type { AnyHandler } from "./router.ts";

/** What every API between nodes has in common. */
const COMMON = {
  minVersion: 0,
  maxVersion: 0,
  flexibleSince: 0,
  latestVersionUnstable: false,
  listeners: [],
} as const;

/** A group's members are those that a change of its partition wanted. */
export interface MembersSettled {
  readonly groupId: number;
  readonly change: number;
}

/** What became of a request. */
export interface NodeAnswer {
  readonly error: ErrorCode;
  readonly message: string | null;
}

export const MEMBERS_SETTLED: Api<MembersSettled, NodeAnswer> = {
  ...COMMON,
  key: -2,
  name: "MembersSettled",
  encodeRequest(writer: Writer, _version: number, { groupId, change }: MembersSettled): void {
    writer.int32(groupId);
    writer.int32(change);
  },
  decodeRequest: (cursor: Cursor) => ({ groupId: cursor.int32(), change: cursor.int32() }),
  encodeResponse: encodeAnswer,
  decodeResponse: decodeAnswer,
};

/** A node's replica of a partition may have forgotten what it acknowledged, and so takes part in nothing any more. */
export interface ReplicaLost {
  readonly groupId: number;
  readonly nodeId: number;
  /** The change by which it became a replica. */
  readonly since: number;
}

export const REPLICA_LOST: Api<ReplicaLost, NodeAnswer> = {
  ...COMMON,
  key: -5,
  name: "ReplicaLost",
  encodeRequest(writer: Writer, _version: number, { groupId, nodeId, since }: ReplicaLost): void {
    writer.int32(groupId);
    writer.int32(nodeId);
    writer.int32(since);
  },
  decodeRequest: (cursor: Cursor) => ({
    groupId: cursor.int32(),
    nodeId: cursor.int32(),
    since: cursor.int32(),
  }),
  encodeResponse: encodeAnswer,
  decodeResponse: decodeAnswer,
};

function encodeAnswer(writer: Writer, _version: number, { error, message }: NodeAnswer): void {
  writer.int16(error);
  writer.nullableString(message, true);
}

function decodeAnswer(cursor: Cursor): NodeAnswer {
  return { error: cursor.int16() as ErrorCode, message: cursor.nullableString(true) };
}

const MEMBERS_SETTLED_HANDLER: Handler<MembersSettled, NodeAnswer> = {
  api: MEMBERS_SETTLED,
  minVersion: 0,
  maxVersion: 0,
  route: ON_CONTROLLER,
  *handle({ services }, { groupId, change }) {
    const executed = yield* onController(
      services,
      (command) => completeChange(command, groupId, change),
    );
    // Who is late, or asks twice, has nothing left to do either.
    return executed === null ? controllerRefusal(services) : { error: 0, message: null };
  },
};

const REPLICA_LOST_HANDLER: Handler<ReplicaLost, NodeAnswer> = {
  api: REPLICA_LOST,
  minVersion: 0,
  maxVersion: 0,
  route: ON_CONTROLLER,
  *handle({ services }, { groupId, nodeId, since }) {
    const executed = yield* onController(
      services,
      (command) => replaceReplica(command, groupId, nodeId, since),
    );
    // What cannot be now, the node asks for again.
    return executed === null ? controllerRefusal(services) : { error: 0, message: null };
  },
};

export const NODE_HANDLERS: readonly AnyHandler[] = [MEMBERS_SETTLED_HANDLER, REPLICA_LOST_HANDLER];
