/**
 * Reads what the launcher needs of an ELF executable or loader: which bytes belong where, how they are protected,
 * and where execution begins (elf(5), 64 bit, little-endian).
 *
 * @module
 */

/** A PT_LOAD segment: bytes of the file, and where they belong from the image's beginning on. */
export interface Load {
  readonly position: number;
  readonly length: number;
  readonly at: number;
  /** With the zeroes after the file's bytes. */
  readonly memory: number;
  /** PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4. */
  readonly protection: number;
}

export interface Image {
  /** Whole pages. */
  readonly size: number;
  readonly entry: number;
  /** Where the program headers are in memory, and how many. */
  readonly headers: number;
  readonly headerCount: number;
  readonly loads: readonly Load[];
}

export const PAGE = 4096;
const ELF_64_LITTLE = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const ET_DYN = 3;
const PT_LOAD = 1;
const HEADER_SIZE = 56;

/** @throws {Error} when it is not an image that can be placed anywhere */
export function readImage(file: Uint8Array<ArrayBuffer>, name: string): Image {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const word = (at: number): number => Number(view.getBigUint64(at, true));
  if (
    file.length < 64 || ELF_64_LITTLE.some((byte, at) => file[at] !== byte) ||
    view.getUint16(16, true) !== ET_DYN
  ) throw new Error(`${name} is no position-independent 64-bit ELF file`);
  const table = word(32);
  const headerCount = view.getUint16(56, true);
  const loads: Load[] = [];
  for (let header = 0; header < headerCount; header++) {
    const at = table + header * HEADER_SIZE;
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const flags = view.getUint32(at + 4, true);
    loads.push({
      position: word(at + 8),
      at: word(at + 16),
      length: word(at + 32),
      memory: word(at + 40),
      // Read is 4 and execute is 1 there.
      protection: (flags & 4 ? 1 : 0) | (flags & 2) | (flags & 1 ? 4 : 0),
    });
  }
  const first = loads[0];
  const tableEnd = table + headerCount * HEADER_SIZE;
  if (first === undefined || first.at !== 0 || first.position !== 0 || tableEnd > first.length) {
    throw new Error(`${name} does not begin with its program headers`);
  }
  loads.forEach((load, index) => {
    const before = loads[index - 1];
    if (before !== undefined && pageEnd(before.at + before.memory) > pageStart(load.at)) {
      throw new Error(`${name} has two segments in one page`);
    }
  });
  const last = loads.at(-1)!;
  return {
    size: pageEnd(last.at + last.memory),
    entry: word(24),
    headers: table,
    headerCount,
    loads,
  };
}

export function pageStart(at: number): number {
  return at - at % PAGE;
}

export function pageEnd(at: number): number {
  return Math.ceil(at / PAGE) * PAGE;
}
