/**
 * What the in-place writers of Produce and Fetch responses share.
 *
 * @module
 */

import type { Writer } from "../bytes/writer.ts";

const NODE_ENDPOINTS_TAG = 0;

/** Where a leader is that a response names (KIP-951). */
export interface NodeEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/** A topic's name, copied from the region. */
export function writeTopicName(
  writer: Writer,
  address: number,
  length: number,
  flexible: boolean,
): void {
  if (flexible) writer.unsignedVarint(length + 1);
  else writer.int16(length);
  writer.copyWithin(address, length);
}

/** The tagged fields at the end of a response: the endpoints, if there are any. */
export function writeNodeEndpointTags(
  writer: Writer,
  endpoints: readonly NodeEndpoint[] | null,
): void {
  if (endpoints === null || endpoints.length === 0) {
    writer.unsignedVarint(0);
    return;
  }
  writer.unsignedVarint(1);
  const start = writer.beginTag(NODE_ENDPOINTS_TAG);
  writer.arrayLength(endpoints.length, true);
  for (let i = 0; i < endpoints.length; i++) {
    const endpoint = endpoints[i]!;
    writer.int32(endpoint.nodeId);
    writer.string(endpoint.host, true);
    writer.int32(endpoint.port);
    writer.nullableString(endpoint.rack, true);
    writer.unsignedVarint(0);
  }
  writer.endTag(start);
}
