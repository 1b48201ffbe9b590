/**
 * What is asked of both brokers: cases of a few requests each, as plain data that can be printed, shrunk
 * and given back (`deno task diff --replay`).
 *
 * Values are JSON. What differs between the brokers, or from run to run, is written as a placeholder and
 * put in for each broker when the request is sent:
 *
 * ```
 * $c              the case's own prefix for names, so that cases do not meet
 * $c~N            the same, made N characters long
 * %id:NAME%       the id of a topic
 * %epoch%         the leader epoch of the partition that it stands beside; %epoch+1% and so on beside it
 * %now%           the time of the run, to the hour; %now+50% and so on beside it
 * %STEP:PATH%     what the answer to an earlier step held: %0:memberId%, %1:producerEpoch+1%
 * ```
 *
 * Byte strings are `{ "text": ... }`, `{ "hex": ... }`, `{ "batches": [...] }` ({@linkcode BatchJson}) or
 * `{ "subscription": [...] }`.
 *
 * @module
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** One request. */
export interface Step {
  /** Its API's name, as Kafka has it. */
  readonly api: string;
  readonly version: number;
  /** Fields that are not at their defaults; what the version does not have is left out. */
  readonly request: JsonObject;
  /** Which of the case's connections; 0 by default. */
  readonly connection?: number;
  /** Its answer is waited for at the end of the case: it depends on what follows. */
  readonly pending?: boolean;
  /** Earlier pending steps, by index, whose answers are waited for before this one is sent. */
  readonly awaits?: readonly number[];
  /**
   * It only reads, and a broker may need a moment to show what was done before: asked again, within
   * bounds, until the answers are alike.
   */
  readonly settles?: boolean;
  /** A change of the encoded frame. */
  readonly damage?: Damage;
}

/** What is done to a frame after it was encoded. */
export type Damage =
  /** The n-th length or count of the body says something else. */
  | { readonly length: number; readonly says: number }
  /** What follows the n-th length or count begins with a byte that no UTF-8 has. */
  | { readonly spoil: number }
  /** The last bytes are missing; the frame's size says so. */
  | { readonly cut: number }
  /** Bytes too many. */
  | { readonly extra: string }
  /** The request's last section of tagged fields. */
  | { readonly tags: string }
  /** The header says another version. */
  | { readonly claims: number }
  /** The header says another API. */
  | { readonly key: number }
  /** Bytes of the header's client id; null for none at all. */
  | { readonly clientId: string | null }
  /** The header's section of tagged fields, where it has one. */
  | { readonly headerTags: string };

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

/**
 * A record batch, valid by default. It may have `compression` (the setting's name), a producer's fields, `set` for
 * fields of its header that say something else, and `crc: false` where the checksum is not to fit those.
 */
export interface BatchJson extends JsonObject {
  /** Values of the records; or objects with `key`, `value`, `timestamp`. */
  readonly records: readonly Json[];
}

/** A step of an API with an array of versions: what tables of cases are made of. */
export function step(
  api: string,
  version: number,
  request: JsonObject = {},
  more: Partial<Step> = {},
): Step {
  return { api, version, request, ...more };
}

/** A case as people read it: one request per line. */
export function formatCase({ steps }: Case): string {
  return steps.map(({ api, version, request, connection, pending, damage }, index) => {
    const extras = [
      connection === undefined || connection === 0 ? "" : ` on connection ${connection}`,
      pending ? ", answer awaited at the end" : "",
      damage === undefined ? "" : `, damaged ${JSON.stringify(damage)}`,
    ].join("");
    return `  ${index}  ${api} v${version}${extras} ${JSON.stringify(request)}`;
  }).join("\n");
}
