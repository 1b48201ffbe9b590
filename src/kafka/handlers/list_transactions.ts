/**
 * ListTransactions (key 66), versions 0 to 2: the transactional ids that this node coordinates.
 *
 * - Filters by state, producer id, how long the transaction has been going on (v1), and a regular expression in RE2's syntax that
 *   fits whole ids (v2). States that do not exist are named in the answer.
 * - INVALID_REGULAR_EXPRESSION where it is none.
 * - COORDINATOR_LOAD_IN_PROGRESS while a coordinator loads.
 * - Runs on every shard.
 *
 * Gaps: an id with a line feed fits no expression.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { LIST_TRANSACTIONS } from "../../wire/generated/apis.ts";
import type { ListTransactionsRequest } from "../../wire/generated/list_transactions_request.ts";
import {
  type ListTransactionsResponse,
  newListTransactionsResponse,
  type TransactionState,
} from "../../wire/generated/list_transactions_response.ts";
import type { Handler, RequestContext } from "../handler.ts";
import { STATE_NAMES } from "./describe_transactions.ts";

export const LIST_TRANSACTIONS_HANDLER: Handler<ListTransactionsRequest, ListTransactionsResponse> =
  {
    api: LIST_TRANSACTIONS,
    minVersion: 0,
    maxVersion: 2,
    route: {
      kind: "split",
      split: (request, { shardCount }) =>
        new Map(Array.from({ length: shardCount }, (_, shard) => [shard, request])),
      merge: (_request, responses) => {
        const errorCode = responses.find((each) => each.errorCode !== ErrorCode.NONE)?.errorCode;
        if (errorCode !== undefined) return newListTransactionsResponse({ errorCode });
        return newListTransactionsResponse({
          unknownStateFilters: responses[0]!.unknownStateFilters,
          transactionStates: responses.flatMap(({ transactionStates }) => transactionStates),
        });
      },
    },
    // deno-lint-ignore require-yield -- transactions are in memory.
    *handle(context, request) {
      return list(context, request);
    },
  };

function list(
  { services, wallMs }: RequestContext,
  request: ListTransactionsRequest,
): ListTransactionsResponse {
  const { stateFilters, producerIdFilters, durationFilter } = request;
  const { regexes } = services;
  // An empty one is none.
  const pattern = request.transactionalIdPattern || null;
  if (pattern !== null && regexes.problem(pattern) !== null) {
    return newListTransactionsResponse({ errorCode: ErrorCode.INVALID_REGULAR_EXPRESSION });
  }
  const names = Object.values(STATE_NAMES);
  const states = new Set(stateFilters);
  const producers = new Set(producerIdFilters);
  let transactionStates: TransactionState[] = [];
  for (const coordinator of services.transactions.all()) {
    if (coordinator.refusal === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) {
      return newListTransactionsResponse({ errorCode: coordinator.refusal });
    }
    for (const { id, value } of coordinator.all()) {
      if (value === null) continue;
      const transactionState = STATE_NAMES[value.state];
      const { producerId, startedMs } = value;
      if (states.size > 0 && !states.has(transactionState)) continue;
      if (producers.size > 0 && !producers.has(producerId)) continue;
      const hasRunMs = startedMs < 0 ? -1 : wallMs - startedMs;
      if (durationFilter >= 0 && hasRunMs <= durationFilter) continue;
      transactionStates.push({ transactionalId: id, producerId, transactionState });
    }
  }
  if (pattern !== null) {
    const ids = transactionStates.map(({ transactionalId }) => transactionalId);
    const fitting = new Set(regexes.matching(pattern, ids.filter((id) => !id.includes("\n"))));
    transactionStates = transactionStates.filter((one) => fitting.has(one.transactionalId));
  }
  const unknownStateFilters = stateFilters.filter((name) => !names.includes(name));
  return newListTransactionsResponse({ unknownStateFilters, transactionStates });
}
