/**
 * InitProducerId (key 22), versions 0 to 5: an id for an idempotent producer.
 *
 * - Without a transactional id: a new id with epoch 0, whatever id the producer had before (as Kafka
 *   does). Ids come from a block that the controller has committed.
 * - INVALID_REQUEST: an empty transactional id; a producer id (v3) without its epoch, or the other way round.
 *   INVALID_TRANSACTION_TIMEOUT: with a transactional id, a timeout beyond `transaction.max.timeout.ms` or none.
 *
 * Gaps: there are no transactions yet. With a transactional id the answer is
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED: it is the only error that ends `initTransactions` at
 * once in all clients. After any other error librdkafka retries for ever.
 * Version 6 (two-phase commit) is not final in Kafka.
 *
 * @module
 */

import { nextProducerId } from "../../cluster/producer_ids.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { INIT_PRODUCER_ID } from "../../wire/generated/apis.ts";
import type { InitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import {
  type InitProducerIdResponse,
  newInitProducerIdResponse,
} from "../../wire/generated/init_producer_id_response.ts";
import { onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

const NO_PRODUCER_ID = -1;
const NO_PRODUCER_EPOCH = -1;

export const INIT_PRODUCER_ID_HANDLER: Handler<InitProducerIdRequest, InitProducerIdResponse> = {
  api: INIT_PRODUCER_ID,
  minVersion: 0,
  maxVersion: 5,
  route: ON_CONTROLLER,
  *handle({ services }, request) {
    const hasId = request.producerId !== NO_PRODUCER_ID;
    const hasEpoch = request.producerEpoch !== NO_PRODUCER_EPOCH;
    if (hasId !== hasEpoch) return refused(ErrorCode.INVALID_REQUEST);
    const { transactionalId, transactionTimeoutMs } = request;
    if (transactionalId !== null) {
      if (transactionalId === "") return refused(ErrorCode.INVALID_REQUEST);
      const timeoutMaxMs = services.image.settings.number("transaction.max.timeout.ms");
      if (transactionTimeoutMs <= 0 || transactionTimeoutMs > timeoutMaxMs) {
        return refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT);
      }
      return refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    const block = services.controller?.producerIds;
    // Clients retry this one; they do not know NOT_CONTROLLER here.
    if (block === undefined) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE);
    const executed = yield* onController(services, (command) => nextProducerId(command, block));
    if (executed === null) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE);
    return newInitProducerIdResponse({ producerId: executed.result, producerEpoch: 0 });
  },
};

function refused(errorCode: ErrorCode): InitProducerIdResponse {
  return newInitProducerIdResponse({
    errorCode,
    producerId: NO_PRODUCER_ID,
    producerEpoch: NO_PRODUCER_EPOCH,
  });
}
