/**
 * Which of a client's recorded frames are worth keeping.
 *
 * Of each API, version and direction: the shortest, the longest, one between. And the shortest of what
 * those three may not show: every compression of batches, transactions and their markers, an encoding
 * that is not the codec's own. What is longer than {@linkcode FRAME_SIZE_MAX} is left out.
 *
 * @module
 */

import {
  batchCompression,
  batchIsControl,
  batchIsTransactional,
  batchSize,
} from "../../../../src/wire/record_batch.ts";
import { decodeFrame, encodeFrame, type WireFrame } from "./frame_codec.ts";
import { recordsOf } from "./hot_path_check.ts";

const FRAME_SIZE_MAX = 3000;
/** Of one kind. */
const SIZES_MAX = 3;

/** API, version and direction, in the order of the file. */
export function kindOf({ direction, apiKey, version }: WireFrame): string {
  const number = (value: number) => String(value).padStart(5, "0");
  return `${number(apiKey)} ${number(version)} ${direction}`;
}

/** What is kept of one client's frames. */
export function chooseFrames(frames: readonly WireFrame[]): WireFrame[] {
  const byKind = new Map<string, WireFrame[]>();
  for (const frame of frames) {
    if (frame.bytes.length > FRAME_SIZE_MAX) continue;
    const kind = kindOf(frame);
    byKind.set(kind, [...byKind.get(kind) ?? [], frame]);
  }
  return [...byKind.keys()].sort().flatMap((kind) => chooseOfKind(byKind.get(kind)!));
}

function chooseOfKind(frames: readonly WireFrame[]): WireFrame[] {
  const sorted = frames.toSorted((a, b) => a.bytes.length - b.bytes.length);
  const bySize = [...new Map(sorted.map((frame) => [frame.bytes.length, frame])).values()];
  const last = bySize.length - 1;
  const sizes = Array.from({ length: SIZES_MAX }, (_, i) => Math.round(i * last / (SIZES_MAX - 1)));
  const chosen = new Set(sizes.map((at) => bySize[at]!));
  const traits = new Set([...chosen].flatMap(traitsOf));
  for (const frame of sorted) {
    const unseen = traitsOf(frame).filter((trait) => !traits.has(trait));
    if (unseen.length === 0) continue;
    chosen.add(frame);
    for (const trait of unseen) traits.add(trait);
  }
  return sorted.filter((frame) => chosen.has(frame));
}

/** What makes a frame special among those of its kind. */
function traitsOf(frame: WireFrame): string[] {
  const decoded = decodeFrame(frame);
  if (decoded === null) return ["malformed"];
  const again = encodeFrame(frame.direction, decoded);
  const traits = again.toHex() === frame.bytes.toHex() ? [] : ["encoded otherwise"];
  for (const records of recordsOf(frame, decoded)) traits.push(...batchTraits(records));
  return traits;
}

function batchTraits(records: Uint8Array): string[] {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const traits: string[] = [];
  for (let at = 0; at < records.length; at += batchSize(view, at)) {
    traits.push(`compression ${batchCompression(view, at)}`);
    if (batchIsTransactional(view, at)) traits.push("transactional");
    if (batchIsControl(view, at)) traits.push("control");
  }
  return traits;
}
