/**
 * What producers say of their own records is checked: each kind of batch that Kafka refuses is refused with
 * Kafka's code, and what it mends (the max timestamp) is mended.
 */

import { strict as assert } from "node:assert";
import { Broker } from "../harness/broker.ts";
import { readAnswers } from "./records/answers.ts";
import { probe } from "./records/probe.ts";

/** Where the broker answers otherwise than Kafka: names of kinds, what it answers, and why. */
const DIFFERENCES: readonly {
  readonly kinds: RegExp;
  readonly answer: string;
  readonly why: string;
}[] = [
  {
    kinds: /^none, .*: (?:offsets|the same offset|a negative offset|a gap in offsets$)/,
    answer: "INVALID_RECORD",
    why:
      "Kafka stores uncompressed records whose offsets do not count up: consumers lose their place",
  },
  {
    kinds: /: a (?:key|value) of length -2$/,
    answer: "INVALID_RECORD",
    why: "Kafka takes any negative length for null; other readers do not",
  },
  {
    kinds: /: a record (?:longer than|shorter than|that swallows)/,
    answer: "INVALID_RECORD",
    why: "Kafka stores it when it is compressed, and its own consumer then stops at it",
  },
  {
    kinds: /: an endless varint$/,
    answer: "INVALID_RECORD",
    why: "Kafka has another code for it when it is not compressed",
  },
  {
    kinds: /^(?:gzip|lz4): (?:bytes|zeros) behind the stream$|^lz4: two streams$/,
    answer: "UNKNOWN_SERVER_ERROR",
    why: "Kafka ignores what follows; other readers refuse the batch",
  },
];

Deno.test("every kind of batch is answered as Kafka answers it", async () => {
  await using broker = await Broker.start({ cores: 2 });
  const kafka = readAnswers();
  const wrong: string[] = [];
  for (const [name, { answer }] of await probe(broker.kafka)) {
    const difference = DIFFERENCES.find(({ kinds }) => kinds.test(name));
    const expected = difference?.answer ?? kafka.get(name);
    if (answer !== expected) wrong.push(`${name}: ${answer}, not ${expected}`);
  }
  assert.deepEqual(wrong, []);
});
