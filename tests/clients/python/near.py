"""Reads partition 0 of a topic as a client in a rack, and says what it read and from which broker.

Not under the contract of ../README.md: ../leadership_test.ts runs it until it is killed.
"""

import argparse
import json

from confluent_kafka import Consumer, TopicPartition, OFFSET_BEGINNING


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rack", required=True)
    options = parser.parse_args()

    def on_stats(text):
        partition = json.loads(text)["topics"].get(options.topic, {}).get("partitions", {}).get("0")
        if partition is not None:
            print(json.dumps({"broker": partition["broker"]}), flush=True)

    consumer = Consumer({
        "bootstrap.servers": options.brokers,
        "group.id": "near",
        "client.rack": options.rack,
        "enable.auto.commit": False,
        "statistics.interval.ms": 200,
        "stats_cb": on_stats,
    })
    consumer.assign([TopicPartition(options.topic, 0, OFFSET_BEGINNING)])
    while True:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            print(json.dumps({"value": message.value().decode()}), flush=True)


main()
