/**
 * A shard's thread: receives `boot`, builds the shard on this thread's ring, and runs its loop.
 *
 * Everything that may end the process ends it through the control thread (`fatal`), so that one place
 * prints why and chooses the exit code.
 *
 * @module
 */

import { AssertionFailure } from "../base/assert.ts";
import { EXIT_DISK_ERROR, EXIT_HOST_UNFIT, EXIT_INVARIANT } from "../cli/exit_codes.ts";
import { loadShim } from "../io/shim.ts";
import { UringFailure } from "../io/uring.ts";
import type { Boot, FromShard, ToShard } from "./control.ts";
import { bootShard, type RunningShard } from "./boot.ts";
import { RecoveryRefused } from "./lifecycle.ts";

declare const self: DedicatedWorkerGlobalScope;

let shard: RunningShard | null = null;

function tell(message: FromShard): void {
  self.postMessage(message);
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.stack ?? error.message : String(error);
  if (error instanceof RecoveryRefused) {
    tell({ type: "fatal", exitCode: error.exitCode, message: error.message });
  } else if (error instanceof UringFailure) {
    tell({ type: "fatal", exitCode: EXIT_HOST_UNFIT, message: error.message });
  } else if (error instanceof AssertionFailure) {
    tell({ type: "fatal", exitCode: EXIT_INVARIANT, message: `A rule was broken: ${message}` });
  } else {
    tell({ type: "fatal", exitCode: EXIT_INVARIANT, message });
  }
}

function boot(options: Boot): void {
  const shim = loadShim();
  if (options.processor >= 0) shim.gregor_pin_thread(options.processor);
  shard = bootShard(shim, options, {
    tell,
    onDiskFailure: (errno, what) =>
      tell({
        type: "fatal",
        exitCode: EXIT_DISK_ERROR,
        message: `${what} failed with errno ${errno}: nothing more is acknowledged`,
      }),
    onBroken: fail,
  });
  tell({ type: "booted" });
}

self.onmessage = (event: MessageEvent<ToShard>) => {
  try {
    const message = event.data;
    if (message.type === "boot") boot(message.boot);
    else shard!.handle(message);
  } catch (error) {
    fail(error);
  }
};

self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  fail(event.reason);
});
