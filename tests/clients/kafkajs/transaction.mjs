/**
 * The command `transaction` of ../README.md, over a topic that exists.
 *
 * @module
 */

/**
 * @param {import("../shared/program.mjs").Options} options
 * @param {import("kafkajs").Kafka} kafka
 * @param {import("kafkajs").Message[]} messages
 */
export async function transact({ topic, group }, kafka, messages) {
  const producer = kafka.producer({
    transactionalId: topic,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const first = await producer.transaction();
  await first.send({ topic, messages });
  const partitions = [{ partition: 0, offset: "1" }];
  await first.sendOffsets({ consumerGroupId: group, topics: [{ topic, partitions }] });
  await first.commit();
  const second = await producer.transaction();
  await second.send({ topic, messages });
  await second.abort();
  await producer.disconnect();
  return {};
}
