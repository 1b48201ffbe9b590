/**
 * Names of hosts to addresses, as the host's own resolver finds them (files and DNS). For the control thread: a shard
 * never waits for a name.
 *
 * @module
 */

import { lookup } from "node:dns/promises";

/** The first numeric address of `host`; null when it has none now. */
export async function resolveHost(host: string): Promise<string | null> {
  try {
    return (await lookup(host)).address;
  } catch {
    // Unknown, or no name server answers: whoever asked asks again.
    return null;
  }
}
