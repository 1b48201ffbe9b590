/**
 * The bytes of a hello, by which nodes find each other before they belong to a cluster
 * (docs/formats/hello.md). What it means is in `founding.ts`.
 *
 * ```
 * hello := format:uint8 (1)  body, as in src/wire/schemas/NodeHello.json, flexible encoding
 * ```
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { decodeNodeHello, encodeNodeHello, type NodeHello } from "../wire/generated/node_hello.ts";
import { uuidFromBase64 } from "../wire/uuid.ts";

/** Seeds of a cluster, and so its founders. */
export const SEEDS_MAX = 15;
/** Lives of nodes that a cluster was recovered without, the latest. */
export const GIVEN_UP_MAX = 15;

const FORMAT = 1;
const BODY_VERSION = 0;
const PORT_MAX = 65_535;

export function encodeHello(hello: NodeHello): Uint8Array {
  const writer = new Writer();
  writer.int8(FORMAT);
  encodeNodeHello(writer, BODY_VERSION, hello);
  return writer.copyBytes();
}

/** Null for what is none, or makes no sense: it comes from the network. Keeps nothing of `bytes`. */
export function decodeHello(bytes: Uint8Array): NodeHello | null {
  const cursor = Cursor.of(bytes, SEEDS_MAX + GIVEN_UP_MAX);
  if (cursor.int8() !== FORMAT) return null;
  const hello = decodeNodeHello(cursor, BODY_VERSION);
  if (!cursor.atEnd() || !isPlace(hello) || hello.askedPort < 0) return null;
  if (!isIdOrNone(hello.clusterId) || !isIdOrNone(hello.proposalId)) return null;
  if (hello.founders.length > SEEDS_MAX) return null;
  return hello.founders.every(isPlace) && hello.givenUp.every(isPlace) ? hello : null;
}

function isPlace(of: { readonly nodeId: number; readonly host: string; readonly port: number }) {
  return of.nodeId >= 0 && of.host !== "" && of.port > 0 && of.port <= PORT_MAX;
}

function isIdOrNone(clusterId: string): boolean {
  return clusterId === "" || uuidFromBase64(clusterId) !== null;
}
