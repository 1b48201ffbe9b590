"""The command `copy` of ../README.md: each record of a topic once into another, whatever becomes of the brokers."""

import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from records import Mismatch, key_of, value_of

BOUND_SECONDS = 100
BATCH = 40
#: Every so many transactions one is aborted.
ABORTS_EACH = 5


class Copy:
    def __init__(self, options):
        self.options = options
        self.deadline = time.monotonic() + BOUND_SECONDS
        self.transactions = 0
        self.renewals = 0

    def run(self):
        while not self.copy():
            if time.monotonic() > self.deadline:
                raise Mismatch(f"not done in {BOUND_SECONDS} s")
            self.renewals += 1
        self.verify()
        return {"transactions": self.transactions, "renewals": self.renewals}

    def copy(self):
        """Copies until all is copied; False: the producer cannot go on."""
        options = self.options
        producer = Producer({
            "bootstrap.servers": options.brokers,
            "transactional.id": options.group,
            "transaction.timeout.ms": 20000,
            "linger.ms": 2,
        })
        consumer = Consumer({
            "bootstrap.servers": options.brokers,
            "group.id": options.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 10000,
        })
        consumer.subscribe([options.topic])
        try:
            producer.init_transactions(30)
            while time.monotonic() < self.deadline:
                messages = [m for m in consumer.consume(BATCH, timeout=0.5) if m.error() is None]
                if messages:
                    self.transact(producer, consumer, messages)
                elif self.is_done(consumer):
                    return True
            return False
        except KafkaException:
            return False
        finally:
            consumer.close()

    def transact(self, producer, consumer, messages):
        self.transactions += 1
        producer.begin_transaction()
        try:
            for message in messages:
                producer.produce(
                    self.options.topic + "-copy",
                    key=message.key(),
                    value=message.value(),
                    partition=message.partition(),
                )
            if self.transactions % ABORTS_EACH == 0:
                producer.flush(10)
                producer.abort_transaction(30)
                return self.rewind(consumer)
            positions = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(
                positions, consumer.consumer_group_metadata(), 30)
            while True:
                try:
                    return producer.commit_transaction(30)
                except KafkaException as error:
                    if not error.args[0].retriable() or time.monotonic() > self.deadline:
                        raise
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            producer.abort_transaction(30)
            self.rewind(consumer)

    @staticmethod
    def rewind(consumer):
        """Back to what is committed."""
        for place in consumer.committed(consumer.assignment(), timeout=30):
            if place.offset < 0:
                place.offset = 0
            consumer.seek(place)

    def is_done(self, consumer):
        options = self.options
        everything = [TopicPartition(options.topic, p) for p in range(options.partitions)]
        committed = sum(max(0, each.offset) for each in consumer.committed(everything, timeout=30))
        return committed >= options.count

    def verify(self):
        """The copy has every record once, in order."""
        options = self.options
        consumer = Consumer({
            "bootstrap.servers": options.brokers,
            "group.id": "none",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        })
        name = options.topic + "-copy"
        consumer.assign([TopicPartition(name, p, 0) for p in range(options.partitions)])
        following = list(range(options.partitions))
        read = 0
        quiet = 0
        while read < options.count or quiet < 4:
            messages = [m for m in consumer.consume(1000, timeout=0.5) if m.error() is None]
            quiet = 0 if messages else quiet + 1
            if quiet > 40:
                raise Mismatch(f"{read} records of {options.count} in the copy")
            for message in messages:
                i = following[message.partition()]
                if (message.key(), message.value()) != (key_of(i), value_of(options.seed, i)):
                    raise Mismatch(
                        f"copy, partition {message.partition()}, offset {message.offset()}: not record {i}")
                following[message.partition()] += options.partitions
                read += 1
        consumer.close()
        if read != options.count:
            raise Mismatch(f"{read} records in the copy, not {options.count}")
