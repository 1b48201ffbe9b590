/**
 * A shard's thread: receives `boot`, builds the shard on this thread's ring, and runs its loop.
 *
 * Everything that may end the process ends it through the control thread (`fatal`), so that one place
 * prints why and chooses the exit code.
 *
 * @module
 */

import { AssertionFailure } from "../base/assert.ts";
import { EXIT_HOST_UNFIT, EXIT_INVARIANT } from "../base/exit_codes.ts";
import { describeUringError } from "../io/host_problem.ts";
import { loadShim } from "../io/shim.ts";
import { UringFailure } from "../io/uring.ts";
import { RunningShard } from "./boot.ts";
import type { FromShard, ToShard } from "./control.ts";

declare const self: DedicatedWorkerGlobalScope;

let shard: RunningShard | null = null;

function tell(message: FromShard): void {
  self.postMessage(message);
}

function fail(error: unknown): void {
  if (error instanceof UringFailure) {
    const { message, hint } = describeUringError(error.errno, loadShim().gregor_lockable_bytes());
    const exitCode = EXIT_HOST_UNFIT;
    tell({ type: "fatal", exitCode, message: `${message} ${hint}`, diskError: false });
    return;
  }
  const trace = error instanceof Error ? error.stack ?? error.message : String(error);
  const what = error instanceof AssertionFailure
    ? "A rule of the program was broken"
    : "Unforeseen";
  const message = `${what}: ${trace}`;
  tell({ type: "fatal", exitCode: EXIT_INVARIANT, message, diskError: false });
}

self.onmessage = (event: MessageEvent<ToShard>) => {
  try {
    const message = event.data;
    if (message.type !== "boot") {
      shard!.handle(message);
      return;
    }
    const shim = loadShim();
    const { boot } = message;
    if (boot.processor >= 0) shim.gregor_pin_thread(boot.processor);
    shard = new RunningShard(shim, boot, { tell, onBroken: fail });
    tell({ type: "booted" });
  } catch (error) {
    fail(error);
  }
};

self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  fail(event.reason);
});
