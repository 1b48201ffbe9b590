/**
 * UnregisterBroker (key 64), version 0: forgets a node that is gone.
 *
 * - A node that is not registered: BROKER_ID_NOT_REGISTERED.
 * - The metadata's group takes it out of its members. A node that runs becomes a member again when it starts.
 *
 * Gaps: none. Other than in Kafka, a node that still has replicas is not forgotten: INVALID_REQUEST.
 *
 * @module
 */

import { removeNode } from "../../cluster/membership.ts";
import { UNREGISTER_BROKER } from "../../wire/generated/apis.ts";
import type { UnregisterBrokerRequest } from "../../wire/generated/unregister_broker_request.ts";
import {
  newUnregisterBrokerResponse,
  type UnregisterBrokerResponse,
} from "../../wire/generated/unregister_broker_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const UNREGISTER_BROKER_HANDLER: Handler<UnregisterBrokerRequest, UnregisterBrokerResponse> =
  {
    api: UNREGISTER_BROKER,
    minVersion: 0,
    maxVersion: 0,
    route: ON_CONTROLLER,
    *handle({ services }, { brokerId }) {
      const executed = yield* onController(services, (command) => removeNode(command, brokerId));
      const { error, message } = executed?.result ?? controllerRefusal(services);
      return newUnregisterBrokerResponse({ errorCode: error, errorMessage: message });
    },
  };
