/**
 * Runs a controller command for a handler, and answers when there is no controller.
 *
 * @module
 */

import type { CommandContext } from "../cluster/command.ts";
import type { Executed } from "../cluster/controller_service.ts";
import type { Task } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { Services } from "./services.ts";

/** Why a command was not run, for its every part. */
export interface ControllerRefusal {
  readonly error: ErrorCode;
  readonly message: string;
}

/** What to answer where {@linkcode onController} gave null. */
export function controllerRefusal({ metadataReadOnly }: Services): ControllerRefusal {
  if (!metadataReadOnly) {
    const message = "this node is not the controller at the moment";
    return { error: ErrorCode.NOT_CONTROLLER, message };
  }
  // Clients give this one to their caller at once; NOT_CONTROLLER they would repeat until they run out of time.
  return {
    error: ErrorCode.KAFKA_STORAGE_ERROR,
    message:
      "damage may have taken changes of topics and settings, so nothing can be changed: the broker's log " +
      "names the file, and a start with --accept-loss ends it",
  };
}

/** Waits, for a while, until partitions that were just made have leaders: clients then find them ready. */
export function* settle({ controller }: Services): Task<void> {
  if (controller !== null) yield* controller.settle();
}

/** The command's committed result; null when this node is not, or ceased to be, the controller. */
export function* onController<Result>(
  services: Services,
  command: (context: CommandContext) => Result,
): Task<Executed<Result>> {
  if (services.controller === null) return null;
  return yield* services.controller.execute(command);
}
