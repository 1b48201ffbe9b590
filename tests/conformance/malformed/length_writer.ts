/**
 * A writer that remembers where it wrote lengths, so that a test can make each of them lie.
 *
 * @module
 */

import { unsignedVarintSize } from "../../../src/bytes/varint.ts";
import { Writer } from "../../../src/bytes/writer.ts";

/** How a length stands in a frame. */
export type LengthKind = "int16" | "int32" | "varint";

export interface LengthField {
  /** Position of its first byte. */
  readonly at: number;
  readonly kind: LengthKind;
  /** As written: compact lengths are one more than what they count. */
  readonly value: number;
}

export class LengthWriter extends Writer {
  readonly lengths: LengthField[] = [];

  override string(value: string, flexible: boolean): void {
    const at = this.at;
    super.string(value, flexible);
    this.#note(at, flexible ? "varint" : "int16");
  }

  override nullableString(value: string | null, flexible: boolean): void {
    const at = this.at;
    super.nullableString(value, flexible);
    if (value === null) this.#note(at, flexible ? "varint" : "int16");
  }

  override byteString(value: Uint8Array, flexible: boolean): void {
    const at = this.at;
    super.byteString(value, flexible);
    this.#note(at, flexible ? "varint" : "int32");
  }

  override arrayLength(length: number, flexible: boolean): void {
    const at = this.at;
    super.arrayLength(length, flexible);
    this.#note(at, flexible ? "varint" : "int32");
  }

  #note(at: number, kind: LengthKind): void {
    this.lengths.push({ at, kind, value: readLength(this, at, kind) });
  }
}

/** The frame with one length replaced; the size prefix is set again. */
export function withLength(frame: Uint8Array, field: LengthField, value: number): Uint8Array {
  const old = sizeOf(field.kind, field.value);
  const size = sizeOf(field.kind, value);
  const changed = new Uint8Array(frame.length - old + size);
  changed.set(frame.subarray(0, field.at), 0);
  changed.set(frame.subarray(field.at + old), field.at + size);
  const view = new DataView(changed.buffer);
  if (field.kind === "int16") view.setInt16(field.at, value, false);
  else if (field.kind === "int32") view.setInt32(field.at, value, false);
  else writeVarint(changed, field.at, value);
  view.setInt32(0, changed.length - 4, false);
  return changed;
}

/** Where what a length counts begins. */
export function afterLength({ at, kind, value }: LengthField): number {
  return at + sizeOf(kind, value);
}

function readLength(writer: Writer, at: number, kind: LengthKind): number {
  if (kind === "int16") return writer.view.getInt16(at, false);
  if (kind === "int32") return writer.view.getInt32(at, false);
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = writer.bytes[at++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return value;
}

function sizeOf(kind: LengthKind, value: number): number {
  if (kind === "int16") return 2;
  return kind === "int32" ? 4 : unsignedVarintSize(value >>> 0);
}

function writeVarint(bytes: Uint8Array, at: number, value: number): void {
  let rest = value >>> 0;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at] = rest;
}
