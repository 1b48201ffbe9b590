import { strict as assert } from "node:assert";
import { isSettingName, settingProblem, SETTINGS, Settings, suggestSetting } from "./settings.ts";

Deno.test("every default of a setting passes its own check", () => {
  for (const [name, definition] of Object.entries(SETTINGS)) {
    if (definition.fallback === null) continue;
    assert.ok(isSettingName(name));
    assert.equal(settingProblem(name, definition.fallback), null, name);
  }
});

Deno.test("Settings gives what was set, else Kafka's default", () => {
  const settings = new Settings(new Map([["num.partitions", "6"]]));
  assert.equal(settings.number("num.partitions"), 6);
  assert.equal(settings.number("offsets.topic.num.partitions"), 50);
  assert.equal(settings.number("message.max.bytes"), 1048588);
  assert.equal(settings.boolean("auto.create.topics.enable"), true);
  assert.equal(settings.text("broker.rack"), null);
  settings.replace(new Map([["num.partitions", "7"]]));
  assert.equal(settings.number("num.partitions"), 7);
});

Deno.test("retention takes the finest of ms, minutes and hours", () => {
  const retention = (given: [string, string][]) => new Settings(new Map(given)).logRetentionMs();
  assert.equal(retention([]), 7 * 86_400_000);
  assert.equal(retention([["log.retention.hours", "-1"]]), -1);
  assert.equal(retention([["log.retention.ms", "-3"]]), -1);
  assert.match(settingProblem("log.retention.hours", "0")!, /must be unlimited/);
  assert.equal(retention([["log.retention.hours", "2"], ["log.retention.minutes", "3"]]), 180_000);
  assert.equal(retention([["log.retention.minutes", "3"], ["log.retention.ms", "4"]]), 4);
});

Deno.test("suggestSetting() finds what was meant, and nothing for noise", () => {
  assert.equal(suggestSetting("log.retension.ms"), "log.retention.ms");
  assert.equal(suggestSetting("xyzzy"), null);
  assert.ok(!isSettingName("constructor"));
});
