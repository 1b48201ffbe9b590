/**
 * The clock seam. The reactor samples it once a turn and hands `nowMs` down; nothing else reads time.
 *
 * @module
 */

export interface Clock {
  /** Milliseconds since an arbitrary start, never going back, with a fraction; for timeouts. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch, whole; may jump; for record timestamps and retention. */
  wallMs(): number;
}
