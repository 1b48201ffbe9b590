/**
 * A Kafka client for simulations: frames out, frames in, no time and no promises of its own.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { Cursor } from "../../src/bytes/cursor.ts";
import type { Api } from "../../src/wire/api.ts";
import { encodeRequestFrame, responseHeaderVersion } from "../../src/wire/header.ts";
import { type ClientEnd, concat } from "./memory_sockets.ts";

interface Sent {
  readonly api: Api<unknown, unknown>;
  readonly version: number;
  readonly correlationId: number;
  readonly onResponse: (response: unknown) => void;
}

export class SimClient {
  readonly end: ClientEnd;
  readonly #sent: Sent[] = [];
  #received = new Uint8Array(0);
  #nextCorrelationId = 1;

  constructor(end: ClientEnd) {
    this.end = end;
  }

  /** Requests without their response. */
  get open(): number {
    return this.#sent.length;
  }

  send<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
    onResponse: (response: Response) => void,
  ): void {
    const correlationId = this.#nextCorrelationId++;
    this.end.send(encodeRequestFrame(api, version, correlationId, "sim", request));
    this.#sent.push({
      api: api as Api<unknown, unknown>,
      version,
      correlationId,
      onResponse: onResponse as (response: unknown) => void,
    });
  }

  /** A request that has no response. */
  sendUnanswered<Request>(api: Api<Request, unknown>, version: number, request: Request): void {
    const correlationId = this.#nextCorrelationId++;
    this.end.send(encodeRequestFrame(api, version, correlationId, "sim", request));
  }

  /** Takes what has come; responses must be in the order of the requests. */
  poll(): void {
    if (this.end.fromServer.length === 0) return;
    this.#received = concat([this.#received, this.end.take()]);
    for (;;) {
      if (this.#received.length < 4) return;
      const size = new DataView(this.#received.buffer).getInt32(0, false);
      if (this.#received.length < 4 + size) return;
      const frame = this.#received.slice(4, 4 + size);
      this.#received = this.#received.slice(4 + size);
      this.#take(frame);
    }
  }

  #take(frame: Uint8Array): void {
    const sent = this.#sent.shift();
    assert(sent !== undefined, "a response without a request");
    const cursor = Cursor.of(frame);
    assert(cursor.int32() === sent.correlationId, "responses are not in the order of the requests");
    if (responseHeaderVersion(sent.api, sent.version) === 1) cursor.skipTags();
    const response = sent.api.decodeResponse(cursor, sent.version);
    assert(cursor.atEnd(), `a response of ${sent.api.name} v${sent.version} does not decode`);
    sent.onResponse(response);
  }
}
