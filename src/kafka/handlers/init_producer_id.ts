/**
 * InitProducerId (key 22), versions 0 to 5: a producer's id and epoch.
 *
 * - Without a transactional id: a new id with epoch 0, whatever id the producer had before (as Kafka
 *   does). Ids come from a block that the controller has committed.
 * - With one: the id of that transactional id, with an epoch that fences every producer before. Its open transaction is
 *   aborted first, with CONCURRENT_TRANSACTIONS until that is done. v3: a producer that names its id and epoch goes on
 *   where it was (KIP-360), unless another one has taken over: PRODUCER_FENCED, before v4 INVALID_PRODUCER_EPOCH.
 * - INVALID_REQUEST: an empty transactional id; a producer id (v3) without its epoch, or the other way round.
 *   INVALID_TRANSACTION_TIMEOUT: with a transactional id, a timeout beyond `transaction.max.timeout.ms` or none.
 *
 * Gaps: version 6 (two-phase commit) is not final in Kafka.
 *
 * @module
 */

import { nextProducerId } from "../../cluster/producer_ids.ts";
import { type Task, until } from "../../io/task.ts";
import type { ProducerAnswer } from "../../txn/coordinator.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { INIT_PRODUCER_ID } from "../../wire/generated/apis.ts";
import type { InitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import {
  type InitProducerIdResponse,
  newInitProducerIdResponse,
} from "../../wire/generated/init_producer_id_response.ts";
import { onController } from "../controller_answer.ts";
import { CONTROLLER_SHARD, type Handler, type RequestContext } from "../handler.ts";
import { freshProducerId } from "../producer_ids.ts";
import type { Services } from "../services.ts";
import { fencedErrorOf } from "../transaction_routes.ts";

const NO_PRODUCER_ID = -1;
const NO_PRODUCER_EPOCH = -1;
/** First version with PRODUCER_FENCED. */
const FENCED_SINCE = 4;

export const INIT_PRODUCER_ID_HANDLER: Handler<InitProducerIdRequest, InitProducerIdResponse> = {
  api: INIT_PRODUCER_ID,
  minVersion: 0,
  maxVersion: 5,
  route: {
    kind: "shard",
    shardOf: ({ transactionalId }, services) =>
      transactionalId === null
        ? CONTROLLER_SHARD
        : services.transactions.shardOfTransaction(transactionalId),
  },
  isForController: ({ transactionalId }) => transactionalId === null,
  *handle(context, request) {
    const hasId = request.producerId !== NO_PRODUCER_ID;
    const hasEpoch = request.producerEpoch !== NO_PRODUCER_EPOCH;
    if (hasId !== hasEpoch) return refused(ErrorCode.INVALID_REQUEST);
    if (request.transactionalId === null) return yield* newProducer(context.services);
    return yield* transactional(context, request, request.transactionalId);
  },
};

function* newProducer(services: Services): Task<InitProducerIdResponse> {
  const block = services.controller?.producerIds;
  // Clients retry this one; they do not know NOT_CONTROLLER here.
  if (block === undefined) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const executed = yield* onController(services, (command) => nextProducerId(command, block));
  if (executed === null) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE);
  return newInitProducerIdResponse({ producerId: executed.result, producerEpoch: 0 });
}

function* transactional(
  context: RequestContext,
  request: InitProducerIdRequest,
  transactionalId: string,
): Task<InitProducerIdResponse> {
  const { services, version } = context;
  const { transactionTimeoutMs } = request;
  if (transactionalId === "") return refused(ErrorCode.INVALID_REQUEST);
  const timeoutMaxMs = services.image.settings.number("transaction.max.timeout.ms");
  if (transactionTimeoutMs <= 0 || transactionTimeoutMs > timeoutMaxMs) {
    return refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT);
  }
  let coordinator = services.transactions.coordinatorFor(transactionalId);
  let fresh = NO_PRODUCER_ID;
  if (coordinator?.active === true && coordinator.needsProducerId(transactionalId)) {
    fresh = yield* freshProducerId(services);
    if (fresh < 0) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE);
    coordinator = services.transactions.coordinatorFor(transactionalId);
  }
  if (coordinator === null) return refused(ErrorCode.NOT_COORDINATOR);
  if (!coordinator.active) return refused(coordinator.refusal);
  const { producerId, producerEpoch } = request;
  const producer = { transactionalId, producerId, producerEpoch };
  const asked = coordinator;
  const answer = yield* until<ProducerAnswer>((respond) =>
    asked.initProducerId(context, producer, transactionTimeoutMs, fresh, respond)
  );
  const errorCode = fencedErrorOf(answer.errorCode, version >= FENCED_SINCE);
  return newInitProducerIdResponse({ ...answer, errorCode });
}

function refused(errorCode: ErrorCode): InitProducerIdResponse {
  return newInitProducerIdResponse({
    errorCode,
    producerId: NO_PRODUCER_ID,
    producerEpoch: NO_PRODUCER_EPOCH,
  });
}
