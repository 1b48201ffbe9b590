/**
 * Lines of a byte stream, as bytes: records may hold anything but a line end.
 *
 * @module
 */

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * Cuts a stream into lines, without their ends; a last line without an end counts. Each step gives all
 * lines that one chunk completed, so that a caller knows when the input has paused.
 */
export async function* linesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array[], void, void> {
  let rest = new Uint8Array(0);
  for await (const chunk of stream) {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end < 0) break;
      const part = chunk.subarray(start, end);
      lines.push(withoutReturn(rest.length === 0 ? part : concat(rest, part)));
      rest = new Uint8Array(0);
      start = end + 1;
    }
    if (start < chunk.length) rest = concat(rest, chunk.subarray(start));
    if (lines.length > 0) yield lines;
  }
  if (rest.length > 0) yield [withoutReturn(rest)];
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.slice(0, -1) : line.slice();
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
