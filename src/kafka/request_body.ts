/**
 * Where a request's body begins, for the paths that read it in place.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { requestBodyAddress } from "../wire/header.ts";

const PLAIN_HEADER = 1;
const FLEXIBLE_HEADER = 2;

/** Address of the body of the request in `[address, end)`, or -1 when its header is malformed. */
export function requestBody(
  memory: Memory,
  address: number,
  end: number,
  flexible: boolean,
): number {
  return requestBodyAddress(memory, address, end, flexible ? FLEXIBLE_HEADER : PLAIN_HEADER);
}
