/**
 * Progress of what the cluster does by itself, for the person who asked for it: how much is left, and for how long.
 *
 * @module
 */

import { pause } from "./pause.ts";
import { formatDuration } from "./size.ts";
import type { Terminal } from "./terminal.ts";

/** Between two looks (ms). */
const LOOK_MS = 200;
/** Between two lines (ms). */
const TOLD_MS = 1_000;
/** An estimate needs as much of a past (ms). */
const ESTIMATE_AFTER_MS = 1_000;

/** What is left. */
export interface Left {
  /** In some unit; 0: it is done. */
  readonly amount: number;
  /** For people: `3 replicas to move`. */
  readonly words: string;
}

/**
 * Looks until nothing is left, and says how far it is; Ctrl-C ends the looking alone.
 *
 * @returns whether it was seen to its end
 */
export async function seeThrough(
  terminal: Terminal,
  look: () => Promise<Left>,
): Promise<boolean> {
  let isInterrupted = false;
  const forget = terminal.onInterrupt(() => isInterrupted = true);
  try {
    const startedMs = performance.now();
    let first: Left | null = null;
    let toldMs = -Infinity;
    for (;;) {
      const left = await look();
      if (left.amount === 0) return true;
      if (isInterrupted) return false;
      first ??= left;
      const nowMs = performance.now();
      if (nowMs - toldMs >= TOLD_MS) {
        toldMs = nowMs;
        terminal.remark(`${left.words}${estimate(first.amount, left.amount, nowMs - startedMs)}\n`);
      }
      await pause(LOOK_MS);
    }
  } finally {
    forget();
  }
}

/** `, about 3 s left`; empty while it cannot be said. */
export function estimate(first: number, left: number, elapsedMs: number): string {
  if (elapsedMs < ESTIMATE_AFTER_MS || left >= first) return "";
  return `, about ${formatDuration(Math.round(left / ((first - left) / elapsedMs)))} left`;
}
