/**
 * Writes the one file: the launcher, then everything else in zstd frames, then an index
 * (`ffi/launcher/src/payload.rs` reads it, and shows the layout).
 *
 * @module
 */

import { type Image, pageEnd, pageStart } from "./elf.ts";
import type { Compressor } from "./compressor.ts";

/** As `Kind` in the launcher. */
export const Kind = {
  PROGRAM: 1,
  LOADER: 2,
  LIBRARY: 3,
  SHIM: 4,
  WORKER: 5,
  MAIN: 6,
  ARGUMENTS: 7,
} as const;

/** A part that becomes a file in memory, or, with an image, code at its place. */
export interface Part {
  readonly kind: (typeof Kind)[keyof typeof Kind];
  readonly name: string;
  readonly content: Uint8Array<ArrayBuffer>;
  readonly image?: Image;
}

/** "GREGOR" and the version of the layout. */
const MAGIC = new TextEncoder().encode("GREGOR\x01\n");
/** Smaller frames keep more cores busy, larger ones are packed tighter (bytes). */
const FRAME_BYTES = 4 * 2 ** 20;

interface Piece {
  /** In the part's content. */
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** What became of each part, for people. */
export interface PartSize {
  readonly name: string;
  readonly bytes: number;
  readonly packed: number;
}

/** Appends parts to the launcher's file at `path`. */
export async function appendParts(
  path: string,
  parts: readonly Part[],
  compressor: Compressor,
): Promise<PartSize[]> {
  using file = Deno.openSync(path, { read: true, append: true });
  let position = file.statSync().size;
  const index: number[] = [parts.length];
  const sizes: PartSize[] = [];
  for (const { kind, name, content, image } of parts) {
    const pieces = image === undefined
      ? cut(0, 0, content.length)
      : image.loads.flatMap((load) => cut(load.position, load.at, load.length));
    const frames = await compressor.compress(
      pieces.map(({ from, length }) => content.subarray(from, from + length)),
    );
    const size = image?.size ?? content.length;
    index.push(kind, size, image?.entry ?? 0, image?.headers ?? 0, image?.headerCount ?? 0);
    index.push(frames.length, image?.loads.length ?? 0);
    let packed = 0;
    frames.forEach((frame, at) => {
      const { to, length } = pieces[at]!;
      index.push(position + packed, frame.length, to, length);
      writeAll(file, frame);
      packed += frame.length;
    });
    for (const load of image?.loads ?? []) {
      const start = pageStart(load.at);
      index.push(start, pageEnd(load.at + load.memory) - start, load.protection);
    }
    position += packed;
    sizes.push({ name, bytes: content.length, packed });
  }
  const words = [...index, position, index.length];
  const tail = new DataView(new ArrayBuffer(words.length * 8 + MAGIC.length));
  words.forEach((word, at) => tail.setBigUint64(at * 8, BigInt(word), true));
  new Uint8Array(tail.buffer).set(MAGIC, words.length * 8);
  writeAll(file, new Uint8Array(tail.buffer));
  return sizes;
}

function cut(from: number, to: number, length: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < length; at += FRAME_BYTES) {
    pieces.push({ from: from + at, to: to + at, length: Math.min(FRAME_BYTES, length - at) });
  }
  return pieces;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
