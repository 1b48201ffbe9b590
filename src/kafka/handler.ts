/**
 * What a Kafka API is to the broker: one {@linkcode Handler} per API key, in `handlers/`.
 *
 * A handler is a task: it reads state, may wait (for a commit, for another shard), and returns the
 * response. It sees decoded plain objects; only Produce and Fetch are read in place and do not pass
 * here (`src/kafka/produce.ts`, `src/kafka/fetch.ts`).
 *
 * Where it runs is its {@linkcode Route}: the shard that holds the connection, one other shard (the
 * controller's, a group coordinator's), or every shard that owns some of the partitions asked for. The
 * router (`src/kafka/router.ts`) carries the request there and the response back, so that a handler
 * is written as if its shard were the whole broker.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import type { Api } from "../wire/api.ts";
import type { ResponseRows } from "./long_response.ts";
import type { Services } from "./services.ts";

/** The client, the time, and the version of a request. */
export interface RequestContext {
  readonly version: number;
  readonly clientId: string | null;
  /** Kafka's form: a slash and the address, `/127.0.0.1`. */
  readonly clientHost: string;
  /** The clock's monotonic time when the request was taken up (ms). */
  readonly nowMs: number;
  /** The wall clock at that moment (ms since the epoch). */
  readonly wallMs: number;
  /** The shard that runs the handler. */
  readonly services: Services;
}

/** Runs where the connection is. */
export interface LocalRoute {
  readonly kind: "local";
}

/** Runs on one shard, named by the request. */
export interface ShardRoute<Request> {
  readonly kind: "shard";
  shardOf(request: Request, services: Services): number;
}

/**
 * Runs on every shard that owns a part of the request. `split` gives each its part (a shard without
 * one is not asked); `merge` combines their responses into one, in the request's order where that matters.
 */
export interface SplitRoute<Request, Response> {
  readonly kind: "split";
  split(request: Request, services: Services): Map<number, Request>;
  merge(request: Request, responses: readonly Response[]): Response;
}

export type Route<Request, Response> =
  | LocalRoute
  | ShardRoute<Request>
  | SplitRoute<Request, Response>;

export const LOCAL: LocalRoute = { kind: "local" };

/** The controller's shard: group 0 lives there. */
export const CONTROLLER_SHARD = 0;

export const ON_CONTROLLER: ShardRoute<unknown> = {
  kind: "shard",
  shardOf: () => CONTROLLER_SHARD,
};

export interface Handler<Request, Response> {
  readonly api: Api<Request, Response>;
  /** Lowest version advertised and served. */
  readonly minVersion: number;
  /** Highest version advertised and served. */
  readonly maxVersion: number;
  readonly route: Route<Request, Response>;
  /** Of an API with another route: requests that the controller carries out, on whatever node it is. */
  isForController?(request: Request): boolean;
  handle(context: RequestContext, request: Request): Task<Response>;
  /** Where responses may be long: what makes them so. */
  readonly rows?: ResponseRows<Response>;
  /**
   * Only for ApiVersions: the body of a v0 response that says UNSUPPORTED_VERSION and names the versions
   * there are (KIP-511).
   */
  unsupportedVersion?(): Uint8Array;
}
