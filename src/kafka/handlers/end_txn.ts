/**
 * EndTxn (key 26), versions 0 to 5: a producer commits or aborts its transaction.
 *
 * - Answered when the decision is committed. The markers are written after that; until they are, the next transaction
 *   gets CONCURRENT_TRANSACTIONS.
 * - v5: the producer's epoch rises with each transaction, and the answer has the next one (KIP-890).
 * - INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED (before v2 INVALID_PRODUCER_EPOCH) as in AddPartitionsToTxn.
 *   INVALID_TXN_STATE: there is no transaction, or it ended the other way.
 *
 * Gaps: none.
 *
 * @module
 */

import { until } from "../../io/task.ts";
import { EPOCH_PER_TRANSACTION, type ProducerAnswer } from "../../txn/coordinator.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { END_TXN } from "../../wire/generated/apis.ts";
import type { EndTxnRequest } from "../../wire/generated/end_txn_request.ts";
import { type EndTxnResponse, newEndTxnResponse } from "../../wire/generated/end_txn_response.ts";
import type { Handler } from "../handler.ts";
import { freshProducerId } from "../producer_ids.ts";
import { fencedErrorOf, ON_TRANSACTION_SHARD } from "../transaction_routes.ts";

/** First version with PRODUCER_FENCED, and with an epoch per transaction. */
const FENCED_SINCE = 2;
const EPOCHS_SINCE = 5;

export const END_TXN_HANDLER: Handler<EndTxnRequest, EndTxnResponse> = {
  api: END_TXN,
  minVersion: 0,
  maxVersion: 5,
  route: ON_TRANSACTION_SHARD,
  *handle(context, request) {
    const { services, version } = context;
    const { transactionalId, committed } = request;
    if (transactionalId === "") {
      return newEndTxnResponse({ errorCode: ErrorCode.INVALID_REQUEST });
    }
    const rises = version >= EPOCHS_SINCE;
    let coordinator = services.transactions.coordinatorFor(transactionalId);
    let fresh = -1;
    const isActive = coordinator?.active === true;
    if (
      rises && isActive && coordinator!.find(transactionalId) !== undefined &&
      coordinator!.needsProducerId(transactionalId)
    ) {
      fresh = yield* freshProducerId(services);
      coordinator = services.transactions.coordinatorFor(transactionalId);
    }
    const refusal = coordinator?.refusal ?? ErrorCode.NOT_COORDINATOR;
    if (coordinator === null || refusal !== ErrorCode.NONE) {
      return newEndTxnResponse({ errorCode: refusal });
    }
    const asked = coordinator;
    const clientVersion = rises ? EPOCH_PER_TRANSACTION : 0;
    const answer = yield* until<ProducerAnswer>((respond) =>
      asked.endTransaction(context, request, committed, clientVersion, fresh, respond)
    );
    const errorCode = fencedErrorOf(answer.errorCode, version >= FENCED_SINCE);
    return newEndTxnResponse({ ...answer, errorCode });
  },
};
