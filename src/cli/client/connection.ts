/**
 * One connection of the command line to a broker: frames out, frames in, any number of requests in
 * flight, each with a deadline.
 *
 * On opening it asks for the versions that the broker speaks, and every request goes out in the
 * highest one that both sides know.
 *
 * @module
 */

import { Cursor } from "../../bytes/cursor.ts";
import { type Api, API_VERSIONS } from "../../wire/generated/apis.ts";
import { encodeRequestFrame, responseHeaderVersion } from "../../wire/header.ts";
import { newApiVersionsRequest } from "../../wire/generated/api_versions_request.ts";
import { type Address, formatAddress } from "../flags.ts";
import { VERSION } from "../version.ts";

const RESPONSE_SIZE_MAX = 256 * 2 ** 20;
const READ_SIZE = 128 * 1024;
const WATCH_INTERVAL_MS = 100;
/** Version that every broker since 2.4 answers, and whose refusal older ones word in version 0. */
const API_VERSIONS_VERSION = 3;
const ERROR_UNSUPPORTED_VERSION = 35;

/** The connection could not be made, broke, or did not answer in time. */
export class ConnectionFailure extends Error {
  override name = "ConnectionFailure";
  readonly address: Address;
  readonly reason: string;

  constructor(address: Address, reason: string, cause?: unknown) {
    super(`${formatAddress(address)}: ${reason}`, cause === undefined ? undefined : { cause });
    this.address = address;
    this.reason = reason;
  }
}

/** The broker does not speak any version of an API that this client does. */
export class UnsupportedApi extends Error {
  override name = "UnsupportedApi";
  readonly api: string;
  constructor(api: string, address: Address) {
    super(`the broker at ${formatAddress(address)} does not serve ${api}`);
    this.api = api;
  }
}

export interface CallOptions {
  /** Highest version to use; for requests that change their shape (topic names to ids). */
  readonly maxVersion?: number;
  readonly timeoutMs?: number;
}

/** What of an API decides about its version. */
type Versions = Pick<
  Api<unknown, unknown>,
  "key" | "minVersion" | "maxVersion" | "latestVersionUnstable"
>;

interface Pending {
  readonly apiName: string;
  readonly resolve: (body: Cursor) => void;
  readonly reject: (error: Error) => void;
  /** On the clock of `performance.now()`. */
  readonly deadlineMs: number;
  readonly timeoutMs: number;
}

export class Connection {
  readonly address: Address;
  readonly #conn: Deno.TcpConn;
  readonly #clientId: string;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  readonly #versions = new Map<number, { readonly min: number; readonly max: number }>();
  #nextCorrelation = 1;
  #unwritten: Uint8Array[] = [];
  #isWriting = false;
  #closedBecause: ConnectionFailure | null = null;
  #watch: ReturnType<typeof setInterval> | null = null;

