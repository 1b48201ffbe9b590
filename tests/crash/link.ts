/**
 * A connection to a broker that comes and goes: opened again whenever it is needed and broken.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Connection, ConnectionFailure } from "../../src/cli/client/connection.ts";
import type { Address } from "../../src/cli/flags.ts";
import type { Api } from "../../src/wire/api.ts";

const RETRY_MS = 25;
/** One answer may take this long: a broker under test may be stopped by the scheduler, or slow by order. */
const ANSWER_MS = 30_000;

/** Says where the broker is that a link's requests belong to; asked before each connection, and may throw its failure. */
export type Locate = () => Promise<Address>;

/** The load has ended while a caller waited for the broker. */
export class LinkClosed extends Error {
  override name = "LinkClosed";
}

export class Link {
  readonly #where: Address | Locate;
  readonly #clientId: string;
  #connection: Promise<Connection> | null = null;
  #closed = false;
  /** Calls that wait for their answer, with the time of their start (ms). */
  readonly #calls = new Map<symbol, { readonly api: string; readonly sinceMs: number }>();
  /** Counts connections: a caller that sees another number than before has lost its requests. */
  generation = 0;

  constructor(where: Address | Locate, clientId: string) {
    this.#where = where;
    this.#clientId = clientId;
  }

  get name(): string {
    return this.#clientId;
  }

  get state(): string {
    const nowMs = performance.now();
    const calls = [...this.#calls.values()].map(({ api, sinceMs }) =>
      `${api} for ${Math.round(nowMs - sinceMs)} ms`
    );
    return `connection ${this.generation}, ${calls.join(", ") || "no calls"}`;
  }

  /** An open connection, however long the broker is away. Throws {@linkcode LinkClosed}. */
  async open(): Promise<Connection> {
    const known = this.#connection;
    if (known !== null) {
      const connection = await known;
      if (connection.isOpen) return connection;
      if (this.#connection === known) this.#connection = null;
    }
    this.#connection ??= this.#connect();
    return await this.#connection;
  }

  /**
   * One call on an open connection; null when the connection broke before the answer came.
   *
   * @param generation only on this connection: null when it is another one by now
   */
  async call<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    maxVersion: number,
    generation?: number,
  ): Promise<Response | null> {
    const call = Symbol(api.name);
    this.#calls.set(call, { api: api.name, sinceMs: performance.now() });
    try {
      const connection = await this.open();
      if (generation !== undefined && generation !== this.generation) return null;
      return await connection.call(api, request, { maxVersion, timeoutMs: ANSWER_MS });
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) throw error;
      if (error.reason.startsWith("no answer")) throw error;
      return null;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** The broker does not have what is asked for: the next call looks for the one that has. */
  elsewhere(): void {
    if (typeof this.#where !== "function") return;
    this.#connection?.then((connection) => connection.close(), () => {});
  }

  close(): void {
    this.#closed = true;
    this.#connection?.then((connection) => connection.close(), () => {});
  }

  async #connect(): Promise<Connection> {
    for (;;) {
      if (this.#closed) throw new LinkClosed("closed while the broker was away");
      try {
        const address = typeof this.#where === "function" ? await this.#where() : this.#where;
        const connection = await Connection.open(address, {
          timeoutMs: ANSWER_MS,
          clientId: this.#clientId,
        });
        this.generation++;
        if (this.#closed) connection.close();
        return connection;
      } catch (error) {
        if (!(error instanceof ConnectionFailure)) throw error;
      }
      await pause(RETRY_MS);
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Reads the `HOST:PORT` of a ready line. */
export function parseAddress(text: string): Address {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

/** Longest time from an event to its line in the log: that a full disk has room again is told after seconds (ms). */
const LOG_MS = 10_000;
const LOG_LOOK_MS = 20;

/** Waits until the broker's log says `pattern`. */
export async function logSays(broker: { readonly stderr: string }, pattern: RegExp): Promise<void> {
  for (let ms = 0; ms < LOG_MS && !pattern.test(broker.stderr); ms += LOG_LOOK_MS) {
    await pause(LOG_LOOK_MS);
  }
  assert.match(broker.stderr, pattern);
}
