/**
 * Records that describe themselves: a value's first bytes name its lane (one producer in one
 * partition) and its sequence number, the rest follows from those, so that a reader needs no memory of
 * what was sent to find a changed byte.
 *
 * ```text
 *   0  u32 lane   4  u32 sequence   8  u32 size of the value   12  filler made from lane and sequence
 * ```
 *
 * @module
 */

const HEADER_SIZE = 12;

export interface Payload {
  readonly lane: number;
  readonly sequence: number;
}

/** The value of one record; at least 12 bytes. */
export function makePayload(lane: number, sequence: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(size, HEADER_SIZE));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, lane);
  view.setUint32(4, sequence);
  view.setUint32(8, bytes.length);
  fill(bytes, lane, sequence);
  return bytes;
}

/** Reads a value back; null when any byte of it is not what it must be. */
export function readPayload(bytes: Uint8Array): Payload | null {
  if (bytes.length < HEADER_SIZE) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lane = view.getUint32(0);
  const sequence = view.getUint32(4);
  if (view.getUint32(8) !== bytes.length) return null;
  let state = seedOf(lane, sequence);
  for (let i = HEADER_SIZE; i < bytes.length; i++) {
    state = next(state);
    if (bytes[i] !== state >>> 24) return null;
  }
  return { lane, sequence };
}

function fill(bytes: Uint8Array, lane: number, sequence: number): void {
  let state = seedOf(lane, sequence);
  for (let i = HEADER_SIZE; i < bytes.length; i++) {
    state = next(state);
    bytes[i] = state >>> 24;
  }
}

function seedOf(lane: number, sequence: number): number {
  return (Math.imul(lane + 1, 0x9e3779b1) ^ Math.imul(sequence + 1, 0x85ebca6b)) >>> 0;
}

function next(state: number): number {
  return (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
}
