/**
 * kcat's output, cut back into messages.
 *
 * ```
 * PARTITION OFFSET TIMESTAMP KEY_LENGTH VALUE_LENGTH [NAME=VALUE,NAME=VALUE]\n
 * KEYVALUE\n
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";

export interface KcatMessage {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: [string, Buffer][];
}

const NEWLINE = 10;

/** Yields each message as soon as its last byte came. */
export async function* readMessages(
  output: ReadableStream<Uint8Array>,
): AsyncGenerator<KcatMessage> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of output) {
    const data = Buffer.concat([rest, chunk]);
    let at = 0;
    for (;;) {
      const headEnd = data.indexOf(NEWLINE, at);
      if (headEnd < 0) break;
      const head = data.toString("utf8", at, headEnd);
      const [partition, offset, timestampMs, keyLength, valueLength, ...headerWords] = head.split(
        " ",
      );
      const keyEnd = headEnd + 1 + Math.max(Number(keyLength), 0);
      const valueEnd = keyEnd + Math.max(Number(valueLength), 0);
      if (valueEnd >= data.length) break;
      yield {
        partition: Number(partition),
        offset: Number(offset),
        timestampMs: Number(timestampMs),
        key: keyLength === "-1" ? null : data.subarray(headEnd + 1, keyEnd),
        value: valueLength === "-1" ? null : data.subarray(keyEnd, valueEnd),
        headers: parseHeaders(headerWords.join(" ")),
      };
      at = valueEnd + 1;
    }
    rest = data.subarray(at);
  }
  if (rest.length > 0) throw new Error(`Cannot read kcat's output: ends within a message`);
}

function parseHeaders(text: string): [string, Buffer][] {
  if (text === "") return [];
  return text.split(",").map((pair) => {
    const at = pair.indexOf("=");
    return [pair.slice(0, at), Buffer.from(pair.slice(at + 1))];
  });
}
