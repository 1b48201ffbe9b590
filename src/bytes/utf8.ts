/**
 * UTF-8 to strings and back, by hand.
 *
 * The runtime's TextDecoder costs a call out of JavaScript for every short string and reports
 * invalid input by an exception; the strings of the protocol are short, mostly ASCII, and may be
 * anything.
 *
 * @module
 */

const CHUNK = 1024;
const REPLACEMENT = 0xfffd;
/** Bytes that {@linkcode decodeUtf8Lossy} reads of what is not UTF-8: three times as many fit a string. */
const LOSSY_BYTES_MAX = Math.floor(0x7fff / 3);

/**
 * Decodes `bytes[start, end)`.
 *
 * @returns null where the bytes are not well-formed UTF-8 (RFC 3629: no overlong forms, no
 * surrogates)
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string | null {
  let text = "";
  let at = start;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return decodeGeneral(bytes, at, end, text);
    text += String.fromCharCode(byte);
    at++;
  }
  return text;
}

function decodeGeneral(
  bytes: Uint8Array,
  start: number,
  end: number,
  prefix: string,
): string | null {
  let text = prefix;
  const units: number[] = [];
  let at = start;
  while (at < end) {
    const lead = bytes[at++]!;
    let point = lead;
    if (lead >= 0x80) {
      const more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
      if (lead < 0xc2 || lead > 0xf4 || at + more > end) return null;
      point = lead & (0x3f >> more);
      for (let i = 0; i < more; i++) {
        const next = bytes[at++]!;
        if ((next & 0xc0) !== 0x80) return null;
        point = (point << 6) | (next & 0x3f);
      }
      if (more === 2 && (point < 0x800 || (point >= 0xd800 && point <= 0xdfff))) return null;
      if (more === 3 && (point < 0x1_0000 || point > 0x10_ffff)) return null;
    }
    if (point < 0x1_0000) {
      units.push(point);
    } else {
      units.push(0xd800 + ((point - 0x1_0000) >> 10), 0xdc00 + (point & 0x3ff));
    }
    if (units.length >= CHUNK) {
      text += String.fromCharCode(...units);
      units.length = 0;
    }
  }
  return text + String.fromCharCode(...units);
}

/** Bytes that {@linkcode encodeUtf8} writes for `text`. */
export function utf8Size(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      size += 1;
    } else if (isPair(text, i)) {
      // Four bytes for two units.
      size += 2;
      i++;
    } else {
      size += 2;
    }
  }
  return size;
}

/**
 * Writes `text` at `at`; the room has been checked with {@linkcode utf8Size}. A lone surrogate
 * becomes U+FFFD.
 *
 * @returns the first position after it
 */
export function encodeUtf8(text: string, bytes: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point < 0x80) {
      bytes[at++] = point;
      continue;
    }
    if (point < 0x800) {
      bytes[at++] = 0xc0 | (point >> 6);
      bytes[at++] = 0x80 | (point & 0x3f);
      continue;
    }
    if (isPair(text, i)) {
      point = 0x1_0000 + ((point - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
      bytes[at++] = 0xf0 | (point >> 18);
      bytes[at++] = 0x80 | ((point >> 12) & 0x3f);
    } else {
      if (point >= 0xd800 && point <= 0xdfff) point = REPLACEMENT;
      bytes[at++] = 0xe0 | (point >> 12);
    }
    bytes[at++] = 0x80 | ((point >> 6) & 0x3f);
    bytes[at++] = 0x80 | (point & 0x3f);
  }
  return at;
}

function isPair(text: string, i: number): boolean {
  const high = text.charCodeAt(i);
  if (high < 0xd800 || high > 0xdbff || i + 1 >= text.length) return false;
  const low = text.charCodeAt(i + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}

const lossyDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Text of bytes that claim to be UTF-8, for answers that name what a client named: where they are not,
 * replacement characters stand in their place, and what no Kafka string could hold any more is cut.
 */
export function decodeUtf8Lossy(bytes: Uint8Array, from: number, to: number): string {
  const text = decodeUtf8(bytes, from, to);
  if (text !== null) return text;
  // Each wrong byte becomes a character of three.
  const end = Math.min(to, from + LOSSY_BYTES_MAX);
  return lossyDecoder.decode(bytes.slice(from, end));
}
