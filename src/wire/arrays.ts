/**
 * Arrays and refusals, shared by all generated codecs.
 *
 * @module
 */

import type { Cursor } from "../bytes/cursor.ts";
import type { Writer } from "../bytes/writer.ts";
import { readUuid, type Uuid, writeUuid } from "./uuid.ts";

type ReadStruct<T> = (cursor: Cursor, version: number) => T;
type WriteStruct<T> = (writer: Writer, version: number, value: T) => void;
type ReadElement<T> = (cursor: Cursor, flexible: boolean) => T;
type WriteElement<T> = (writer: Writer, value: T, flexible: boolean) => void;

/** `length` structs; stops early where the input turns out malformed. */
export function readStructs<T>(
  cursor: Cursor,
  version: number,
  length: number,
  read: ReadStruct<T>,
): T[] {
  const list: T[] = [];
  for (let i = 0; i < length && !cursor.bad; i++) list.push(read(cursor, version));
  return list;
}

/** As {@linkcode readStructs}, null for a length of -1. */
export function readNullableStructs<T>(
  cursor: Cursor,
  version: number,
  length: number,
  read: ReadStruct<T>,
): T[] | null {
  return length < 0 ? null : readStructs(cursor, version, length, read);
}

export function writeStructs<T>(
  writer: Writer,
  version: number,
  flexible: boolean,
  list: readonly T[],
  write: WriteStruct<T>,
): void {
  writer.arrayLength(list.length, flexible);
  for (let i = 0; i < list.length; i++) write(writer, version, list[i]!);
}

export function writeNullableStructs<T>(
  writer: Writer,
  version: number,
  flexible: boolean,
  list: readonly T[] | null,
  write: WriteStruct<T>,
): void {
  if (list === null) writer.arrayLength(-1, flexible);
  else writeStructs(writer, version, flexible, list, write);
}

export function readElements<T>(
  cursor: Cursor,
  flexible: boolean,
  length: number,
  read: ReadElement<T>,
): T[] {
  const list: T[] = [];
  for (let i = 0; i < length && !cursor.bad; i++) list.push(read(cursor, flexible));
  return list;
}

export function readNullableElements<T>(
  cursor: Cursor,
  flexible: boolean,
  length: number,
  read: ReadElement<T>,
): T[] | null {
  return length < 0 ? null : readElements(cursor, flexible, length, read);
}

export function writeElements<T>(
  writer: Writer,
  flexible: boolean,
  list: readonly T[],
  write: WriteElement<T>,
): void {
  writer.arrayLength(list.length, flexible);
  for (let i = 0; i < list.length; i++) write(writer, list[i]!, flexible);
}

export function writeNullableElements<T>(
  writer: Writer,
  flexible: boolean,
  list: readonly T[] | null,
  write: WriteElement<T>,
): void {
  if (list === null) writer.arrayLength(-1, flexible);
  else writeElements(writer, flexible, list, write);
}

export const readInt8: ReadElement<number> = (cursor) => cursor.int8();
export const readInt16: ReadElement<number> = (cursor) => cursor.int16();
export const readInt32: ReadElement<number> = (cursor) => cursor.int32();
export const readInt64: ReadElement<number> = (cursor) => cursor.int64();
export const readString: ReadElement<string> = (cursor, flexible) => cursor.string(flexible);
export const readByteString: ReadElement<Uint8Array> = (cursor, flexible) =>
  cursor.byteString(flexible);
export const readUuidElement: ReadElement<Uuid> = (cursor) => readUuid(cursor);

export const writeInt8: WriteElement<number> = (writer, value) => writer.int8(value);
export const writeInt16: WriteElement<number> = (writer, value) => writer.int16(value);
export const writeInt32: WriteElement<number> = (writer, value) => writer.int32(value);
export const writeInt64: WriteElement<number> = (writer, value) => writer.int64(value);
export const writeString: WriteElement<string> = (writer, value, flexible) =>
  writer.string(value, flexible);
export const writeByteString: WriteElement<Uint8Array> = (writer, value, flexible) =>
  writer.byteString(value, flexible);
export const writeUuidElement: WriteElement<Uuid> = (writer, value) => writeUuid(writer, value);

/** A value that the version of the message cannot carry: the caller chose the wrong version. */
export function unsupportedField(message: string, field: string, version: number): never {
  throw new RangeError(`Cannot encode ${message} v${version}: it has no field ${field}`);
}

/** A message in a version that its schema does not have. */
export function unsupportedVersion(message: string, version: number): never {
  throw new RangeError(`Cannot encode ${message} v${version}: there is no such version`);
}

/** Passes on what is not null; null cannot be sent in this version. */
export function present<T>(value: T | null, message: string, field: string, version: number): T {
  if (value !== null) return value;
  throw new RangeError(`Cannot encode ${message} v${version}: ${field} must not be null`);
}
