/**
 * The state of a log's producers as another node gets it with a snapshot: what is committed, within a bound.
 *
 * Where there are more producers than fit, those that were silent for the longest are left out: a batch that one of
 * them repeats is not recognised as a duplicate by a replica that began with this state.
 *
 * @module
 */

import { ProducerTable } from "./producer_table.ts";

/** A log's producers without appends that could still be cut, encoded in at most `bytesMax` bytes; empty: there are none. */
export function committedProducers(
  producers: ProducerTable,
  bytesMax: number,
): Uint8Array<ArrayBuffer> {
  const copy = decoded(encoded(producers));
  copy.truncate(-1);
  return fitted(copy, bytesMax);
}

/** The same of an encoded table ({@linkcode isProducerTable}). */
export function fittedProducers(
  bytes: Uint8Array<ArrayBuffer>,
  bytesMax: number,
): Uint8Array<ArrayBuffer> {
  return fitted(decoded(bytes), bytesMax);
}

/** Whether bytes that a peer sent are one encoded table, and nothing else. */
export function isProducerTable({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): boolean {
  return new ProducerTable().decode(new DataView(buffer, byteOffset, length), 0) === length;
}

function fitted(table: ProducerTable, bytesMax: number): Uint8Array<ArrayBuffer> {
  for (let size = table.encodedSize(); size > bytesMax; size = table.encodedSize()) {
    const goal = Math.max(1, Math.ceil(table.size * (1 - bytesMax / size)));
    const times: number[] = [];
    table.visitHeard((heardMs) => times.push(heardMs === 0 ? Infinity : heardMs));
    times.sort((a, b) => a - b);
    // Those with an open transaction stay.
    if (times.length === 0) break;
    table.forgetHeardUntil(times[Math.min(goal, times.length) - 1]!, goal);
  }
  return table.size === 0 ? new Uint8Array(0) : encoded(table);
}

function encoded(table: ProducerTable): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(table.encodedSize());
  table.encode(new DataView(bytes.buffer), 0);
  return bytes;
}

function decoded({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): ProducerTable {
  const table = new ProducerTable();
  table.decode(new DataView(buffer, byteOffset, length), 0);
  return table;
}
