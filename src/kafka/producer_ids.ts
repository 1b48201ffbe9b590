/**
 * Producer ids from the controller, for coordinators.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import { INIT_PRODUCER_ID } from "../wire/generated/apis.ts";
import { newInitProducerIdRequest } from "../wire/generated/init_producer_id_request.ts";
import type { Services } from "./services.ts";

/** The version in which the controller is asked. */
const VERSION = 4;

/** A producer id that nobody has had; -1: the controller does not give one now. */
export function* freshProducerId(services: Services): Task<number> {
  const request = newInitProducerIdRequest({ transactionalId: null });
  const response = yield* services.call(INIT_PRODUCER_ID, VERSION, request);
  return response?.errorCode === ErrorCode.NONE ? response.producerId : -1;
}
