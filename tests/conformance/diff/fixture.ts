/**
 * Both brokers, started and filled with the same: what every case may refer to.
 *
 * - topics `orders` (3 partitions; records in 0, of an idempotent producer in 1), `empty`, `compacted`
 * - groups `idle` (commits, no members) and `live` (one member)
 *
 * @module
 */

import { Broker } from "../../harness/broker.ts";
import { KafkaBroker } from "../../harness/kafka_broker.ts";
import { type Case, type Json, step } from "./case.ts";
import { KAFKA } from "./kafka_version.ts";
import { type Difference, Lane, type Shared } from "./lane.ts";

const SETTINGS = [
  "offsets.topic.num.partitions=1",
  "offsets.topic.replication.factor=1",
  "transaction.state.log.num.partitions=1",
  "transaction.state.log.replication.factor=1",
  "transaction.state.log.min.isr=1",
  "group.initial.rebalance.delay.ms=0",
  "group.consumer.assignment.interval.ms=0",
  // On a busy machine Kafka's broker would be fenced, and refuse to make topics.
  "broker.session.timeout.ms=60000",
];

const topic = (name: string, numPartitions: number, configs: Json[] = []) => ({
  name,
  numPartitions,
  replicationFactor: 1,
  configs,
});

const produce = (index: number, batches: Json[]) =>
  step("Produce", 12, {
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: "orders", partitionData: [{ index, records: { batches } }] }],
  });

const FIXTURE: Case = {
  name: "fixture",
  steps: [
    step("CreateTopics", 7, {
      topics: [
        topic("orders", 3),
        topic("empty", 1),
        topic("compacted", 1, [{ name: "cleanup.policy", value: "compact" }]),
      ],
      timeoutMs: 30_000,
    }),
    step("Metadata", 12, {
      topics: ["orders", "empty", "compacted", "__consumer_offsets"].map((name) => ({ name })),
      allowAutoTopicCreation: false,
    }),
    step("InitProducerId", 4, { transactionalId: null, transactionTimeoutMs: 60_000 }),
    produce(0, [{ records: ["a", "b", "c"] }]),
    produce(0, [{ records: [{ key: "k", value: "d", timestamp: "%now+1000%" }, "e"] }]),
    produce(1, [{
      records: ["f"],
      producerId: "%2:producerId%",
      producerEpoch: "%2:producerEpoch%",
      baseSequence: 0,
    }]),
    step("FindCoordinator", 4, { coordinatorKeys: ["idle"] }),
    step("OffsetCommit", 9, {
      groupId: "idle",
      topics: [{
        name: "orders",
        partitions: [
          { partitionIndex: 0, committedOffset: 2, committedMetadata: "note" },
          { partitionIndex: 1, committedOffset: 1 },
        ],
      }],
    }),
    step("JoinGroup", 3, {
      groupId: "live",
      sessionTimeoutMs: 1_800_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: { subscription: ["orders"] } }],
    }),
    step("SyncGroup", 3, {
      groupId: "live",
      generationId: "%8:generationId%",
      memberId: "%8:memberId%",
      assignments: [{ memberId: "%8:memberId%", assignment: { text: "mine" } }],
    }),
  ],
};

export class Fixture {
  readonly kafka: KafkaBroker;
  readonly gregor: Broker;
  /** In what the answers to the fixture's own requests differ. */
  differences: readonly Difference[] = [];
  readonly #shared: Shared;

  private constructor(kafka: KafkaBroker, gregor: Broker) {
    this.kafka = kafka;
    this.gregor = gregor;
    const knowledge = (address: string) => ({
      topicIds: new Map<string, string>(),
      formerIds: new Map<string, string>(),
      epochs: new Map<string, number>(),
      port: Number(address.split(":")[1]),
    });
    this.#shared = { kafka: knowledge(kafka.kafka), gregor: knowledge(gregor.kafka) };
  }

  /** Starts both and fills them. */
  static async start(): Promise<Fixture> {
    const started = await Promise.allSettled([
      KafkaBroker.start(KAFKA, null, [...SETTINGS, "authorizer.class.name="]),
      Broker.start({
        cores: 2,
        memory: "256MiB",
        flags: ["--node-id=1", ...SETTINGS.map((setting) => `--set=${setting}`)],
      }),
    ]);
    const [kafka, gregor] = started;
    if (kafka.status === "rejected" || gregor.status === "rejected") {
      if (kafka.status === "fulfilled") await kafka.value.stop();
      if (gregor.status === "fulfilled") await gregor.value.dispose();
      throw kafka.status === "rejected" ? kafka.reason : (gregor as PromiseRejectedResult).reason;
    }
    const fixture = new Fixture(kafka.value, gregor.value);
    const lane = fixture.lane();
    try {
      await untilCoordinated(fixture);
      fixture.differences = await lane.teach(FIXTURE);
    } catch (error) {
      await fixture.stop();
      throw error;
    } finally {
      await lane.close();
    }
    return fixture;
  }

  lane(): Lane {
    return new Lane(this.kafka.kafka, this.gregor.kafka, this.#shared);
  }

  async stop(): Promise<void> {
    await Promise.all([this.kafka.stop(), this.gregor.dispose()]);
  }
}

/** Has both make their topic of groups. */
const WARM_UP = step("FindCoordinator", 4, { coordinatorKeys: ["idle"] });
const COORDINATED_TRIES = 100;

/** Kafka's coordinator is there a while after it was first asked for. */
async function untilCoordinated(fixture: Fixture): Promise<void> {
  const asked = [
    WARM_UP,
    step("OffsetFetch", 8, { groups: [{ groupId: "idle", topics: null }] }),
    step("InitProducerId", 4, { transactionalId: null, transactionTimeoutMs: 60_000 }),
    step("FindCoordinator", 4, { keyType: 1, coordinatorKeys: ["idle"] }),
    step("InitProducerId", 4, { transactionalId: "idle", transactionTimeoutMs: 60_000 }),
  ];
  const lane = fixture.lane();
  for (let i = 0; i < COORDINATED_TRIES; i++) {
    let said = "";
    for (const one of asked) said += JSON.stringify(await lane.answers(one));
    if (!/"errorCode":(?!0)/.test(said)) return await lane.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await lane.close();
  throw new Error("The group coordinators do not come");
}
