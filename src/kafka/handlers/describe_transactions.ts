/**
 * DescribeTransactions (key 65), version 0: where transactional ids are.
 *
 * - TRANSACTIONAL_ID_NOT_FOUND: nobody has used the id, or it has expired. INVALID_REQUEST: it is empty.
 * - The partitions are those of the transaction, until all markers are written. Once it is over there are none.
 * - Runs on the shards that coordinate the ids.
 *
 * Gaps: while markers are written, Kafka leaves out the partitions that have theirs.
 *
 * @module
 */

import { TransactionState as State } from "../../txn/records.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_TRANSACTIONS } from "../../wire/generated/apis.ts";
import type { DescribeTransactionsRequest } from "../../wire/generated/describe_transactions_request.ts";
import {
  type DescribeTransactionsResponse,
  newDescribeTransactionsResponse,
  newTransactionState,
  type TransactionState,
} from "../../wire/generated/describe_transactions_response.ts";
import { AnswerQueues } from "../answer_queues.ts";
import type { Handler } from "../handler.ts";
import type { Services } from "../services.ts";
import { Once } from "./once.ts";

/** Kafka's names of the states. */
export const STATE_NAMES: Readonly<Record<State, string>> = {
  [State.EMPTY]: "Empty",
  [State.ONGOING]: "Ongoing",
  [State.PREPARE_COMMIT]: "PrepareCommit",
  [State.PREPARE_ABORT]: "PrepareAbort",
  [State.COMPLETE_COMMIT]: "CompleteCommit",
  [State.COMPLETE_ABORT]: "CompleteAbort",
};

export const DESCRIBE_TRANSACTIONS_HANDLER: Handler<
  DescribeTransactionsRequest,
  DescribeTransactionsResponse
> = {
  api: DESCRIBE_TRANSACTIONS,
  minVersion: 0,
  maxVersion: 0,
  route: {
    kind: "split",
    split(request, services) {
      const parts = new Map<number, string[]>();
      for (const id of request.transactionalIds) {
        const shard = services.transactions.shardOfTransaction(id);
        const part = parts.get(shard);
        if (part === undefined) parts.set(shard, [id]);
        else part.push(id);
      }
      return new Map([...parts].map(([shard, transactionalIds]) => [shard, { transactionalIds }]));
    },
    merge(request, responses) {
      const answers = new AnswerQueues<TransactionState>();
      for (const { transactionStates } of responses) {
        for (const state of transactionStates) answers.add(state.transactionalId, state);
      }
      const transactionStates = request.transactionalIds.map((id) => answers.take(id)!);
      return newDescribeTransactionsResponse({ transactionStates });
    },
  },
  // deno-lint-ignore require-yield -- transactions are in memory.
  *handle({ services }, { transactionalIds }) {
    const once = new Once<TransactionState>();
    const transactionStates = transactionalIds.map((id) =>
      once.of(id, () => describe(services, id))
    );
    return newDescribeTransactionsResponse({ transactionStates });
  },
};

function describe({ transactions }: Services, transactionalId: string): TransactionState {
  const refused = (errorCode: ErrorCode) => newTransactionState({ transactionalId, errorCode });
  if (transactionalId === "") return refused(ErrorCode.INVALID_REQUEST);
  const coordinator = transactions.coordinatorFor(transactionalId);
  const refusal = coordinator?.refusal ?? ErrorCode.NOT_COORDINATOR;
  if (coordinator === null || refusal !== ErrorCode.NONE) return refused(refusal);
  const value = coordinator.find(transactionalId)?.value ?? null;
  if (value === null) return refused(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND);
  return newTransactionState({
    transactionalId,
    transactionState: STATE_NAMES[value.state],
    transactionTimeoutMs: value.timeoutMs,
    transactionStartTimeMs: value.startedMs,
    producerId: value.producerId,
    producerEpoch: value.producerEpoch,
    topics: [...value.partitions].map(([topic, indexes]) => ({
      topic,
      partitions: [...indexes].sort((a, b) => a - b),
    })),
  });
}
