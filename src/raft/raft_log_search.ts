/**
 * Searches a log by term. Terms never fall with the index, so a few questions suffice, however long the log is.
 *
 * @module
 */

import type { RaftLog } from "./raft_log.ts";

/**
 * The last entry at or below `index` whose term is at most `term`; `startIndex` when all kept ones are later.
 * It ends a batch if `index` does, because terms change between batches only.
 */
export function lastAtMost(log: RaftLog, index: number, term: number): number {
  let low = log.startIndex;
  let high = Math.min(index, log.lastIndex);
  if (high <= low) return low;
  if (log.termAt(high) <= term) return high;
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2);
    if (log.termAt(middle) <= term) low = middle;
    else high = middle;
  }
  return low;
}
