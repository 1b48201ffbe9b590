/**
 * Makes the controller do what nobody asks for (`cluster/moves.ts`): looks now and then whether replicas should be
 * elsewhere, and whether the cluster's version may rise, and records that. On the controller's shard.
 *
 * @module
 */

import type { ControllerService } from "../cluster/controller_service.ts";
import { isVersionToRise, raiseVersion } from "../cluster/features.ts";
import type { ClusterImage } from "../cluster/image.ts";
import type { LiveNodes } from "../cluster/live_nodes.ts";
import { endFilling } from "../cluster/membership.ts";
import { filledNodes, planChanges } from "../cluster/moves.ts";
import { emitChange, knowChanges } from "../cluster/reassign.ts";
import { runTask } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { ErrorCode } from "../wire/errors.ts";

/** Between two looks (ms); a look goes through all partitions, so where there are many it comes less often. */
const LOOK_MS = 200;
const PARTITIONS_PER_MS = 20;
/** How old what was seen may be when the metadata has not changed: nodes come back (ms). */
const LOOK_AGAIN_MS = 5_000;

export interface ControllerStewardOptions {
  readonly controller: ControllerService;
  readonly image: ClusterImage;
  readonly live: LiveNodes;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Everybody who founded the cluster is registered: its version may rise. */
  readonly isComplete: (image: ClusterImage) => boolean;
}

export class ControllerSteward {
  readonly #options: ControllerStewardOptions;
  readonly #timer = new Timer(() => this.#look());
  #seenEpoch = -1;
  #seenMs = -Infinity;

  constructor(options: ControllerStewardOptions) {
    this.#options = options;
    this.#schedule();
  }

  stop(): void {
    this.#options.timers.cancel(this.#timer);
  }

  #look(): void {
    const { controller, image, live, nowMs, isComplete } = this.#options;
    const isNews = image.epoch !== this.#seenEpoch || nowMs() - this.#seenMs >= LOOK_AGAIN_MS;
    if (!controller.active || !isNews) return this.#schedule();
    this.#seenEpoch = image.epoch;
    this.#seenMs = nowMs();
    const isAlive = (nodeId: number): boolean => live.isAlive(nodeId);
    const isIdle = !knowChanges(image) ||
      (planChanges(image, isAlive).length === 0 && filledNodes(image).length === 0);
    const rises = isComplete(image) && isVersionToRise(image);
    if (isIdle && !rises) return this.#schedule();
    const command = controller.execute((context) => {
      if (isComplete(context.image)) raiseVersion(context);
      if (!knowChanges(context.image)) return;
      const plan = planChanges(context.image, isAlive);
      if (plan.length === 0) {
        for (const nodeId of filledNodes(context.image)) {
          if (isAlive(nodeId)) endFilling(context, nodeId);
        }
      }
      for (const { partition, target } of plan) {
        // What does not fit into this command comes with the next.
        if (emitChange(context, partition, target).error !== ErrorCode.NONE) return;
      }
    });
    runTask(command, () => this.#schedule());
  }

  #schedule(): void {
    const { timers, nowMs, image } = this.#options;
    const waitMs = LOOK_MS + image.partitionCount / PARTITIONS_PER_MS;
    timers.schedule(this.#timer, nowMs() + waitMs);
  }
}
