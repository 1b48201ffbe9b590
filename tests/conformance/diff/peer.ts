/**
 * One of the two brokers, as a client meets it: frames out, answers back, or the end of the connection.
 *
 * A broker answers a connection's requests in order. A request without an answer (acks=0) is therefore
 * distinguished from a late answer by a second request after it, the *fence*.
 *
 * @module
 */

import { Cursor } from "../../../src/bytes/cursor.ts";
import type { Api } from "../../../src/wire/api.ts";
import { ErrorCode } from "../../../src/wire/errors.ts";
import { API_VERSIONS } from "../../../src/wire/generated/apis.ts";
import { newApiVersionsRequest } from "../../../src/wire/generated/api_versions_request.ts";
import {
  encodeRequestFrame,
  readResponseHeader,
  responseHeaderVersion,
} from "../../../src/wire/header.ts";

/** What became of a request. */
export type Outcome =
  /** An answer; `version` is that of its body. */
  | { readonly kind: "answer"; readonly version: number; readonly message: object }
  /** An answer that the schema does not describe, or with bytes left over. */
  | { readonly kind: "garbled"; readonly hex: string }
  | { readonly kind: "closed" }
  /** Nothing came, and nothing should: the broker went on to the next request. */
  | { readonly kind: "nothing" }
  /** Nothing came for as long as was waited. */
  | { readonly kind: "silence" };

export interface Asked {
  readonly api: Api<unknown, unknown>;
  readonly version: number;
  /** The whole frame, size included. */
  readonly frame: Uint8Array;
  /** How long an answer may take. */
  readonly patienceMs: number;
  /** Nothing is to come: see the module. */
  readonly isFenced: boolean;
}

/** A connection; recreated by {@linkcode Peer} once it is closed. */
class Connection {
  readonly #tcp: Deno.TcpConn;
  readonly #waiting: { resolve(frame: Uint8Array | null): void; correlationId: number }[] = [];
  isClosed = false;
  readonly #ended: Promise<void>;

  constructor(tcp: Deno.TcpConn) {
    this.#tcp = tcp;
    this.#ended = this.#read();
  }

  /** The next answer with this correlation id; null once the connection is closed. */
  answer(correlationId: number): Promise<Uint8Array | null> {
    if (this.isClosed) return Promise.resolve(null);
    return new Promise((resolve) => this.#waiting.push({ resolve, correlationId }));
  }

  async send(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#tcp.write(bytes.subarray(at));
    } catch {
      this.#end();
    }
  }

  async close(): Promise<void> {
    this.#end();
    await this.#ended;
  }

  async #read(): Promise<void> {
    const chunk = new Uint8Array(64 * 1024);
    let bytes = new Uint8Array(0);
    try {
      while (true) {
        const count = await this.#tcp.read(chunk);
        if (count === null) break;
        const joined = new Uint8Array(bytes.length + count);
        joined.set(bytes);
        joined.set(chunk.subarray(0, count), bytes.length);
        bytes = this.#deliver(joined);
      }
    } catch {
      // A reset ends it as well as an end of the stream does.
    }
    this.#end();
  }

  /** Hands out the whole frames; returns what is left. */
  #deliver(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const view = new DataView(bytes.buffer);
    let at = 0;
    while (bytes.length - at >= 8 && bytes.length - at >= 4 + view.getInt32(at)) {
      const end = at + 4 + view.getInt32(at);
      const correlationId = view.getInt32(at + 4);
      const index = this.#waiting.findIndex((one) => one.correlationId === correlationId);
      if (index >= 0) this.#waiting.splice(index, 1)[0]!.resolve(bytes.slice(at + 4, end));
      at = end;
    }
    return bytes.slice(at);
  }

  #end(): void {
    if (!this.isClosed) this.#tcp.close();
    this.isClosed = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve(null);
  }
}

export class Peer {
  readonly name: string;
  /** `HOST:PORT`. */
  readonly address: string;
  readonly #connections = new Map<number, Connection>();
  #correlationId = 1;

  constructor(name: string, address: string) {
    this.name = name;
    this.address = address;
  }

  /** The correlation id of the next request. */
  nextCorrelationId(): number {
    return this.#correlationId++;
  }

  /** Sends a frame; its outcome comes later, so that more can be sent meanwhile. */
  async ask(
    connectionNumber: number,
    correlationId: number,
    asked: Asked,
  ): Promise<{ outcome: Promise<Outcome> }> {
    const connection = await this.#connect(connectionNumber);
    const answer = connection.answer(correlationId);
    const fenceId = this.nextCorrelationId();
    const fence = asked.isFenced ? connection.answer(fenceId) : null;
    await connection.send(asked.frame);
    if (fence !== null) {
      const request = newApiVersionsRequest({
        clientSoftwareName: "fence",
        clientSoftwareVersion: "1",
      });
      await connection.send(encodeRequestFrame(API_VERSIONS, 3, fenceId, "fence", request));
    }
    return { outcome: this.#outcome(connection, answer, fence, asked) };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
    this.#connections.clear();
  }

  async #connect(number: number): Promise<Connection> {
    const known = this.#connections.get(number);
    if (known !== undefined && !known.isClosed) return known;
    const [hostname, port] = this.address.split(":") as [string, string];
    const tcp = await Deno.connect({ hostname, port: Number(port) });
    tcp.setNoDelay(true);
    const connection = new Connection(tcp);
    this.#connections.set(number, connection);
    return connection;
  }

  async #outcome(
    connection: Connection,
    answer: Promise<Uint8Array | null>,
    fence: Promise<Uint8Array | null> | null,
    { api, version, patienceMs }: Asked,
  ): Promise<Outcome> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<"silence">((resolve) => {
      timer = setTimeout(() => resolve("silence"), patienceMs);
    });
    const behind = fence?.then((frame) => frame === null ? null : "nothing" as const);
    const first = await Promise.race([answer, silence, ...(behind === undefined ? [] : [behind])]);
    clearTimeout(timer);
    if (first === null) return { kind: "closed" };
    if (first === "nothing") return { kind: "nothing" };
    if (first === "silence") {
      // Whatever comes after all belongs to no one.
      await connection.close();
      return { kind: "silence" };
    }
    return decodeAnswer(api, version, first);
  }
}

function decodeAnswer(api: Api<unknown, unknown>, version: number, frame: Uint8Array): Outcome {
  const bodyVersion = versionOfBody(api, version, frame);
  const cursor = Cursor.of(frame);
  readResponseHeader(cursor, responseHeaderVersion(api, bodyVersion));
  const message = api.decodeResponse(cursor, bodyVersion) as object;
  if (!cursor.atEnd()) return { kind: "garbled", hex: frame.toHex() };
  return { kind: "answer", version: bodyVersion, message };
}

/** A broker that does not have the version of an ApiVersions says so in version 0. */
function versionOfBody(api: Api<unknown, unknown>, version: number, frame: Uint8Array): number {
  if (api.key !== API_VERSIONS.key || frame.length < 6) return version;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const known = version >= api.minVersion && version <= api.maxVersion;
  return !known && view.getInt16(4) === ErrorCode.UNSUPPORTED_VERSION ? 0 : version;
}
