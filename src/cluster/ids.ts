/**
 * Making the cluster's random identifiers: topic ids and the cluster id.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";

const BASE64_URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * A random (version 4) UUID as 32 hexadecimal digits.
 *
 * Never one whose base64 form begins with a dash: command lines would take it for a flag (Kafka
 * avoids those too).
 */
export function newUuid(random: Random): string {
  for (;;) {
    const words = [
      random.nextUint32(),
      (random.nextUint32() & 0xffff0fff) | 0x4000,
      (random.nextUint32() & 0x3fffffff) | 0x80000000,
      random.nextUint32(),
    ];
    const hex = words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    if (!base64OfUuid(hex).startsWith("-")) return hex;
  }
}

/** Kafka's printed form of a UUID: 22 characters of URL-safe base64 without padding. */
export function base64OfUuid(hex: string): string {
  let text = "";
  let bits = 0;
  let bitCount = 0;
  for (let i = 0; i < 32; i++) {
    bits = (bits << 4) | parseInt(hex[i]!, 16);
    bitCount += 4;
    if (bitCount >= 6) {
      bitCount -= 6;
      text += BASE64_URL[(bits >> bitCount) & 63];
      bits &= (1 << bitCount) - 1;
    }
  }
  return text + BASE64_URL[(bits << (6 - bitCount)) & 63];
}

/** The 16 bytes of a UUID. */
export function bytesOfUuid(hex: string): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
