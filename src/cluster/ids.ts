/**
 * Creates the cluster's random identifiers: topic ids and the cluster id.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import { type Uuid, uuidToBase64 } from "../wire/uuid.ts";

/**
 * A random (version 4) UUID.
 *
 * Never one whose base64 form begins with a dash: command lines would take it for a flag (Kafka
 * avoids those too).
 */
export function newUuid(random: Random): Uuid {
  for (;;) {
    const words = [
      random.nextUint32(),
      (random.nextUint32() & 0xffff0fff) | 0x4000,
      (random.nextUint32() & 0x3fffffff) | 0x80000000,
      random.nextUint32(),
    ];
    const uuid = words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    if (!uuidToBase64(uuid).startsWith("-")) return uuid;
  }
}
