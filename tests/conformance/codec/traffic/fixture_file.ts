/**
 * The text form of recorded traffic.
 *
 * ```
 * # comment
 * broker NAME VERSION
 * client NAME LIBRARY VERSION           the frames below are between these two
 * request API VERSION BASE64            without the size; the version is the request's
 * response API VERSION BASE64
 * ```
 *
 * @module
 */

import { apiByKey, APIS } from "../../../../src/wire/generated/apis.ts";
import type { WireFrame } from "./frame_codec.ts";

/** Frames of one client with one broker. */
export interface Traffic {
  /** `kafka 4.3.0`. */
  readonly broker: string;
  /** Its folder's name in `tests/clients`. */
  readonly client: string;
  /** `librdkafka 2.0.2`. */
  readonly library: string;
  readonly frames: readonly WireFrame[];
}

const KEYS = new Map(APIS.map(({ name, key }) => [name, key]));

/** Reads a fixture file's text. */
export function parseTraffic(text: string): Traffic[] {
  const traffic: Traffic[] = [];
  let broker = "";
  let frames: WireFrame[] = [];
  for (const line of text.split("\n")) {
    const [word, ...rest] = line.split(" ");
    if (word === "" || word === "#") continue;
    if (word === "broker") broker = rest.join(" ");
    else if (word === "client") {
      frames = [];
      traffic.push({ broker, client: rest[0]!, library: rest.slice(1).join(" "), frames });
    } else if (word === "request" || word === "response") {
      const [name, version, base64] = rest as [string, string, string];
      const apiKey = KEYS.get(name);
      if (apiKey === undefined) throw new Error(`There is no API ${name}`);
      const bytes = Uint8Array.fromBase64(base64);
      frames.push({ direction: word, apiKey, version: Number(version), bytes });
    } else throw new Error(`Not a line of recorded traffic: ${line.slice(0, 60)}`);
  }
  return traffic;
}

/** Writes one broker's traffic. */
export function formatTraffic(comment: readonly string[], traffic: readonly Traffic[]): string {
  const lines = comment.map((line) => `# ${line}`);
  for (const [index, { broker, client, library, frames }] of traffic.entries()) {
    if (index === 0) lines.push(`broker ${broker}`);
    lines.push(`client ${client} ${library}`);
    for (const { direction, apiKey, version, bytes } of frames) {
      lines.push(`${direction} ${apiByKey(apiKey)!.name} ${version} ${bytes.toBase64()}`);
    }
  }
  return lines.join("\n") + "\n";
}
