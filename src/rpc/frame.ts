/**
 * Frames between nodes: the unit that is sent, checked and handed over.
 *
 * ```text
 *    0  u16  magic "GR"
 *    2  u8   version, 1
 *    3  u8   type
 *    4  u32  bytes of payload
 *    8  u32  sequence: 0 for the first frame of a connection, then one more for each
 *   12  u32  zero
 *   16  u32  CRC-32C of the payload
 *   20  u32  CRC-32C of the bytes 0 to 19
 *   24       payload
 * ```
 *
 * Little-endian. The header has a checksum of its own: no memory is taken for a length that is wrong.
 *
 * @module
 */

import { RPC_CONTROL_FRAME_MAX } from "../base/limits.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import { Lane } from "./preamble.ts";

export const FRAME_HEADER_SIZE = 24;

const MAGIC = 0x5247;
const VERSION = 1;
const CHECKED_SIZE = 20;

/** The largest payload on a lane, where memory has room for frames of `blockMax` bytes. */
export function frameMaxOf(lane: Lane, blockMax: number): number {
  return lane === Lane.CONTROL ? RPC_CONTROL_FRAME_MAX : blockMax - FRAME_HEADER_SIZE;
}

/** What is wrong with a frame. */
export const FrameFault = {
  NONE: 0,
  MAGIC: 1,
  VERSION: 2,
  CHECKSUM: 3,
  LENGTH: 4,
  SEQUENCE: 5,
  PAYLOAD: 6,
} as const;
export type FrameFault = typeof FrameFault[keyof typeof FrameFault];

const FAULTS: Readonly<Record<FrameFault, string>> = {
  [FrameFault.NONE]: "nothing",
  [FrameFault.MAGIC]: "it sent bytes that are no frame",
  [FrameFault.VERSION]: "it sent a frame of a version that is not known here",
  [FrameFault.CHECKSUM]: "the header of a frame does not match its checksum",
  [FrameFault.LENGTH]: "it announced a frame that is too large",
  [FrameFault.SEQUENCE]: "a frame is missing or came twice",
  [FrameFault.PAYLOAD]: "the payload of a frame does not match its checksum",
};

/** For the log. */
export function describeFault(fault: FrameFault): string {
  return FAULTS[fault];
}

/** Writes a header at `at`. */
export function writeFrameHeader(
  view: DataView,
  at: number,
  type: number,
  length: number,
  sequence: number,
  payloadCrc: number,
  crc32c: Crc32c,
): void {
  view.setUint16(at, MAGIC, true);
  view.setUint8(at + 2, VERSION);
  view.setUint8(at + 3, type);
  view.setUint32(at + 4, length, true);
  view.setUint32(at + 8, sequence, true);
  view.setUint32(at + 12, 0, true);
  view.setUint32(at + 16, payloadCrc, true);
  view.setUint32(at + CHECKED_SIZE, crc32c(at, CHECKED_SIZE, 0), true);
}

/** What is wrong with the header at `at`, whose bytes came from a peer. */
export function checkFrameHeader(
  view: DataView,
  at: number,
  sequence: number,
  lengthMax: number,
  crc32c: Crc32c,
): FrameFault {
  if (view.getUint16(at, true) !== MAGIC) return FrameFault.MAGIC;
  if (view.getUint8(at + 2) !== VERSION) return FrameFault.VERSION;
  const crc = crc32c(at, CHECKED_SIZE, 0);
  if (view.getUint32(at + CHECKED_SIZE, true) !== crc) return FrameFault.CHECKSUM;
  if (view.getUint32(at + 4, true) > lengthMax) return FrameFault.LENGTH;
  if (view.getUint32(at + 8, true) !== sequence) return FrameFault.SEQUENCE;
  return FrameFault.NONE;
}

export function frameType(view: DataView, at: number): number {
  return view.getUint8(at + 3);
}

/** Bytes of the payload. */
export function frameLength(view: DataView, at: number): number {
  return view.getUint32(at + 4, true);
}

/** Whether the payload, which follows the header at `at`, is as it was sent. */
export function payloadMatches(view: DataView, at: number, crc32c: Crc32c): boolean {
  const crc = crc32c(at + FRAME_HEADER_SIZE, frameLength(view, at), 0);
  return view.getUint32(at + 16, true) === crc;
}
