/**
 * Watches the process that started this one.
 *
 * The kernel can send a signal instead (PR_SET_PDEATHSIG), but at the death of the *thread* that made this
 * process, and a launcher that starts its children from a pool ends such threads while it lives on.
 *
 * @module
 */

/** How often to look (ms). */
const LOOK_MS = 250;

/**
 * Resolves when the process that started this one has died, with its id: somebody else is the parent then.
 */
export function launcherDeath(): Promise<number> {
  const launcher = Deno.ppid;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (Deno.ppid === launcher) return;
      clearInterval(timer);
      resolve(launcher);
    }, LOOK_MS);
    Deno.unrefTimer(timer);
  });
}