  private constructor(address: Address, conn: Deno.TcpConn, clientId: string, timeoutMs: number) {
    this.address = address;
    this.#conn = conn;
    this.#clientId = clientId;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Connects and agrees on versions.
   *
   * @throws ConnectionFailure
   */
  static async open(
    address: Address,
    options: { readonly timeoutMs: number; readonly clientId?: string },
  ): Promise<Connection> {
    const conn = await connectWithin(address, options.timeoutMs);
    conn.setNoDelay(true);
    const connection = new Connection(
      address,
      conn,
      options.clientId ?? "gregor-cli",
      options.timeoutMs,
    );
    connection.#readFrames();
    try {
      await connection.#negotiate();
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  }

  get isOpen(): boolean {
    return this.#closedBecause === null;
  }

  /** Highest version of `api` that both sides speak, -1 when there is none. */
  versionOf(api: Versions, maxVersion: number = api.maxVersion): number {
    const theirs = this.#versions.get(api.key);
    if (theirs === undefined) return -1;
    const ours = api.latestVersionUnstable ? api.maxVersion - 1 : api.maxVersion;
    const version = Math.min(ours, maxVersion, theirs.max);
    return version < Math.max(api.minVersion, theirs.min) ? -1 : version;
  }

  /**
   * Sends a request and waits for its response.
   *
   * @throws ConnectionFailure, UnsupportedApi
   */
  async call<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const version = this.versionOf(api, options.maxVersion);
    if (version < 0) throw new UnsupportedApi(api.name, this.address);
    const body = await this.#exchange(api, version, request, options.timeoutMs);
    const response = api.decodeResponse(body, version);
    if (!body.ok()) throw this.#fail(`sent a ${api.name} response that cannot be read`);
    return response;
  }

  /** Sends a request that has no response (Produce with acks=0); resolves when it is written. */
  async send<Request>(
    api: Api<Request, unknown>,
    request: Request,
    options: CallOptions = {},
  ): Promise<void> {
    const version = this.versionOf(api, options.maxVersion);
    if (version < 0) throw new UnsupportedApi(api.name, this.address);
    this.#write(this.#frame(api, version, this.#nextCorrelation++, request));
    while (this.#isWriting) await new Promise((resolve) => setTimeout(resolve, 0));
    if (this.#closedBecause !== null) throw this.#closedBecause;
  }

  /** Closes at once; requests in flight are refused. */
  close(): void {
    this.#fail("closed");
  }

  async #negotiate(): Promise<void> {
    const request = newApiVersionsRequest({
      clientSoftwareName: "gregor-cli",
      clientSoftwareVersion: VERSION,
    });
    let version = API_VERSIONS_VERSION;
    let body = await this.#exchange(API_VERSIONS, version, request);
    let response = API_VERSIONS.decodeResponse(body, version);
    if (!body.ok() || response.errorCode === ERROR_UNSUPPORTED_VERSION) {
      version = 0;
      body = await this.#exchange(API_VERSIONS, version, newApiVersionsRequest());
      response = API_VERSIONS.decodeResponse(body, version);
    }
    if (!body.ok()) throw this.#fail("does not speak the Kafka protocol");
    for (const { apiKey, minVersion, maxVersion } of response.apiKeys) {
      this.#versions.set(apiKey, { min: minVersion, max: maxVersion });
    }
  }

  #exchange<Request>(
    api: Api<Request, unknown>,
    version: number,
    request: Request,
    timeoutMs = this.#timeoutMs,
  ): Promise<Cursor> {
    if (this.#closedBecause !== null) return Promise.reject(this.#closedBecause);
    const correlation = this.#nextCorrelation++;
    const frame = this.#frame(api, version, correlation, request);
    return new Promise<Cursor>((resolveBody, reject) => {
      const resolve = (body: Cursor): void => {
        if (responseHeaderVersion(api, version) === 1) body.skipTags();
        resolveBody(body);
      };
      const deadlineMs = performance.now() + timeoutMs;
      const pending = { apiName: api.name, resolve, reject, deadlineMs, timeoutMs };
      this.#pending.set(correlation, pending);
      // One timer looks after all: a timer each would cost more than the request.
      this.#watch ??= setInterval(() => this.#checkDeadlines(), WATCH_INTERVAL_MS);
      this.#write(frame);
    });
  }

  #frame<Request>(
    api: Api<Request, unknown>,
    version: number,
    correlation: number,
    request: Request,
  ): Uint8Array {
    return encodeRequestFrame(api, version, correlation, this.#clientId, request);
  }

  #write(frame: Uint8Array): void {
    this.#unwritten.push(frame);
    if (!this.#isWriting) this.#writeAll();
  }

  /** Writes what has gathered, in one piece, until there is no more. */
  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#unwritten.length > 0) {
        const bytes = join(this.#unwritten);
        this.#unwritten = [];
        let at = 0;
        while (at < bytes.length) at += await this.#conn.write(bytes.subarray(at));
      }
    } catch (error) {
      this.#fail(reasonOf(error), error);
    }
    this.#isWriting = false;
  }

