/**
 * A broker of a few lines, for tests of the client: it listens, reads requests of the real protocol, and
 * answers each API as the test says.
 *
 * @module
 */

import { Cursor } from "../../bytes/cursor.ts";
import { type Api, API_VERSIONS, apiByKey } from "../../wire/generated/apis.ts";
import {
  newApiVersion,
  newApiVersionsResponse,
} from "../../wire/generated/api_versions_response.ts";
import { encodeResponse, readRequestHeader, requestHeaderVersion } from "../../wire/header.ts";
import type { Address } from "../flags.ts";

/** One API of a script; null from `answer` means: never answer. */
export interface Scripted<Request, Response> {
  readonly api: Api<Request, Response>;
  readonly maxVersion: number;
  readonly answer: (request: Request, version: number) => Response | null;
}

/** Gives a script entry the types of its API. */
export function scripted<Request, Response>(
  api: Api<Request, Response>,
  maxVersion: number,
  answer: (request: Request, version: number) => Response | null,
): Scripted<unknown, unknown> {
  return { api, maxVersion, answer } as Scripted<unknown, unknown>;
}

export interface Received {
  readonly name: string;
  readonly version: number;
  readonly request: unknown;
}

export class ScriptedBroker {
  /** What was received, in order, without ApiVersions. */
  readonly received: Received[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #script: Map<number, Scripted<unknown, unknown>>;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #serving: Promise<void>;

  constructor(script: readonly Scripted<unknown, unknown>[]) {
    this.#script = new Map(script.map((entry) => [entry.api.key, entry]));
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#serving = this.#accept();
  }

  get address(): Address {
    const { hostname, port } = this.#listener.addr;
    return { host: hostname, port };
  }

  /** `HOST:PORT`, for `--brokers`. */
  get brokers(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  /** Names of the requests that were received. */
  get names(): string[] {
    return this.received.map((one) => one.name);
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) conn.close();
    await this.#serving;
  }

  async #accept(): Promise<void> {
    const serving: Promise<void>[] = [];
    try {
      for await (const conn of this.#listener) {
        this.#open.add(conn);
        serving.push(this.#serve(conn));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await Promise.all(serving);
  }

  async #serve(conn: Deno.TcpConn): Promise<void> {
    try {
      for (;;) {
        const head = await readExactly(conn, 4);
        if (head === null) break;
        const size = new DataView(head.buffer).getInt32(0, false);
        const frame = await readExactly(conn, size);
        if (frame === null) break;
        const response = this.#answer(frame);
        if (response === null) continue;
        const sized = new Uint8Array(4 + response.length);
        new DataView(sized.buffer).setInt32(0, response.length, false);
        sized.set(response, 4);
        await conn.write(sized);
      }
    } catch (error) {
      // The client, or the end of the test, closed the connection.
      const isClosed = error instanceof Deno.errors.BadResource ||
        error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
        error instanceof Deno.errors.Interrupted;
      if (!isClosed) throw error;
    }
    if (this.#open.delete(conn)) {
      try {
        conn.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    }
  }

  #answer(frame: Uint8Array): Uint8Array | null {
    const cursor = Cursor.of(frame);
    const { apiKey, apiVersion, correlationId } = readRequestHeader(cursor);
    if (apiKey === API_VERSIONS.key) {
      const version = Math.min(apiVersion, 3);
      return encodeResponse(API_VERSIONS, version, correlationId, this.#versions());
    }
    const api = apiByKey(apiKey)!;
    const entry = this.#script.get(apiKey);
    if (entry === undefined || apiVersion > entry.maxVersion) {
      throw new Error(`${api.name} v${apiVersion} is not in the script`);
    }
    if (requestHeaderVersion(api, apiVersion) === 2) cursor.skipTags();
    const request = api.decodeRequest(cursor, apiVersion);
    if (!cursor.atEnd()) throw new Error(`${api.name} v${apiVersion} is malformed`);
    this.received.push({ name: api.name, version: apiVersion, request });
    const response = entry.answer(request, apiVersion);
    return response === null ? null : encodeResponse(api, apiVersion, correlationId, response);
  }

  #versions() {
    return newApiVersionsResponse({
      apiKeys: [...this.#script.values()].map(({ api, maxVersion }) =>
        newApiVersion({ apiKey: api.key, minVersion: api.minVersion, maxVersion })
      ),
    });
  }
}

async function readExactly(
  conn: Deno.TcpConn,
  size: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const count = await conn.read(bytes.subarray(at));
    if (count === null) return null;
    at += count;
  }
  return bytes;
}
