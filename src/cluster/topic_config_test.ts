import { strict as assert } from "node:assert";
import { Settings } from "../base/settings.ts";
import {
  isTopicConfigName,
  TOPIC_CONFIGS,
  TopicConfig,
  type TopicConfigName,
  topicConfigProblem,
  topicConfigsProblem,
} from "./topic_config.ts";

Deno.test("every default of a topic config passes its own check", () => {
  for (const [name, definition] of Object.entries(TOPIC_CONFIGS)) {
    assert.equal(topicConfigProblem(name, definition.fallback), null, name);
  }
});

Deno.test("a topic with nothing set has Kafka's defaults", () => {
  const config = new TopicConfig(new Map(), new Settings());
  const expected: [TopicConfigName, string][] = [
    ["cleanup.policy", "delete"],
    ["retention.ms", "604800000"],
    ["retention.bytes", "-1"],
    ["segment.bytes", "1073741824"],
    ["segment.ms", "604800000"],
    ["max.message.bytes", "1048588"],
    ["message.timestamp.type", "CreateTime"],
    ["message.timestamp.before.max.ms", "9223372036854775807"],
    ["message.timestamp.after.max.ms", "3600000"],
    ["min.insync.replicas", "1"],
    ["delete.retention.ms", "86400000"],
    ["flush.ms", "9223372036854775807"],
    ["compression.type", "producer"],
  ];
  for (const [name, value] of expected) assert.equal(config.text(name), value, name);
});

Deno.test("a topic's own value wins over the broker's, which wins over the default", () => {
  const settings = new Settings(
    new Map([["log.retention.hours", "1"], ["log.segment.bytes", "2097152"]]),
  );
  const config = new TopicConfig(new Map([["segment.bytes", "4194304"]]), settings);
  assert.equal(config.number("segment.bytes"), 4194304);
  assert.equal(config.number("retention.ms"), 3_600_000);
  const finer = new Settings(new Map([["log.retention.hours", "1"], ["log.retention.ms", "5000"]]));
  assert.equal(new TopicConfig(new Map(), finer).number("retention.ms"), 5000);
});

Deno.test("cleanup.policy may name both, neither, or something unheard of", () => {
  const both = new TopicConfig(new Map([["cleanup.policy", "compact, delete"]]), new Settings());
  assert.ok(both.isCompacted && both.isDeleted);
  const none = new TopicConfig(new Map([["cleanup.policy", ""]]), new Settings());
  assert.ok(!none.isCompacted && !none.isDeleted);
  assert.equal(
    topicConfigProblem("cleanup.policy", "delete,shred"),
    "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
  );
});

Deno.test("refusals read as Kafka's do", () => {
  assert.equal(
    topicConfigProblem("retention.mss", "1"),
    "Unknown topic config name: retention.mss",
  );
  assert.equal(
    topicConfigProblem("retention.ms", "soon"),
    "Invalid value soon for configuration retention.ms: Not a number of type LONG",
  );
  assert.equal(
    topicConfigProblem("retention.ms", "-2"),
    "Invalid value -2 for configuration retention.ms: Value must be at least -1",
  );
  assert.equal(
    topicConfigProblem("segment.bytes", "99999999999"),
    "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
  );
  assert.equal(
    topicConfigProblem("preallocate", "perhaps"),
    "Invalid value perhaps for configuration preallocate: Expected value to be either true or false",
  );
  assert.equal(
    topicConfigProblem("min.cleanable.dirty.ratio", "1.5"),
    "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
  );
  const refused: [string, string, string][] = [
    ["min.cleanable.dirty.ratio", "2147483648", "2.147483648E9"],
    ["min.cleanable.dirty.ratio", "-0.0005", "-5.0E-4"],
    ["min.cleanable.dirty.ratio", "+7", "7.0"],
    ["segment.bytes", " +7 ", "7"],
    ["retention.ms", " x ", " x "],
    ["compression.type", " x ", "x"],
    ["compression.gzip.level", "0", "0"],
    ["leader.replication.throttled.replicas", "0:1, x", "[0:1, x]"],
  ];
  for (const [name, value, shown] of refused) {
    const problem = topicConfigProblem(name, value);
    const start = `Invalid value ${shown} for configuration ${name}: `;
    assert.ok(problem?.startsWith(start), `${name}=${value}: ${problem}`);
  }
  assert.equal(topicConfigProblem("min.cleanable.dirty.ratio", "1e-3d"), null);
  assert.match(topicConfigProblem("min.cleanable.dirty.ratio", "0x0")!, /of type DOUBLE/);
  assert.equal(topicConfigProblem("compression.gzip.level", "-1"), null);
  assert.equal(topicConfigProblem("leader.replication.throttled.replicas", "*"), null);
  assert.equal(
    topicConfigProblem("cleanup.policy", "compact,,delete"),
    "Configuration 'cleanup.policy' values must not be empty.",
  );
  const several = new Map([["retention.ms", "soon"], ["num.io.threads", "1"], ["a", null], [
    "b",
    null,
  ]]);
  assert.equal(topicConfigsProblem(several), "Null value not supported for topic configs: a,b");
  several.delete("a");
  several.delete("b");
  assert.equal(topicConfigsProblem(several), "Unknown topic config name: num.io.threads");
  assert.match(
    topicConfigsProblem(
      new Map([["min.compaction.lag.ms", "10"], ["max.compaction.lag.ms", "5"]]),
    )!,
    /min\.compaction\.lag\.ms/,
  );
  assert.ok(!isTopicConfigName("toString"), "names of Object's own must not count");
});
