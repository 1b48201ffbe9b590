"""The records that every client writes and reads: see ../README.md."""

import time

BLOCK_SIZE = 65536
LARGE_LENGTH = 20000


def make_block():
    block = bytearray(BLOCK_SIZE)
    x = 2463534242
    for j in range(BLOCK_SIZE):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        byte = x & 0xFF if j < 32768 else 97 + (x & 15)
        block[j] = 95 if byte in (9, 10) else byte
    return bytes(block)


BLOCK = make_block()


class Mismatch(Exception):
    """A record is not what was written."""


def key_of(i):
    return None if i % 7 == 3 else b"key-%d" % (i % 5000)


def value_of(seed, i):
    if i % 13 == 5:
        return None
    length = LARGE_LENGTH if i % 1000 == 999 else 20 + (i * 31) % 180
    start = (i * 7919 + seed * 104729) % (BLOCK_SIZE - LARGE_LENGTH)
    return b"%d:%d:" % (seed, i) + BLOCK[start:start + length]


def headers_of(i):
    both = [("a", b"%d" % i), ("b", f"é-{i % 10}".encode())]
    return both[: i % 3]


def timestamp_of(base_ms, i):
    return base_ms + i * 3 - (i % 5) * 7


def verify(options, partition, offset, record):
    """Compares (key, value, headers, timestamp) with what `offset` of `partition` must hold."""
    i = offset * options.partitions + partition
    key, value, headers, timestamp = record
    if options.shape == "plain":
        wanted_headers = [("origin", b"kcat")]
        wanted_timestamp = timestamp
        if not options.base_ms <= timestamp <= time.time() * 1000 + 60000:
            raise Mismatch(f"record {i}: timestamp {timestamp} is not of the present")
    else:
        wanted_headers = headers_of(i)
        wanted_timestamp = timestamp_of(options.base_ms, i)
    wanted = (key_of(i), value_of(options.seed, i), wanted_headers, wanted_timestamp)
    if (key, value, list(headers or []), timestamp) != wanted:
        raise Mismatch(f"record {i} at {partition}/{offset}: {record!r:.400} is not {wanted!r:.400}")
