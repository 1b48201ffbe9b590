/**
 * The cold APIs' way: from a frame to a handler, here or on another shard, and back.
 *
 * A cold request is copied out of the region first: it is decoded to plain objects that may be kept
 * while the handler waits, and its frame is free at once. Of an API the router knows only its
 * {@linkcode Handler}: key, versions, route, and the generated codec.
 *
 * @module
 */

import { type AdminEvent, adminEvents } from "./admin_events.ts";
import { REQUEST_ELEMENTS_MAX } from "../base/limits.ts";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { all, runTask, type Task } from "../io/task.ts";
import type { Api } from "../wire/api.ts";
import { type Handler, ON_CONTROLLER, type RequestContext, type Route } from "./handler.ts";
import { ELEMENT_HEAP } from "./request_heap.ts";
import { encodeLong, encodeWhole } from "./long_response.ts";
import type { Services } from "./services.ts";

/** Shards asked at once by one split request. */
const SHARDS_AT_ONCE = 256;

// deno-lint-ignore no-explicit-any -- the registry holds handlers of every request type.
export type AnyHandler = Handler<any, any>;

/** Handlers by API key. */
export class HandlerRegistry {
  readonly #handlers = new Map<number, AnyHandler>();

  constructor(handlers: readonly AnyHandler[]) {
    for (const handler of handlers) this.#handlers.set(handler.api.key, handler);
  }

  find(apiKey: number): AnyHandler | undefined {
    return this.#handlers.get(apiKey);
  }

  all(): Iterable<AnyHandler> {
    return this.#handlers.values();
  }
}

/** Who asked; what of a request travels with it to another shard. */
export interface Caller {
  readonly clientId: string | null;
  readonly clientHost: string;
}

/** Carries an encoded request body to another shard and brings the encoded response body. */
export interface RemoteCalls {
  /** Null: the other shard could not decode it, or question or answer fit into no memory. */
  call(
    shard: number,
    apiKey: number,
    version: number,
    caller: Caller,
    body: Uint8Array,
  ): Task<Uint8Array | null>;
}

/** Carries requests to the node that is the controller. */
export interface ControllerCalls {
  /** Null: nobody is known to be the controller, or there was no answer in time. It may have been carried out all the same. */
  call(apiKey: number, version: number, caller: Caller, body: Uint8Array): Task<Uint8Array | null>;
}

/** A request as objects, and what they cost (bytes). */
export interface DecodedRequest {
  readonly request: unknown;
  readonly heapBytes: number;
}

export class Router {
  readonly #registry: HandlerRegistry;
  readonly #services: Services;
  readonly #remote: RemoteCalls;
  readonly #now: () => { readonly nowMs: number; readonly wallMs: number };
  readonly #onEvent: (event: AdminEvent, caller: Caller) => void;
  /** Where this node is not the controller; null: there are no other nodes. */
  controllerCalls: ControllerCalls | null = null;

  constructor(
    registry: HandlerRegistry,
    services: Services,
    remote: RemoteCalls,
    now: () => { readonly nowMs: number; readonly wallMs: number },
    onEvent: (event: AdminEvent, caller: Caller) => void = () => {},
  ) {
    this.#registry = registry;
    this.#services = services;
    this.#remote = remote;
    this.#now = now;
    this.#onEvent = onEvent;
  }

  /** Decodes a request's body; null where it is malformed. */
  decode(handler: AnyHandler, version: number, body: Uint8Array): DecodedRequest | null {
    return decodeRequest(handler.api, version, body);
  }

