/**
 * Waiting, on the client's side.
 *
 * @module
 */

/** Waits `ms` milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether `work` ends within `ms`, one way or the other; its failure is left to the code that awaits it. */
export async function endsWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const ended = work.then(() => true, () => true);
  const result = await Promise.race([ended, late]);
  clearTimeout(timer);
  return result;
}
