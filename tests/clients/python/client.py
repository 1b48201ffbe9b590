"""confluent-kafka under the contract of ../README.md."""

import argparse
import json
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient, NewTopic

from administration import Administration
from copy_loop import Copy
from records import Mismatch, headers_of, key_of, timestamp_of, value_of, verify
from transaction import transact

SILENCE_SECONDS_MAX = 20


def create(options):
    admin = AdminClient({"bootstrap.servers": options.brokers})
    topic = NewTopic(options.topic, num_partitions=options.partitions, replication_factor=-1)
    admin.create_topics([topic], operation_timeout=30)[options.topic].result(30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = admin.list_topics(options.topic, timeout=10).topics[options.topic]
        if len(found.partitions) == options.partitions:
            return {}
        time.sleep(0.05)
    raise Mismatch("the topic did not appear")


def produce(options):
    failures = []

    def on_delivery(error, _message):
        if error is not None:
            failures.append(str(error))

    producer = Producer({
        "bootstrap.servers": options.brokers,
        "compression.type": options.codec,
        "acks": options.acks,
        "enable.idempotence": options.acks == "all",
        "linger.ms": 5,
        "queue.buffering.max.messages": 50000,
        "message.timeout.ms": 60000,
    })
    for i in range(options.first, options.first + options.count):
        while True:
            try:
                producer.produce(
                    options.topic,
                    key=key_of(i),
                    value=value_of(options.seed, i),
                    partition=i % options.partitions,
                    headers=headers_of(i),
                    timestamp=timestamp_of(options.base_ms, i),
                    on_delivery=on_delivery,
                )
                break
            except BufferError:
                producer.poll(0.1)
        if i % 1000 == 0:
            producer.poll(0)
    left = producer.flush(90)
    if left > 0 or failures:
        raise Mismatch(f"{left} not acknowledged, {len(failures)} refused: {failures[:1]}")
    return {"records": options.count}


def consume(options):
    consumer = Consumer({
        "bootstrap.servers": options.brokers,
        "group.id": "none",
        "enable.auto.commit": False,
        "check.crcs": True,
        "auto.offset.reset": "error",
    })
    consumer.assign([TopicPartition(options.topic, p, 0) for p in range(options.partitions)])
    wanted = [len(range(p, options.count, options.partitions)) for p in range(options.partitions)]
    position = [0] * options.partitions
    read = 0
    heard = time.monotonic()
    while read < options.count:
        messages = consumer.consume(1000, timeout=0.1)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_SECONDS_MAX:
            raise Mismatch(f"no record for {SILENCE_SECONDS_MAX} s, positions {position} of {wanted}")
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            check(options, message, position)
            read += 1
    for p in range(options.partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(options.topic, p), timeout=20)
        if (low, high) != (0, wanted[p]):
            raise Mismatch(f"partition {p} holds {low} to {high}, not 0 to {wanted[p]}")
    consumer.close()
    return {"records": read}


def check(options, message, position):
    """The record itself, and that it follows the one before it."""
    partition, offset = message.partition(), message.offset()
    if position is not None:
        if offset != position[partition]:
            raise Mismatch(f"partition {partition}: offset {offset} after {position[partition] - 1}")
        position[partition] = offset + 1
    record = (message.key(), message.value(), message.headers(), message.timestamp()[1])
    verify(options, partition, offset, record)


def roundtrip(options):
    create(options)
    produce(options)
    return consume(options)


def member(options):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    settings = {
        "bootstrap.servers": options.brokers,
        "group.id": options.group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
    if options.protocol == "consumer":
        settings["group.protocol"] = "consumer"
    else:
        settings["session.timeout.ms"] = options.session_ms
        settings["heartbeat.interval.ms"] = options.session_ms // 6
    consumer = Consumer(settings)
    owned = set()

    def report(change):
        def on_change(_consumer, partitions):
            change(p.partition for p in partitions)
            say(event="assigned", partitions=sorted(owned))
        return on_change

    gained, lost = report(owned.update), report(owned.difference_update)
    consumer.subscribe([options.topic], on_assign=gained, on_revoke=lost, on_lost=lost)
    while not stopping:
        runs = {}
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is not None:
                raise KafkaException(message.error())
            check(options, message, None)
            run = runs.setdefault(message.partition(), [message.offset(), message.offset()])
            if message.offset() != run[1]:
                raise Mismatch(f"offset {message.offset()} instead of {run[1]} in one run")
            run[1] += 1
        for partition, (begin, end) in runs.items():
            say(event="processed", partition=partition, **{"from": begin, "to": end})
        if runs:
            commit(consumer, [TopicPartition(options.topic, p, run[1]) for p, run in runs.items()])
    consumer.close()
    return {}


def follow(options):
    """Reads a topic as it comes, whatever happens to it, and reports each record, until it is killed."""
    settings = {
        "bootstrap.servers": options.brokers,
        "group.id": options.group or "none",
        "enable.auto.commit": options.group is not None,
        "auto.commit.interval.ms": 500,
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    if options.group is not None:
        consumer.subscribe([options.topic])
    else:
        beginning = [TopicPartition(options.topic, p, 0) for p in range(options.partitions)]
        consumer.assign(beginning)
    while True:
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is not None:
                # That the topic is gone for a while, for instance.
                print(message.error(), file=sys.stderr)
                continue
            value = message.value().decode()
            say(event="read", partition=message.partition(), offset=message.offset(), value=value)


def commit(consumer, offsets):
    """Commits; a rebalance meanwhile means only that another member will process these again."""
    lost = (
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.STALE_MEMBER_EPOCH,
    )
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() not in lost:
            raise


def committed(options):
    admin = AdminClient({"bootstrap.servers": options.brokers})
    group = ConsumerGroupTopicPartitions(options.group)
    found = admin.list_consumer_group_offsets([group])[options.group].result(20)
    offsets = [-1] * options.partitions
    for p in found.topic_partitions:
        if p.topic == options.topic:
            offsets[p.partition] = max(p.offset, -1)
    consumer = Consumer({"bootstrap.servers": options.brokers, "group.id": "none"})
    ends = [
        consumer.get_watermark_offsets(TopicPartition(options.topic, p), timeout=20)[1]
        for p in range(options.partitions)
    ]
    consumer.close()
    return {"committed": offsets, "end": ends}


def admin(options):
    create(options)
    produce(options)
    return Administration(options).run()


def transaction(options):
    create(options)
    return transact(options)


def say(**line):
    print(json.dumps(line), flush=True)


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base-ms", type=int, default=0)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--acks", default="all")
    parser.add_argument("--shape", default="full")
    parser.add_argument("--group")
    parser.add_argument("--session-ms", type=int, default=6000)
    parser.add_argument("--protocol", default="classic")
    return parser.parse_args()


COMMANDS = {
    "create": create,
    "produce": produce,
    "consume": consume,
    "roundtrip": roundtrip,
    "member": member,
    "follow": follow,
    "committed": committed,
    "admin": admin,
    "transaction": transaction,
    "copy": lambda options: Copy(options).run(),
}


def main():
    options = parse_options()
    started = time.monotonic()
    try:
        result = COMMANDS[options.command](options)
    except (Mismatch, AssertionError, KafkaException) as error:
        say(ok=False, command=options.command, error=f"{type(error).__name__}: {error}")
        sys.exit(1)
    say(ok=True, command=options.command, seconds=round(time.monotonic() - started, 3), **result)


main()
