import assert from "node:assert/strict";
import { runTask } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import { TransactionGuard, type TransactionQuestion } from "./transaction_guard.ts";

const TERM = 3;

Deno.test("a producer and its zombie that ask at the same time both get an answer", () => {
  const asked: { epoch: number; done: (error: ErrorCode) => void }[] = [];
  const guard = new TransactionGuard(
    ({ producerEpoch }, done) => asked.push({ epoch: producerEpoch, done }),
    () => {},
  );
  const question = (producerEpoch: number): TransactionQuestion => ({
    transactionalId: "copy",
    groupId: 1,
    producerId: 7,
    producerEpoch,
    adds: true,
  });
  const answers = new Map<number, ErrorCode>();
  for (const epoch of [0, 1]) {
    runTask(guard.admit(question(epoch), TERM), (answer) => answers.set(epoch, answer));
  }
  for (let questions = 0; asked.length > 0; questions++) {
    assert(questions < 10, "they ask without end");
    const { epoch, done } = asked.shift()!;
    done(epoch === 0 ? ErrorCode.INVALID_PRODUCER_EPOCH : ErrorCode.NONE);
  }
  assert.equal(answers.get(0), ErrorCode.INVALID_PRODUCER_EPOCH);
  assert.equal(answers.get(1), ErrorCode.NONE);
});
