"""Reads partition 0 of a topic to its end through tensorflow-io, in one of its three ways.

    read.py WAY BROKERS TOPIC

WAY is dataset, group or batch. The last line of stdout is {"ok": true, "values": [...]}. The library carries librdkafka 1.5,
which asks for versions of ListOffsets that newer clients do not send.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow_io as tfio  # noqa: E402  (the log level comes first)

STREAM_TIMEOUT_MS = 3000
CONFIGURATION = [
    "session.timeout.ms=7000",
    "max.poll.interval.ms=8000",
    "auto.offset.reset=earliest",
]


def values_of(way, brokers, topic):
    if way == "dataset":
        dataset = tfio.IODataset.from_kafka(topic, partition=0, offset=0, servers=brokers)
        return [message.numpy() for message, _key in dataset]
    options = {
        "topics": [topic],
        "group_id": f"tensorflow-{way}",
        "servers": brokers,
        "stream_timeout": STREAM_TIMEOUT_MS,
        "configuration": CONFIGURATION,
    }
    if way == "group":
        dataset = tfio.experimental.streaming.KafkaGroupIODataset(**options)
        return [message.numpy() for message, _key in dataset]
    batches = tfio.experimental.streaming.KafkaBatchIODataset(**options)
    return [message.numpy() for batch in batches for message, _key in batch]


way, brokers, topic = sys.argv[1:4]
values = [value.decode() for value in values_of(way, brokers, topic)]
print(json.dumps({"ok": True, "values": values}))