  /**
   * Serves a client's request.
   *
   * @param request as {@linkcode decode} gave it
   * @param body the request after its header; kept by the handler
   * @param done the encoded response body, or null when it is larger than responses may be, or
   * request or response fit into no memory between shards
   */
  serve(
    handler: AnyHandler,
    version: number,
    caller: Caller,
    { request }: DecodedRequest,
    body: Uint8Array,
    done: (response: Uint8Array | null) => void,
  ): void {
    const route: Route<unknown, unknown> = handler.route;
    if (route.kind === "shard") {
      // The response of another shard passes through as bytes.
      const shard = route.shardOf(request, this.#services);
      if (shard !== this.#services.shard) {
        runTask(this.#remote.call(shard, handler.api.key, version, caller, body), done);
        return;
      }
    }
    runTask(this.#answer(handler, version, this.#route(handler, version, caller, request)), done);
  }

  /** Serves what another shard sent here; it has been routed already. */
  serveRemote(
    apiKey: number,
    version: number,
    caller: Caller,
    body: Uint8Array,
    done: (response: Uint8Array | null) => void,
  ): void {
    const handler = this.#registry.find(apiKey);
    const decoded = handler === undefined ? null : decodeRequest(handler.api, version, body);
    if (handler === undefined || decoded === null) {
      done(null);
      return;
    }
    const task = this.#handle(handler, version, caller, decoded.request);
    runTask(this.#answer(handler, version, task), done);
  }

  /** The encoded response of a task; null where there is none, or it is larger than responses may be. */
  *#answer(
    { api, rows }: AnyHandler,
    version: number,
    task: Task<unknown>,
  ): Task<Uint8Array | null> {
    const response = yield* task;
    if (response === null) return null;
    if (rows === undefined) return encodeWhole(api, version, response);
    return yield* encodeLong(api, version, response, rows, () => this.#services.nextTurn());
  }

  /** Serves a request that another node passed on to the controller; null: it cannot be served here. */
  servePassedOn(
    apiKey: number,
    version: number,
    caller: Caller,
    body: Uint8Array,
    done: (response: Uint8Array | null) => void,
  ): void {
    const handler = this.#registry.find(apiKey);
    const isKnown = handler !== undefined && version >= handler.minVersion &&
      version <= handler.maxVersion;
    const decoded = isKnown ? decodeRequest(handler.api, version, body) : null;
    const isServed = isKnown && decoded !== null && isForController(handler, decoded.request);
    // Two nodes that take each other for the controller do not send it back and forth.
    if (!isServed || this.#services.controller?.active !== true) {
      done(null);
      return;
    }
    const task = this.#handle(handler, version, caller, decoded.request);
    runTask(this.#answer(handler, version, task), done);
  }

  /** Serves a request of another node to this one, on the shards that its route says; null: it cannot be served here. */
  serveNode(
    apiKey: number,
    version: number,
    caller: Caller,
    body: Uint8Array,
    done: (response: Uint8Array | null) => void,
  ): void {
    const handler = this.#registry.find(apiKey);
    const isKnown = handler !== undefined && version >= handler.minVersion &&
      version <= handler.maxVersion;
    const decoded = isKnown ? decodeRequest(handler.api, version, body) : null;
    if (!isKnown || decoded === null) {
      done(null);
      return;
    }
    const task = this.#route(handler, version, caller, decoded.request);
    runTask(this.#answer(handler, version, task), done);
  }

  /** Runs an API for a handler of this shard ({@linkcode Services.call}). */
  *call<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    caller: Caller,
    request: Request,
  ): Task<Response | null> {
    const handler = this.#registry.find(api.key);
    if (handler === undefined) throw new Error(`No handler for ${api.name}`);
    return (yield* this.#route(handler, version, caller, request)) as Response | null;
  }

  *#route(
    handler: AnyHandler,
    version: number,
    caller: Caller,
    request: unknown,
  ): Task<unknown> {
    const route: Route<unknown, unknown> = handler.route;
    if (route.kind === "split") {
      const parts = [...route.split(request, this.#services)];
      const tasks = parts.map(([shard, part]) =>
        this.#runOn(shard, handler, version, caller, part)
      );
      const responses = yield* all(tasks, SHARDS_AT_ONCE);
      return responses.includes(null) ? null : route.merge(request, responses);
    }
    const shard = route.kind === "shard"
      ? route.shardOf(request, this.#services)
      : this.#services.shard;
    return yield* this.#runOn(shard, handler, version, caller, request);
  }

  *#runOn(
    shard: number,
    handler: AnyHandler,
    version: number,
    caller: Caller,
    request: unknown,
  ): Task<unknown> {
    if (shard === this.#services.shard) {
      return yield* this.#handle(handler, version, caller, request);
    }
    const writer = new Writer();
    handler.api.encodeRequest(writer, version, request);
    const body = yield* this.#remote.call(
      shard,
      handler.api.key,
      version,
      caller,
      writer.borrowBytes(),
    );
    if (body === null) return null;
    const cursor = cursorOf(body);
    const response = handler.api.decodeResponse(cursor, version);
    if (!cursor.ok()) throw new Error(`Cannot decode the response of ${handler.api.name}`);
    return response;
  }

  /** Runs the handler here, and logs what it changed. */
  *#handle(
    handler: AnyHandler,
    version: number,
    caller: Caller,
    request: unknown,
  ): Task<unknown> {
    const passedOn = yield* this.#passOn(handler, version, caller, request);
    if (passedOn !== null) return passedOn;
    const response: unknown = yield* handler.handle(this.#context(version, caller), request);
    for (const event of adminEvents(handler.api.key, request, response)) {
      this.#onEvent(event, caller);
    }
    return response;
  }

  /** Asks the controller on another node; null: it is here, or not to be had, which the handler itself answers. */
  *#passOn(handler: AnyHandler, version: number, caller: Caller, request: unknown): Task<unknown> {
    const { controllerCalls } = this;
    if (controllerCalls === null || !isForController(handler, request)) return null;
    if (this.#services.controller?.active === true) return null;
    const writer = new Writer();
    handler.api.encodeRequest(writer, version, request);
    const body = yield* controllerCalls.call(handler.api.key, version, caller, writer.copyBytes());
    if (body === null) return null;
    const cursor = cursorOf(body);
    const response = handler.api.decodeResponse(cursor, version);
    return cursor.ok() ? response : null;
  }

  #context(version: number, caller: Caller): RequestContext {
    const { nowMs, wallMs } = this.#now();
    const { clientId, clientHost } = caller;
    return { version, clientId, clientHost, nowMs, wallMs, services: this.#services };
  }
}

function isForController({ route, isForController }: AnyHandler, request: unknown): boolean {
  return route === ON_CONTROLLER || isForController?.(request) === true;
}

function cursorOf(bytes: Uint8Array): Cursor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Cursor({ bytes, view }, 0, bytes.length);
}

/**
 * The fields of the schema are read, and bytes after them are ignored, as in Kafka. librdkafka depends on
 * it: its Metadata request for all topics (from version 9 on) ends with three bytes of the room that
 * it had reserved for the topics' count.
 */
function decodeRequest(
  api: Api<unknown, unknown>,
  version: number,
  body: Uint8Array,
): DecodedRequest | null {
  const cursor = Cursor.of(body, REQUEST_ELEMENTS_MAX);
  const request = api.decodeRequest(cursor, version);
  if (!cursor.ok()) return null;
  // The body is kept for the byte strings in it, and its text once more as strings.
  return { request, heapBytes: 3 * body.length + ELEMENT_HEAP * cursor.elements };
}
