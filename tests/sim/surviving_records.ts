/**
 * What replicas of a compacted log have in common: each compacts for itself, so that one may have records that another one
 * has given up for newer ones, but the last one of each key is the same.
 *
 * @module
 */

import { readBatches } from "../../src/cli/client/records.ts";

/** The last record of each key in `batches`, as offset and value, by key. */
export function lastOfKeys(batches: Uint8Array): Map<string, string> {
  const last = new Map<string, string>();
  const { records } = readBatches({ topic: "", partition: 0, offset: 0 }, batches, []);
  for (const { key, value, offset } of records) {
    // Records without a key are never given up.
    const name = key === null ? `none at ${offset}` : key.toHex();
    last.set(name, `${offset} ${value?.toHex() ?? "deleted"}`);
  }
  return last;
}

/** Whether readers of both learn the same. */
export function endAlike(some: Uint8Array, others: Uint8Array): boolean {
  const [one, other] = [lastOfKeys(some), lastOfKeys(others)];
  return one.size === other.size && [...one].every(([key, record]) => other.get(key) === record);
}
