/**
 * Runs a controller command for a handler, and answers when there is no controller.
 *
 * @module
 */

import type { CommandContext } from "../cluster/command.ts";
import type { Executed } from "../cluster/controller_service.ts";
import type { Task } from "../io/task.ts";
import type { Services } from "./services.ts";

export const NOT_CONTROLLER_MESSAGE = "this node is not the controller at the moment";

/** The command's committed result; null when this node is not, or ceased to be, the controller. */
export function* onController<Result>(
  services: Services,
  command: (context: CommandContext) => Result,
): Task<Executed<Result>> {
  if (services.controller === null) return null;
  return yield* services.controller.execute(command);
}
