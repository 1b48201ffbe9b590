import assert from "node:assert/strict";
import { TestBroker } from "../kafka/test_services.ts";
import { Timers } from "../io/timers.ts";
import type { Task } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { WriteTxnMarkersRequest } from "../wire/generated/write_txn_markers_request.ts";
import { newWriteTxnMarkersResponse } from "../wire/generated/write_txn_markers_response.ts";
import { ShardMarkerSender } from "./marker_sender.ts";

/** The markers of a transaction in one partition of the topic "t"; what came of it is in `written`. */
class TestOrder {
  readonly broker = new TestBroker();
  readonly timers = new Timers();
  nowMs = 0;
  isCurrent = true;
  /** What the leader says. */
  error: ErrorCode = ErrorCode.NONE;
  asked = 0;
  written: boolean | null = null;

  begin(): void {
    const sender = new ShardMarkerSender({
      image: this.broker.cluster.image,
      timers: this.timers,
      nowMs: () => this.nowMs,
      leaderOf: () => 0,
      isCurrent: () => this.isCurrent,
      ask: (_nodeId, _api, _version, request) => this.#answer(request),
    });
    const order = {
      transactionalId: "copy",
      producerId: 7,
      producerEpoch: 0,
      isCommit: true,
      clientVersion: 0,
      partitions: new Map([["t", new Set([0])]]),
    };
    sender.write(order, 1, () => true, (isWritten) => this.written = isWritten);
  }

  pass(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; this.nowMs += 10) {
      this.timers.run(this.nowMs);
    }
  }

  // deno-lint-ignore require-yield -- the leader answers at once.
  *#answer<Request, Response>(request: Request): Task<Response | null> {
    this.asked++;
    const { markers } = request as unknown as WriteTxnMarkersRequest;
    const topics = markers[0]!.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        errorCode: this.error,
      })),
    }));
    const response = newWriteTxnMarkersResponse({ markers: [{ producerId: 7, topics }] });
    return response as unknown as Response;
  }
}

Deno.test("a topic that older metadata does not name gets its marker when it is known", () => {
  const order = new TestOrder();
  order.isCurrent = false;
  order.begin();
  order.pass(20_000);
  assert.equal(order.written, null);
  // The metadata is complete, and says more a moment later.
  order.isCurrent = true;
  order.pass(1_000);
  assert.equal(order.written, null);
  order.broker.addTopic("t", 1);
  order.pass(2_000);
  assert.equal(order.asked, 1);
  assert.equal(order.written, true);
});

Deno.test("a topic that is gone needs no marker", () => {
  const order = new TestOrder();
  order.begin();
  order.pass(5_000);
  assert.equal(order.asked, 0);
  assert.equal(order.written, true);
});

Deno.test("where the producer is in a later epoch, its transaction is over", () => {
  const order = new TestOrder();
  order.broker.addTopic("t", 1);
  order.error = ErrorCode.INVALID_PRODUCER_EPOCH;
  order.begin();
  assert.equal(order.written, true);
});
