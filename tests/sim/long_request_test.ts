/**
 * Requests that take long are done in many turns: what other connections of the shard ask meanwhile is
 * answered between them.
 */

import { strict as assert } from "node:assert";
import { ResourceType } from "../../src/cluster/config_table.ts";
import { CREATE_TOPICS_HANDLER } from "../../src/kafka/handlers/create_topics.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "../../src/kafka/handlers/describe_configs.ts";
import { METADATA_HANDLER } from "../../src/kafka/handlers/metadata.ts";
import type { AnyHandler } from "../../src/kafka/router.ts";
import { CREATE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import {
  newDescribeConfigsRequest,
  newDescribeConfigsResource,
} from "../../src/wire/generated/describe_configs_request.ts";
import {
  newMetadataRequest,
  newMetadataRequestTopic,
} from "../../src/wire/generated/metadata_request.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

/** Turns in which a produce is answered, whatever others ask. */
const TURNS_MAX = 150;
/** Elements of a response that are encoded in one turn at most, in these requests. */
const ROWS_PER_TURN_MAX = 400;

interface Long {
  readonly what: string;
  readonly handler: AnyHandler;
  readonly version: number;
  readonly request: unknown;
}

/** In which turns a handler works, and what is encoded in each. */
class Watch {
  turn = 0;
  begun = -1;
  ended = -1;
  readonly rows = new Map<number, number>();

  /** The handler, watched. It is one object for all nodes: undo it afterwards. */
  put(handler: AnyHandler): () => void {
    const watched = handler as { -readonly [Key in keyof AnyHandler]: AnyHandler[Key] };
    const { handle, rows } = handler;
    const note = (what: "begun" | "ended"): void => {
      if (this.turn > 0) this[what] = this.turn;
    };
    watched.handle = function* (...args) {
      note("begun");
      const response: unknown = yield* handle.apply(handler, args);
      note("ended");
      return response;
    };
    watched.rows = {
      ...rows!,
      with: (response, some) => {
        this.rows.set(this.turn, (this.rows.get(this.turn) ?? 0) + some.length);
        return rows!.with(response, some);
      },
    };
    return () => Object.assign(watched, { handle, rows });
  }
}

const LONG: readonly Long[] = [
  {
    what: "a dry run of creating many topics",
    handler: CREATE_TOPICS_HANDLER,
    version: 7,
    request: newCreateTopicsRequest({
      validateOnly: true,
      topics: Array.from(
        { length: 20_000 },
        (_, i) => newCreatableTopic({ name: `dry-${i}`, numPartitions: 1, replicationFactor: 1 }),
      ),
    }),
  },
  {
    what: "the description of one broker, many times",
    handler: DESCRIBE_CONFIGS_HANDLER,
    version: 4,
    request: newDescribeConfigsRequest({
      resources: new Array(1_000).fill(
        newDescribeConfigsResource({
          resourceType: ResourceType.BROKER,
          resourceName: "0",
          configurationKeys: null,
        }),
      ),
    }),
  },
  {
    what: "metadata of many topics that are created for it",
    handler: METADATA_HANDLER,
    version: 9,
    request: newMetadataRequest({
      allowAutoTopicCreation: true,
      topics: Array.from({ length: 600 }, (_, i) => newMetadataRequestTopic({ name: `auto-${i}` })),
    }),
  },
];

for (const { what, handler, version, request } of LONG) {
  Deno.test(`while a connection asks for ${what}, another one's produce is answered in time`, () => {
    const settings = { "num.partitions": "1" };
    const node = new SimNode({ seed: 1, arenaBytes: 64 * 2 ** 20, settings });
    assert.ok(node.mount(1));
    const [asking, producing] = [new SimClient(node.connect(0)), new SimClient(node.connect(0))];
    const poll = (): void => (asking.poll(), producing.poll());
    let created = false;
    producing.send(CREATE_TOPICS, 7, topicRequest("orders", 1), () => created = true);
    assert.ok(node.run(() => (poll(), created), 20_000));
    const watch = new Watch();
    const undo = watch.put(handler);
    try {
      let answered = false;
      asking.send(handler.api, version, request, () => answered = true);
      let between = 0;
      let slowest = 0;
      while (!answered) {
        let done = false;
        producing.send(PRODUCE, 9, produceRequest("orders", 0, SMALL_BATCH), ({ responses }) => {
          assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0);
          done = true;
        });
        const from = watch.turn;
        assert.ok(node.run(() => (poll(), watch.turn++, done), 20_000), "no answer to a produce");
        slowest = Math.max(slowest, watch.turn - from);
        if (watch.begun > 0 && watch.ended < 0) between++;
        assert.ok(watch.turn < 1_000_000, "no answer to the long request");
      }
      assert.ok(slowest < TURNS_MAX, `${slowest} turns`);
      assert.ok(between > 0, "no produce is answered while the request is worked on");
      assert.ok(watch.ended - watch.begun >= 10, `all in ${watch.ended - watch.begun} turns`);
      const rows = Math.max(...watch.rows.values());
      assert.ok(rows > 0 && rows < ROWS_PER_TURN_MAX, `${rows} elements are encoded in one turn`);
    } finally {
      undo();
    }
  });
}
