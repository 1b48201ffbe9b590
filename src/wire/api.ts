/**
 * What the generated table says about one API: its key, versions and codecs.
 *
 * @module
 */

import type { Cursor } from "../bytes/cursor.ts";
import type { Writer } from "../bytes/writer.ts";

/** `flexibleSince` of a message that has no flexible version: higher than any version. */
export const NEVER_FLEXIBLE = 32768;

/**
 * Keys from here on are Gregor's own: what an operator asks for, and Kafka has no API for. Only our own command line is
 * told of them.
 */
export const OWN_KEY_MIN = 20_000;

/** One API of the Kafka protocol. */
export interface Api<Request, Response> {
  readonly key: number;
  /** Kafka's name, as in `JoinGroup`. */
  readonly name: string;
  /** Lowest version that the schema has; what a broker advertises is its own affair. */
  readonly minVersion: number;
  readonly maxVersion: number;
  /** First version with compact lengths and tagged fields. */
  readonly flexibleSince: number;
  /** The highest version is not final: it is not advertised. */
  readonly latestVersionUnstable: boolean;
  /** `broker`, `controller`, or both; empty for what no listener serves. */
  readonly listeners: readonly string[];
  decodeRequest(cursor: Cursor, version: number): Request;
  encodeRequest(writer: Writer, version: number, message: Request): void;
  decodeResponse(cursor: Cursor, version: number): Response;
  encodeResponse(writer: Writer, version: number, message: Response): void;
}
