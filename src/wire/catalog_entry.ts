/**
 * The generated catalog's description of a message: enough to invent values of it in a property
 * test.
 *
 * @module
 */

import type { Cursor } from "../bytes/cursor.ts";
import type { Writer } from "../bytes/writer.ts";

/** First and last version, inclusive; the last may be 32767 for "and later". */
export type VersionRange = readonly [number, number];

export interface CatalogField {
  readonly name: string;
  /** As in the schema: `int32`, `[]string`, `[]Name` or `Name` of a struct. */
  readonly type: string;
  readonly versions: VersionRange;
  readonly nullable?: VersionRange;
  readonly tag?: number;
  readonly ignorable?: boolean;
}

/** A struct: all defaults, and what its fields are. */
export interface CatalogStruct {
  create(): object;
  readonly fields: readonly CatalogField[];
}

export interface CatalogEntry {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly flexibleSince: number;
  decode(cursor: Cursor, version: number): object;
  // deno-lint-ignore no-explicit-any -- each entry takes what its own `decode` gives
  encode(writer: Writer, version: number, message: any): void;
  /** The message itself and its inner structs, by name. */
  readonly structs: Readonly<Record<string, CatalogStruct>>;
}
