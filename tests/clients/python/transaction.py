"""The command `transaction` of ../README.md, over a topic that exists."""

import time

from confluent_kafka import Consumer, Producer, TopicPartition

from records import Mismatch, key_of, value_of

BOUND_SECONDS = 20


def transact(options):
    producer = Producer({"bootstrap.servers": options.brokers, "transactional.id": options.topic})
    producer.init_transactions(BOUND_SECONDS)
    consumer = Consumer({
        "bootstrap.servers": options.brokers,
        "group.id": options.group,
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": False,
    })
    producer.begin_transaction()
    write(options, producer)
    producer.send_offsets_to_transaction(
        [TopicPartition(options.topic, 0, 1)], consumer.consumer_group_metadata(), BOUND_SECONDS)
    producer.commit_transaction(BOUND_SECONDS)
    producer.begin_transaction()
    write(options, producer)
    producer.flush(BOUND_SECONDS)
    producer.abort_transaction(BOUND_SECONDS)
    read(options, consumer)
    consumer.close()
    return {}


def write(options, producer):
    for i in range(options.count):
        producer.produce(
            options.topic, key=key_of(i), value=value_of(options.seed, i), partition=0)


def read(options, consumer):
    """Committed records only: the aborted ones behind them are not shown."""
    consumer.assign([TopicPartition(options.topic, 0, 0)])
    deadline = time.monotonic() + BOUND_SECONDS
    count = 0
    while count < options.count and time.monotonic() < deadline:
        count += len(consumer.consume(options.count, timeout=0.2))
    count += len(consumer.consume(1, timeout=1))
    if count != options.count:
        raise Mismatch(f"{count} records, not {options.count}")
