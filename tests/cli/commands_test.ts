/**
 * The command line against a running broker: every command that talks to a cluster, and `check` on what
 * the broker leaves behind.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { type Ran, runGregor, type RunOptions } from "../../src/cli/testing.ts";
import { Broker } from "../harness/broker.ts";
import { leaveOpen } from "./open_transaction.ts";

Deno.test("the commands do what they say, on a broker", async (test) => {
  await using broker = await Broker.start({ cores: 1, memory: "256MiB", flags: ["--mode=dev"] });
  const gregor = (line: string, options: RunOptions = {}): Promise<Ran> =>
    runGregor(line.split(" "), { ...options, env: { GREGOR_BROKERS: broker.kafka } });
  const good = async (line: string, options: RunOptions = {}): Promise<string> => {
    const ran = await gregor(line, options);
    assert.equal(ran.code, 0, `${line}: ${ran.remarks}`);
    return ran.out;
  };

  await test.step("topics are made, shown, altered and refused", async () => {
    assert.match(await good("topic create orders --partitions 3"), /^orders +created +3 +1$/m);
    const again = await gregor("topic create orders");
    assert.equal(again.code, 1);
    assert.match(again.remarks, /TOPIC_ALREADY_EXISTS/);
    assert.match(await good("topic create orders --if-not-exists"), /^orders +exists/m);
    await good("topic alter orders --partitions 4 --config retention.ms=1h");
    const [topic] = JSON.parse(await good("topic describe orders --format json"));
    assert.equal(topic.partitions.length, 4);
    const retention = topic.configs.find((one: { name: string }) => one.name === "retention.ms");
    assert.deepEqual([retention.value, retention.source], ["3600000", "topic"]);
    const bad = await gregor("topic create bad --config retention.ms=soon");
    assert.match(bad.remarks, /Invalid value soon for configuration retention.ms/);
  });

  await test.step("what is produced is consumed, in each codec", async () => {
    for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
      const lines = Array.from({ length: 500 }, (_, i) => `key${i % 7}:${codec} line ${i}`);
      await good(`topic create codec-${codec}`);
      await good(`produce codec-${codec} --key-separator : --codec ${codec}`, {
        stdin: lines.join("\n"),
      });
      const read = await good(`consume codec-${codec} --until-end --format %k:%v`);
      assert.deepEqual(read.trimEnd().split("\n"), lines);
    }
  });

  await test.step("a group continues where it stopped, seeks, and is deleted", async () => {
    await good("produce numbers --acks 1", { stdin: "1\n2\n3\n4\n5\n" });
    assert.equal(await good("consume numbers --group g --count 2"), "1\n2\n");
    assert.equal(await good("consume numbers --group g --count 1"), "3\n");
    const [group] = JSON.parse(await good("group describe g --format json"));
    assert.deepEqual([group.state, group.progress[0].committed, group.progress[0].lag], [
      "Empty",
      3,
      2,
    ]);
    await good("group seek g --to start");
    assert.equal(await good("consume numbers --group g --count 1"), "1\n");
    assert.match(await good("group list"), /^g +Empty +classic$/m);
    await good("group delete g");
    assert.equal((await gregor("group describe g")).code, 1);
  });

  await test.step("reading begins where it is asked to", async () => {
    await good("topic create days --partitions 1");
    await good("produce days --quiet", { stdin: "1\n2\n3\n" });
    const from = (where: string) => good(`consume days --until-end --offset ${where}`);
    assert.equal(await from("-2"), "2\n3\n");
    assert.equal(await from("-9"), "1\n2\n3\n");
    assert.equal(await from("@1h"), "1\n2\n3\n");
    assert.equal(await from("@2100-01-01T00:00:00Z"), "");
    assert.equal(await from("@2020-01-01"), "1\n2\n3\n");
    assert.match((await gregor("consume days --offset yesterday")).remarks, /expected start, end/);
  });

  await test.step("a transaction is written, shown and ended", async () => {
    await good("topic create ledger --partitions 1");
    await good("produce ledger --transactional-id import --quiet", { stdin: "1\n2\n" });
    const committed = "consume ledger --until-end --read-committed --offset start";
    assert.equal(await good(committed), "1\n2\n");
    assert.match(await good("txn list"), /^import +CompleteCommit +\d+ +0$/m);
    for (
      const [id, abort] of [["left", "txn abort left"], ["lost", "txn abort --hanging ledger/0"]]
    ) {
      const before = await good(committed);
      await leaveOpen(broker.kafka, "ledger", 0, id!);
      assert.equal(await good(committed), before);
      assert.match(await good("txn list --state Ongoing"), new RegExp(`^${id} +Ongoing`, "m"));
      const open = JSON.parse(await good(`txn describe ${id} --format json`));
      assert.deepEqual(open[0].partitions, [{ topic: "ledger", partition: 0 }]);
      await good(abort!);
      await good("produce ledger --quiet", { stdin: `behind ${id}\n` });
      assert.equal(await good(committed), `${before}behind ${id}\n`);
    }
    assert.match((await gregor("txn abort --hanging ledger/0")).remarks, /no transaction is open/);
    assert.match((await gregor("txn describe nobody")).remarks, /TRANSACTIONAL_ID_NOT_FOUND/);
    assert.equal((await gregor("txn abort")).code, 64);
  });

  await test.step("every name of a command is tried, and each is reported", async () => {
    await good("topic create first");
    const made = await gregor("topic create first second bad/name third");
    assert.equal(made.code, 1);
    assert.match(made.out, /^second +created/m);
    assert.match(made.out, /^third +created/m);
    assert.match(made.remarks, /create topic first.*TOPIC_ALREADY_EXISTS/);
    assert.match(made.remarks, /create topic bad\/name.*INVALID_TOPIC_EXCEPTION/);
    const shown = await gregor("topic describe nowhere second");
    assert.equal(shown.code, 1);
    assert.match(shown.out, /^topic +second$/m);
    assert.match(shown.remarks, /nowhere.*UNKNOWN_TOPIC_OR_PARTITION/);
    const gone = await gregor("topic delete first nowhere second third");
    assert.equal(gone.code, 1);
    for (const name of ["first", "second", "third"]) {
      assert.match(gone.remarks, new RegExp(`Topic ${name} deleted`));
    }
    assert.match(gone.remarks, /delete topic nowhere/);
    const groups = await gregor("group describe one two");
    assert.match(groups.remarks, /one[^]*two/);
  });

  await test.step("a misspelt topic is not made by reading it", async () => {
    const ran = await gregor("consume numbres --until-end");
    assert.equal(ran.code, 1);
    assert.match(ran.remarks, /there is no topic numbres; nearest is numbers/);
    assert.ok(!(await good("topic list")).includes("numbres"));
  });

  await test.step("an offset that no partition has is said to be none", async () => {
    const beyond = await gregor("consume numbers --offset 50 --until-end");
    assert.deepEqual([beyond.code, beyond.out], [0, ""]);
    assert.match(beyond.remarks, /numbers\/0 ends at offset 5/);
    assert.equal(await good("consume numbers --offset 3 --until-end"), "4\n5\n");
  });

  await test.step("a topic is trimmed and deleted", async () => {
    await good("topic trim numbers --offset 4");
    assert.equal(await good("consume numbers --until-end"), "5\n");
    const before = await gregor("consume numbers --offset 1 --until-end");
    assert.match(before.remarks, /numbers\/0 begins at offset 4/);
    assert.equal(before.out, "5\n");
    await good("topic delete numbers");
    assert.equal((await gregor("topic describe numbers")).code, 1);
  });

  await test.step("the cluster describes itself, and takes settings", async () => {
    const info = JSON.parse(await good("cluster info --format json"));
    assert.equal(info.nodes[0].address, broker.kafka);
    assert.match(await good("cluster health"), /^health +good$/m);
    await good("cluster config --set log.retention.ms=3d");
    assert.match(await good("cluster config"), /^log\.retention\.ms +259200000 +cluster$/m);
    await good("cluster config --unset log.retention.ms");
    assert.ok(!(await good("cluster config")).includes("log.retention.ms"));
  });

  await test.step("bench writes, reads, and reports", async () => {
    const flags = "--duration 500ms --warmup 0 --size 100 --format json";
    const wrote = JSON.parse(await good(`bench --idempotent --connections 2 ${flags}`));
    assert.ok(wrote.records > 0);
    assert.deepEqual(wrote.errors, {});
    assert.ok(wrote.latencyMs.p50 <= wrote.latencyMs.p99, "percentiles out of order");
    const read = JSON.parse(await good(`bench consume --delete ${flags}`));
    assert.ok(read.records > 0);
  });

  await test.step("check wants the broker stopped, then finds its files sound", async () => {
    const running = await runGregor(["check", "--data-dir", broker.dataDir]);
    assert.equal(running.code, 73, running.remarks);
    assert.match(running.remarks, /a broker runs in/);
    await broker.stop();
    const checked = await runGregor(["check", "--data-dir", broker.dataDir, "--format", "json"]);
    assert.equal(checked.code, 0, checked.out);
    assert.ok(JSON.parse(checked.out).batches > 0);
  });
});