  async #readFrames(): Promise<void> {
    // Bytes received and not yet handed out lie in [start, end) of `buffer`.
    let buffer = new Uint8Array(READ_SIZE);
    let start = 0;
    let end = 0;
    try {
      for (;;) {
        while (end - start >= 4) {
          const size = new DataView(buffer.buffer, start).getInt32(0, false);
          if (size < 4 || size > RESPONSE_SIZE_MAX) {
            this.#fail("does not speak the Kafka protocol");
            return;
          }
          if (end - start < 4 + size) break;
          this.#dispatch(buffer.slice(start + 4, start + 4 + size));
          start += 4 + size;
        }
        const wanted = end - start >= 4
          ? 4 + new DataView(buffer.buffer, start).getInt32(0, false)
          : 4;
        if (start > 0 && (start === end || buffer.length - end < READ_SIZE / 2)) {
          buffer.copyWithin(0, start, end);
          end -= start;
          start = 0;
        }
        if (wanted + start > buffer.length || end === buffer.length) {
          const larger = new Uint8Array(Math.max(wanted, buffer.length) + READ_SIZE);
          larger.set(buffer.subarray(start, end));
          buffer = larger;
          end -= start;
          start = 0;
        }
        const count = await this.#conn.read(buffer.subarray(end));
        if (count === null) {
          this.#fail("the broker closed the connection");
          return;
        }
        end += count;
      }
    } catch (error) {
      this.#fail(reasonOf(error), error);
    }
  }

  #dispatch(frame: Uint8Array): void {
    const body = Cursor.of(frame);
    const pending = this.#take(body.int32());
    if (pending !== undefined) pending.resolve(body);
  }

  #take(correlation: number): Pending | undefined {
    const pending = this.#pending.get(correlation);
    if (pending === undefined) return undefined;
    this.#pending.delete(correlation);
    if (this.#pending.size === 0) this.#stopWatching();
    return pending;
  }

  #checkDeadlines(): void {
    const nowMs = performance.now();
    for (const { apiName, deadlineMs, timeoutMs } of this.#pending.values()) {
      if (deadlineMs > nowMs) continue;
      // Answers come in order: after a missing one, none will come.
      this.#fail(`no answer to ${apiName} within ${timeoutMs} ms`);
      return;
    }
  }

  #stopWatching(): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
  }

  /** Closes for good; the first reason counts. */
  #fail(reason: string, cause?: unknown): ConnectionFailure {
    if (this.#closedBecause !== null) return this.#closedBecause;
    const failure = new ConnectionFailure(this.address, reason, cause);
    this.#closedBecause = failure;
    this.#conn.close();
    this.#stopWatching();
    for (const correlation of [...this.#pending.keys()]) this.#take(correlation)!.reject(failure);
    return failure;
  }
}

async function connectWithin(address: Address, timeoutMs: number): Promise<Deno.TcpConn> {
  const connecting = Deno.connect({ hostname: address.host, port: address.port });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isLate = false;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      isLate = true;
      reject(new ConnectionFailure(address, `no connection within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  connecting.then((conn) => isLate && conn.close(), () => {});
  try {
    return await Promise.race([connecting, timeout]);
  } catch (error) {
    if (error instanceof ConnectionFailure) throw error;
    throw new ConnectionFailure(address, reasonOf(error), error);
  } finally {
    clearTimeout(timer);
  }
}

/** What went wrong with a socket, in a few words. */
function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) return "connection refused";
  if (error instanceof Deno.errors.ConnectionReset) return "connection reset";
  if (error instanceof Deno.errors.BrokenPipe) return "connection broken";
  if (error instanceof Error) return error.message.replace(/ \(os error \d+\)$/, "");
  return String(error);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
