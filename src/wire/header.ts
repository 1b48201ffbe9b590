/**
 * Frames and headers: what stands before the body of every request and response.
 *
 * ```
 * request   size:int32 │ apiKey:int16 apiVersion:int16 correlationId:int32 clientId:nullable string │ tags (v2)
 * response  size:int32 │ correlationId:int32 │ tags (v1)
 * ```
 *
 * The request header is v2 and the response header v1 from the API's first flexible version on. Two
 * exceptions: the client id keeps its int16 length always, and the response of ApiVersions has a v0
 * header in every version, because its client may not know which version the broker answers in.
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import type { ByteSource } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import type { Api } from "./api.ts";

const API_VERSIONS_KEY = 18;
/** Offset of the client id's length in a request, counted from the end of the size. */
const CLIENT_ID_OFFSET = 8;

/** Whose header and versions are asked for. */
type ApiVersioning = Pick<Api<unknown, unknown>, "key" | "flexibleSince">;

/** What a request says of itself. */
export interface RequestHeader {
  apiKey: number;
  apiVersion: number;
  correlationId: number;
  clientId: string | null;
}

/** 1 or 2. */
export function requestHeaderVersion(api: ApiVersioning, version: number): number {
  return version >= api.flexibleSince ? 2 : 1;
}

/** 0 or 1. */
export function responseHeaderVersion(api: ApiVersioning, version: number): number {
  return version >= api.flexibleSince && api.key !== API_VERSIONS_KEY ? 1 : 0;
}

/**
 * Reads the header up to the client id; the tags of a v2 header are the caller's to skip
 * (`cursor.skipTags()`), when it knows the API's versions.
 */
export function readRequestHeader(cursor: Cursor): RequestHeader {
  return {
    apiKey: cursor.int16(),
    apiVersion: cursor.int16(),
    correlationId: cursor.int32(),
    clientId: cursor.nullableString(false),
  };
}

/**
 * Address of a request's body, without reading the header (hot path).
 *
 * @param address the request's first byte, after the size
 * @param end address after its last byte
 * @param headerVersion from {@linkcode requestHeaderVersion}
 * @returns -1 where the header is malformed
 */
export function requestBodyAddress(
  source: ByteSource,
  address: number,
  end: number,
  headerVersion: number,
): number {
  let at = address + CLIENT_ID_OFFSET;
  if (at + 2 > end) return -1;
  const length = source.view.getInt16(at, false);
  at += 2 + (length < 0 ? 0 : length);
  if (headerVersion < 2) return at > end ? -1 : at;
  if (at >= end) return -1;
  // Nobody sends tags in a header yet.
  if (source.bytes[at] === 0) return at + 1;
  const cursor = new Cursor(source, at, end);
  cursor.skipTags();
  return cursor.ok() ? cursor.at : -1;
}

/** A whole request as a client sends it, size included. */
export function encodeRequestFrame<Request>(
  api: Api<Request, unknown>,
  version: number,
  correlationId: number,
  clientId: string | null,
  request: Request,
): Uint8Array {
  const writer = new Writer();
  writer.int32(0);
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(correlationId);
  writer.nullableString(clientId, false);
  if (requestHeaderVersion(api, version) === 2) writer.unsignedVarint(0);
  api.encodeRequest(writer, version, request);
  writer.view.setInt32(0, writer.size - 4, false);
  return writer.borrowBytes();
}

/** A response as a connection queues it: header and body, without the size. */
export function encodeResponse<Response>(
  api: Api<unknown, Response>,
  version: number,
  correlationId: number,
  response: Response,
): Uint8Array {
  const writer = new Writer();
  writer.int32(correlationId);
  if (responseHeaderVersion(api, version) === 1) writer.unsignedVarint(0);
  api.encodeResponse(writer, version, response);
  return writer.borrowBytes();
}

/**
 * Reads a response's header.
 *
 * @returns its correlation id; whether it was well-formed says the cursor
 */
export function readResponseHeader(cursor: Cursor, headerVersion: number): number {
  const correlationId = cursor.int32();
  if (headerVersion >= 1) cursor.skipTags();
  return correlationId;
}
