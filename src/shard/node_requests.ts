/**
 * Requests of Kafka's protocol that nodes send each other about transactions: a coordinator to the leaders of a
 * transaction's partitions, and such a leader to the coordinator; and about groups: a coordinator asks leaders where their
 * partitions end. A request to this node itself takes the way between its shards.
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import type { Api } from "../wire/api.ts";
import { ADD_PARTITIONS_TO_TXN, LIST_OFFSETS, WRITE_TXN_MARKERS } from "../wire/generated/apis.ts";
import type { Shard } from "./shard.ts";
import { NO_CALLER } from "./shard_services.ts";

/** What is served to other nodes besides what the controller does. */
const SERVED: ReadonlySet<number> = new Set([
  ADD_PARTITIONS_TO_TXN.key,
  WRITE_TXN_MARKERS.key,
  LIST_OFFSETS.key,
]);

/** Whether another node's request is one of those. */
export function isNodeRequest(apiKey: number): boolean {
  return SERVED.has(apiKey);
}

/** Asks a node; null: there is no answer in time. It may have been carried out all the same. */
export function* askNode<Request, Response>(
  shard: Shard,
  nodeId: number,
  api: Api<Request, Response>,
  version: number,
  request: Request,
  waitMs: number,
): Task<Response | null> {
  if (nodeId === shard.options.nodeId) {
    return yield* until<Response | null>((done) =>
      shard.within<Response | null>(waitMs, done, null, (end) => {
        runTask(shard.router.call(api, version, NO_CALLER, request), end);
      })
    );
  }
  const { links } = shard.peers.nodeLinks;
  if (links.shardCountOf(nodeId) === 0) {
    links.contact(nodeId);
    return null;
  }
  const writer = new Writer();
  api.encodeRequest(writer, version, request);
  const call = { apiKey: api.key, version, caller: NO_CALLER, body: writer.copyBytes() };
  const body = yield* shard.peers.calls.call(nodeId, CONTROLLER_SHARD, call, waitMs);
  if (body === null) return null;
  const cursor = Cursor.of(body);
  const response = api.decodeResponse(cursor, version);
  return cursor.ok() ? response : null;
}
