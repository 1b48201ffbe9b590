/**
 * Kafka's 128-bit ids (topics, directories, members of new protocols).
 *
 * In the program a uuid is a string of 32 lowercase hexadecimal digits: it compares, hashes and
 * prints as it is. Kafka's tools print the same bytes as URL-safe base64 without padding (22
 * characters).
 *
 * @module
 */

import type { Cursor } from "../bytes/cursor.ts";
import type { Writer } from "../bytes/writer.ts";

/** 32 lowercase hexadecimal digits. */
export type Uuid = string;

/** "No id": Kafka's `Uuid.ZERO_UUID`. */
export const ZERO_UUID: Uuid = "00000000000000000000000000000000";

/** Bytes of a uuid on the wire. */
export const UUID_SIZE = 16;

const HEX: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);
const BASE64_URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Reads the 16 bytes at `at`. */
export function uuidFromBytes(bytes: Uint8Array, at: number = 0): Uuid {
  let text = "";
  for (let i = 0; i < UUID_SIZE; i++) text += HEX[bytes[at + i]!]!;
  return text;
}

/** Writes the 16 bytes of `uuid` at `at`. */
export function uuidToBytes(uuid: Uuid, bytes: Uint8Array, at: number = 0): void {
  for (let i = 0; i < UUID_SIZE; i++) {
    bytes[at + i] = Number.parseInt(uuid.substring(2 * i, 2 * i + 2), 16);
  }
}

/** Whether `text` has the form of a {@linkcode Uuid}. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

/** The form that Kafka's tools print. */
export function uuidToBase64(uuid: Uuid): string {
  let text = "";
  for (let i = 0; i < 32; i += 3) {
    // Three digits are twelve bits, two characters; the last two digits have four bits of padding.
    const bits = Number.parseInt(uuid.substring(i, i + 3).padEnd(3, "0"), 16);
    text += BASE64_URL[bits >> 6]! + BASE64_URL[bits & 63]!;
  }
  return text;
}

/** Reads what {@linkcode uuidToBase64} printed; null when it is not of that form. */
export function uuidFromBase64(text: string): Uuid | null {
  if (!/^[A-Za-z0-9_-]{22}$/.test(text)) return null;
  let uuid = "";
  for (let i = 0; i < 22; i += 2) {
    const bits = BASE64_URL.indexOf(text[i]!) * 64 + BASE64_URL.indexOf(text[i + 1]!);
    uuid += bits.toString(16).padStart(3, "0");
  }
  return uuid.endsWith("0") ? uuid.substring(0, 32) : null;
}

export function readUuid(cursor: Cursor): Uuid {
  const at = cursor.at;
  cursor.skip(UUID_SIZE);
  return cursor.ok() ? uuidFromBytes(cursor.bytes, at) : ZERO_UUID;
}

export function writeUuid(writer: Writer, uuid: Uuid): void {
  for (let i = 0; i < 32; i += 8) {
    writer.uint32(Number.parseInt(uuid.substring(i, i + 8), 16));
  }
}
