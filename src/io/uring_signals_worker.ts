/**
 * The far side of the signal tests: a shard of its own thread that answers each doorbell with one.
 *
 * @module
 */

import { loadShim } from "./shim.ts";
import { Uring } from "./uring.ts";

/** What the worker is told. */
export interface EchoOrder {
  readonly ring: number;
  readonly answerTo: number;
  readonly rounds: number;
}

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = (event: MessageEvent<EchoOrder>) => {
  const { ring: index, answerTo, rounds } = event.data;
  const ring = new Uring(loadShim(), index, { ops: 16, dones: 16 });
  scope.postMessage("open");
  let answered = 0;
  const deadline = performance.now() + 10_000;
  while (answered < rounds && performance.now() < deadline) {
    ring.turn(100_000, 0);
    for (let i = 0; i < ring.doorbells; i++) {
      ring.doorbell(answerTo);
      answered++;
    }
  }
  ring.turn(0, 0);
  const woken = ring.takeWake();
  while (!woken && !ring.takeWake() && performance.now() < deadline) ring.turn(1_000_000, 0);
  ring.dispose();
  scope.postMessage(performance.now() < deadline ? "woken" : "timed out");
};
