"""Writes a record every few milliseconds for some time, and says how long the slowest one took.

Not under the contract of ../README.md: ../leadership_test.ts runs it while leaders change.
"""

import argparse
import json
import sys
import threading
import time

from confluent_kafka import Producer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--interval-ms", type=float, default=5)
    options = parser.parse_args()
    producer = Producer({
        "bootstrap.servers": options.brokers,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 0,
        "message.timeout.ms": 20000,
    })
    stop = threading.Event()

    def read_stdin():
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=read_stdin, daemon=True).start()
    failures = []
    took = []

    def on_delivery(begun):
        def done(error, _message):
            if error is not None:
                failures.append(str(error))
            else:
                took.append((begun, time.monotonic() - begun))
        return done

    sent = 0
    # The first acknowledgement opens connections.
    while not stop.is_set():
        begun = time.monotonic()
        producer.produce(options.topic, value=str(sent), partition=sent % options.partitions,
                         on_delivery=on_delivery(begun))
        sent += 1
        until = begun + options.interval_ms / 1000
        while time.monotonic() < until:
            producer.poll(max(0, until - time.monotonic()))
        if sent == 200:
            print(json.dumps({"event": "steady"}), flush=True)
    left = producer.flush(20)
    steady = [seconds for (_begun, seconds) in took[200:]]
    print(json.dumps({
        "ok": left == 0 and not failures,
        "records": len(took),
        "worstMs": round(max(steady, default=0) * 1000),
        "medianMs": round(sorted(steady)[len(steady) // 2] * 1000, 1) if steady else 0,
        "failures": failures[:5],
    }), flush=True)


main()
