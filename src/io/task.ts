/**
 * Tasks: sequential code over completions, without promises.
 *
 * Cold paths (recovery, checkpoints, retention, admin requests) read best as straight lines, but a
 * promise resumes from the runtime's queue at a time that no simulator controls. A task is a generator
 * that yields each time it waits; the code that completes the wait resumes it at once, on the same stack.
 * A crashed node in the simulator simply never resumes its tasks. Hot paths (produce, fetch) use
 * preallocated {@linkcode Completion} objects instead.
 *
 * @example
 * ```ts ignore
 * function* copyBlock(disk: Disk, from: number, to: number): Task<number> {
 *   const read = yield* io((done) => disk.read(from, 0, address, 4096, done));
 *   if (read < 0) return read;
 *   return yield* io((done) => disk.write(to, 0, address, 4096, true, done));
 * }
 * runTask(copyBlock(disk, a, b), (result) => ...);
 * ```
 *
 * @module
 */

import type { Completion } from "./completion.ts";

/** What a task yields: starts the wait, and is given the function that ends it. */
export type Wait = (resume: (result: number) => void) => void;

/** Sequential code that may wait; delegate to another one with `yield*`. */
export type Task<T> = Generator<Wait, T, number>;

/** Waits for one operation of a seam; returns its result. */
export function* io(start: (done: Completion) => void): Task<number> {
  return yield (resume) => start({ complete: (result) => resume(result) });
}

/** Waits for any callback that delivers one value. */
export function* until<T>(start: (done: (value: T) => void) => void): Task<T> {
  let delivered: T | undefined;
  yield (resume) =>
    start((value) => {
      delivered = value;
      resume(0);
    });
  return delivered as T;
}

/** Runs every task, at most `limit` at a time; returns their results in order. */
export function* all<T>(tasks: readonly Task<T>[], limit: number): Task<T[]> {
  const results = new Array<T>(tasks.length);
  let next = 0;
  let done = 0;
  if (tasks.length === 0) return results;
  yield (resume) => {
    let running = 0;
    let isStarting = false;
    const startMore = (): void => {
      // A task that ended before its start returned: the loop below goes on, not a deeper stack.
      if (isStarting) return;
      isStarting = true;
      while (running < limit && next < tasks.length) {
        const at = next++;
        running++;
        runTask(tasks[at]!, (value) => {
          results[at] = value;
          running--;
          done++;
          if (done === tasks.length) resume(0);
          else startMore();
        });
      }
      isStarting = false;
    };
    startMore();
  };
  return results;
}

/**
 * Runs `task` until its first wait, and on from each completion.
 *
 * An exception of the task reaches the code that resumed it: an exception in a task is a broken invariant.
 */
export function runTask<T>(task: Task<T>, onDone: (value: T) => void): void {
  let inStart = false;
  let resumedInStart = false;
  let pending = 0;
  const advance = (result: number): void => {
    if (inStart) {
      // The wait ended before its start returned: go on in the loop below, not on a deeper stack.
      resumedInStart = true;
      pending = result;
      return;
    }
    let value = result;
    for (;;) {
      const step = task.next(value);
      if (step.done) {
        onDone(step.value);
        return;
      }
      inStart = true;
      resumedInStart = false;
      step.value(advance);
      inStart = false;
      if (!resumedInStart) return;
      value = pending;
    }
  };
  advance(0);
}
