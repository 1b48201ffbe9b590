/**
 * Groups that went on by force (`RaftGroup.force`), and how that is told from their logs.
 *
 * Whoever goes on alone may lack entries that were committed. A member that has them finds other entries at the same indexes,
 * and must know that this is no conflict of the usual kind, whose loser was never committed. So the no-op that opens a
 * forced term carries a mark, and a leader names the last one of its log with whatever it sends. Programs that do not
 * know the mark take it for a no-op.
 *
 * @module
 */

import { FORCED_SLOTS, FORCED_TERMS, TERM_MAX } from "./limits.ts";

/** The payload of a no-op behind which a group goes on by force: the version of its format. */
export const FORCED_MARK: Uint8Array<ArrayBuffer> = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/**
 * The term in which a member goes on by force.
 *
 * The others may have had leaders in later terms, of whom it has not heard: it is more than `FORCED_TERMS` above. It is a
 * term that no other node goes on in: an index and a term name one entry everywhere, also where two members were made the
 * only one, each without the other.
 *
 * @param term the last one that the member knows
 */
export function forcedTerm(term: number, node: number): number {
  const soonest = Math.floor(term / FORCED_TERMS) + 2;
  const missing = (node % FORCED_SLOTS) - (soonest % FORCED_SLOTS);
  const round = soonest + (missing < 0 ? missing + FORCED_SLOTS : missing);
  return Math.min(TERM_MAX, round * FORCED_TERMS);
}
