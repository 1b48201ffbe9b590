import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { Slot } from "./catalog.ts";
import { familyHead, histogramLines, labelsOf, numberText, sample } from "./exposition.ts";
import { DETAILED_BUCKETS, PUBLIC_BUCKETS } from "./histogram_buckets.ts";
import { metric } from "./metric.ts";
import { ShardRecorder } from "./recorder.ts";

Deno.test("values of labels and help texts are escaped as Prometheus reads them", () => {
  const hostile = 'a"b\\c\nd\te{}é';
  assert.equal(labelsOf(["x", "y"], [hostile, ""]), '{x="a\\"b\\\\c\\nd\te{}é",y=""}');
  assert.equal(labelsOf([], []), "");
  assert.equal(
    familyHead(metric("gauge", "m", 'one\ntwo \\ "three"')),
    '# HELP m one\\ntwo \\\\ "three"\n# TYPE m gauge\n',
  );
  fc.assert(fc.property(fc.string(), (text) => {
    const escaped = /^\{x="((?:[^"\\\n]|\\[\\"n])*)"\}$/.exec(labelsOf(["x"], [text]));
    assert.ok(escaped !== null);
    const back = escaped[1]!.replace(/\\(.)/g, (_, one) => one === "n" ? "\n" : one);
    assert.equal(back, text);
  }));
});

Deno.test("numbers are those that Go reads", () => {
  const texts = [0, 1.5, -2, 2 ** 53, 1e21, 1e-7, NaN, Infinity, -Infinity].map(numberText);
  const expected = ["0", "1.5", "-2", "9007199254740992", "1e+21", "1e-7", "NaN", "+Inf", "-Inf"];
  assert.deepEqual(texts, expected);
  assert.equal(sample("m", '{a="b"}', 3), 'm{a="b"} 3\n');
});

Deno.test("a histogram is cumulative, and ends with +Inf, which is its count", () => {
  const recorder = new ShardRecorder();
  const at = Slot.FLUSH_TIME;
  for (const ms of [0.01, 0.1, 0.1, 3, 100_000]) recorder.observe(at, ms);
  for (const shown of [PUBLIC_BUCKETS, DETAILED_BUCKETS]) {
    const lines = histogramLines("t", '{a="b"}', recorder.values, at, shown).trimEnd().split("\n");
    const buckets = lines.slice(0, -2).map((line) =>
      /^t_bucket\{a="b",le="(.*)"\} (\d+)$/.exec(line)!
    );
    const edges = buckets.map(([, edge]) => edge === "+Inf" ? Infinity : Number(edge));
    const counts = buckets.map(([, , count]) => Number(count));
    assert.deepEqual(edges, [...edges].sort((a, b) => a - b));
    assert.deepEqual(counts, [...counts].sort((a, b) => a - b));
    assert.equal(edges.at(-1), Infinity);
    assert.equal(counts.at(-1), 5);
    assert.equal(counts.at(-2), 4);
    assert.equal(counts[edges.indexOf(0.000256)], 3);
    assert.deepEqual(lines.slice(-2), ['t_sum{a="b"} 100.00321', 't_count{a="b"} 5']);
  }
});

Deno.test("a histogram without labels has the one of its buckets", () => {
  const { values } = new ShardRecorder();
  const lines = histogramLines("t", "", values, Slot.FLUSH_TIME, PUBLIC_BUCKETS).split("\n");
  assert.equal(lines[0], 't_bucket{le="0.000256"} 0');
  assert.equal(lines.at(-3), "t_sum 0");
});
