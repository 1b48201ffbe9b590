/**
 * Regular expressions of consumers, by the shim (`ffi/src/pattern.rs`).
 *
 * @module
 */

import type { RegexEngine } from "./regexes.ts";
import { encodeText, type Shim } from "./shim.ts";

/** Longest reason that is shown (bytes). */
const REASON_SIZE = 512;
/** Names that are looked at in one call: a call takes well below a millisecond. */
const NAMES_PER_CALL = 4_096;

export class ShimRegexes implements RegexEngine {
  readonly #shim: Shim;

  constructor(shim: Shim) {
    this.#shim = shim;
  }

  problem(regex: string): string | null {
    const pattern = encodeText(regex);
    const target = new Uint8Array(REASON_SIZE);
    const size = this.#shim.gregor_pattern_problem(
      pattern,
      pattern.length,
      target,
      target.length,
    );
    if (size === 0) return null;
    if (size < 0) return "it cannot be read";
    return new TextDecoder().decode(target.subarray(0, size));
  }

  matching(regex: string, names: Iterable<string>): string[] {
    const pattern = encodeText(regex);
    const result: string[] = [];
    const marks = new Uint8Array(NAMES_PER_CALL);
    let batch: string[] = [];
    const look = (): void => {
      const text = encodeText(batch.join("\n"));
      const count = this.#shim.gregor_pattern_mark(
        pattern,
        pattern.length,
        text,
        text.length,
        marks,
        batch.length,
      );
      for (let at = 0; at < count; at++) if (marks[at] === 1) result.push(batch[at]!);
      batch = [];
    };
    for (const name of names) if (batch.push(name) === NAMES_PER_CALL) look();
    if (batch.length > 0) look();
    return result;
  }
}
