/**
 * The completion of any asynchronous operation: one call on an object that the caller owns.
 *
 * No promises: a hot caller keeps one preallocated object per operation in flight, and a cold one
 * wraps it in a {@linkcode Task}. A seam never calls `complete` from inside the call that started the
 * operation; completions are delivered by the loop (or by the simulator), one at a time.
 *
 * @module
 */

/** Told once that an operation has ended. */
export interface Completion {
  /**
   * @param result bytes moved, a handle, or zero; a negative errno on failure
   * @param flags operation-specific bits (a receive's buffer id); zero otherwise
   */
  complete(result: number, flags: number): void;
}
