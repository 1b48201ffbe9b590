/**
 * Kafka's own command line tools against three brokers: what they print is what somebody who knows Kafka expects.
 *
 * All of them run in one process (`tools/Tools.java`), because each would take seconds to start.
 */

import { strict as assert } from "node:assert";
import { OWN_VERSIONS } from "../../src/cluster/logical_version.ts";
import { leaveOpen } from "../cli/open_transaction.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { runGregor } from "../../src/cli/testing.ts";
import { Program } from "../harness/program.ts";
import { CACHE, CLIENTS, flags, whyMissing } from "./clients.ts";

const DEADLINE_MS = 60_000;

/** What a tool printed, and its exit code. */
interface Printed {
  readonly text: string;
  readonly code: number;
}

/** The tools, in one process. */
class Tools implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: AsyncIterator<string>;
  readonly #bootstrap: string;
  #rest = "";

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap;
    const path = `${CACHE}tools/classes:${CACHE}tools/lib/*`;
    this.#child = new Deno.Command("java", {
      args: ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, "Tools"],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      signal: AbortSignal.timeout(DEADLINE_MS),
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  }

  /** Runs a tool with the cluster's addresses: `TopicCommand --list`. */
  async run(command: string, ...more: readonly string[]): Promise<Printed> {
    const [tool, ...args] = command.split(" ");
    const [mode, ...flags] = tool === "ClusterTool" ? args : ["", ...args];
    const words = [tool, mode, "--bootstrap-server", this.#bootstrap, ...flags, ...more];
    const line = words.filter((word) => word !== "").join("\t");
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    const lines: string[] = [];
    for (;;) {
      const printed = await this.#line();
      if (!printed.startsWith("|")) return { text: lines.join("\n"), code: Number(printed) };
      lines.push(printed.slice(1));
    }
  }

  /** The same, of a tool that must succeed. */
  async done(command: string, ...more: readonly string[]): Promise<string> {
    const { text, code } = await this.run(command, ...more);
    assert.equal(code, 0, `${command}\n${text}`);
    return text;
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#output.next();
      assert.ok(!done, "the tools ended");
      this.#rest += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#child.status;
  }
}

/** Asks again until it is so: nodes hear of what another one has done a moment later. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const lateMs = performance.now() + 20_000;
  while (!await isSo()) assert.ok(performance.now() < lateMs, `not in time: ${what}`);
}

const missing = whyMissing({ name: "tools" });

Deno.test({
  name: "Kafka's command line tools work on three brokers",
  ignore: missing !== null && Deno.env.get("CI") !== "true",
  fn: async (t) => {
    assert.equal(missing, null);
    await using cluster = await ThreeBrokers.start();
    await using tools = new Tools(cluster.bootstrap);

    await t.step("kafka-features", async () => {
      const described = await tools.done("FeatureCommand", "describe");
      const { max } = OWN_VERSIONS;
      const own =
        `SupportedMinVersion: 1\\s+SupportedMaxVersion: ${max}\\s+FinalizedVersionLevel: ${max}`;
      assert.match(described, new RegExp(`Feature: gregor\\.version\\s+${own}\\s`));
      assert.match(described, /Feature: group\.version\s.*FinalizedVersionLevel: 1/);
      assert.match(described, /Feature: transaction\.version\s.*FinalizedVersionLevel: 2/);
      assert.match(described, /Feature: metadata\.version\s.*FinalizedVersionLevel: 4\.3/);
      const upgrade = ["upgrade", "--feature"];
      assert.match(
        await tools.done("FeatureCommand", ...upgrade, `gregor.version=${max}`),
        new RegExp(`was upgraded to ${max}`),
      );
      const { text, code } = await tools.run("FeatureCommand", ...upgrade, "gregor.version=9");
      assert.equal(code, 1);
      assert.match(text, /Invalid update version 9 for feature gregor\.version/);
      assert.equal(
        (await tools.run("FeatureCommand", "downgrade", "--feature", "gregor.version=1")).code,
        1,
      );
    });

    await t.step("kafka-broker-api-versions", async () => {
      const printed = await tools.done("BrokerApiVersionsCommand");
      for (const key of [34, 35, 43, 45, 46, 55, 57, 60, 64, 68, 69, 75]) {
        const served = printed.split("\n").filter((line) => line.includes(`(${key}): `));
        assert.equal(served.length, 3, `API ${key}`);
        for (const line of served) assert.match(line, /usable/);
      }
    });

    await t.step("kafka-topics", async () => {
      const create = "TopicCommand --create --partitions 3 --replication-factor 3 --topic orders";
      assert.match(await tools.done(create), /Created topic orders/);
      assert.match((await tools.run(create)).text, /Topic 'orders' already exists/);
      await until("three replicas in sync", async () => {
        const described = await tools.done("TopicCommand --describe --topic orders");
        const rows = described.match(
          /Partition: \d\s+Leader: \d\s+Replicas: \d,\d,\d\s+Isr: \d,\d,\d/g,
        );
        return rows?.length === 3;
      });
      assert.equal(await tools.done("TopicCommand --list"), "orders");
      await tools.done("TopicCommand --alter --partitions 4 --topic orders");
      assert.equal(await tools.done("TopicCommand --describe --unavailable-partitions"), "");
    });

    await t.step("kafka-configs, of another broker than the one that is asked", async () => {
      const brokers = "ConfigCommand --entity-type brokers";
      const change = "--alter --add-config log.retention.ms=123456";
      for (const node of [0, 1, 2]) {
        await tools.done(`${brokers} --entity-name ${node} ${change}${node}`);
      }
      await until("each has its own", async () => {
        const described = await Promise.resolve(tools.done(`${brokers} --describe`));
        return [0, 1, 2].every((node) =>
          new RegExp(`log.retention.ms=123456${node} `).test(described)
        );
      });
      const topic = "ConfigCommand --entity-type topics --entity-name orders";
      await tools.done(`${topic} --alter --add-config retention.ms=5000`);
      await until(
        "the topic's",
        async () => (await tools.done(`${topic} --describe`)).includes("retention.ms=5000"),
      );
    });

    await t.step("kafka-log-dirs and kafka-reassign-partitions", async () => {
      const described = await tools.done("LogDirsCommand --describe --broker-list 1");
      const { brokers: [broker] } = JSON.parse(described.slice(described.indexOf("{"))) as {
        brokers: { logDirs: { logDir: string; error: null; partitions: unknown[] }[] }[];
      };
      const [{ logDir, error, partitions }] = broker!.logDirs as [
        { logDir: string; error: null; partitions: unknown[] },
      ];
      assert.equal(error, null);
      assert.equal(partitions.length, 4);

      const reassign = "reassign.ReassignPartitionsCommand";
      const file = await Deno.makeTempFile({ prefix: "reassign-" });
      const plan = async (replicas: number[], logDirs: string[]): Promise<string[]> => {
        const partition = { topic: "orders", partition: 0, replicas, log_dirs: logDirs };
        await Deno.writeTextFile(file, JSON.stringify({ version: 1, partitions: [partition] }));
        return ["--reassignment-json-file", file];
      };
      const finished = (words: RegExp, flags: readonly string[]) =>
        until("the end of a move", async () => {
          const printed = await tools.done(`${reassign} --verify`, ...flags);
          return words.test(printed);
        });
      try {
        const any = await plan([2, 1], ["any", "any"]);
        const throttled = await tools.done(`${reassign} --execute --throttle 1000000`, ...any);
        assert.match(throttled, /Successfully started partition reassignment for orders-0/);
        await finished(/Reassignment of partition orders-0 is completed/, any);
        assert.match(
          await tools.done(`${reassign} --list`),
          /No partition reassignments found|^Current partition reassignments:\s*$/,
        );
        const own = await plan([2, 1], ["any", logDir]);
        await tools.done(`${reassign} --execute`, ...own);
        await finished(/Reassignment of replica orders-0-1 completed/, own);
        const nowhere = await plan([2, 1], ["any", "/nowhere"]);
        const { text } = await tools.run(`${reassign} --execute`, ...nowhere);
        assert.match(text, /LogDirNotFoundException/);
      } finally {
        await Deno.remove(file);
      }
    });

    await t.step("kafka-leader-election", async () => {
      const all = "LeaderElectionCommand --all-topic-partitions --election-type";
      await until("preferred leaders", async () => {
        const { code, text } = await tools.run(`${all} preferred`);
        return code === 0 && !/could not be elected/.test(text);
      });
      const described = await tools.done("TopicCommand --describe --topic orders");
      for (const [, leader, first] of described.matchAll(/Leader: (\d)\s+Replicas: (\d)/g)) {
        assert.equal(leader, first, described);
      }
      assert.equal((await tools.run(`${all} unclean`)).code, 0);
    });

    await t.step("kafka-metadata-quorum", async () => {
      const status = await tools.done("MetadataQuorumCommand", "describe", "--status");
      assert.match(status, /LeaderId:\s+\d/);
      assert.match(status, /CurrentObservers:\s+\[\]/);
      const replicas = await tools.done("MetadataQuorumCommand", "describe", "--replication");
      assert.equal(replicas.match(/\bLeader\s*$/gm)?.length, 1);
      assert.equal(replicas.match(/\bFollower\s*$/gm)?.length, 2);
    });

    await t.step(
      "kafka-consumer-groups and kafka-groups, of a group of the new protocol",
      async () => {
        const member = CLIENTS.find((client) =>
          client.groupProtocols.includes("consumer") && whyMissing(client) === null
        );
        assert.ok(member !== undefined, "no client has the new protocol");
        const program = new Program([
          ...member.program("none"),
          "member",
          ...flags({
            brokers: cluster.bootstrap,
            topic: "orders",
            partitions: 4,
            group: "readers",
          }),
          ...flags({ protocol: "consumer", sessionMs: 6_000, baseMs: Date.now() }),
        ], () => {});
        const groups = "consumer.group.ConsumerGroupCommand --group readers";
        try {
          await until("a stable group", async () => {
            const { text } = await tools.run(`${groups} --describe --state`);
            return /readers\s+\S+\s+\(\d\)\s+uniform\s+Stable\s+1\s*$/m.test(text);
          });
          const members = await tools.done(`${groups} --describe --members --verbose`);
          assert.match(members, /CURRENT-EPOCH\s+CURRENT-ASSIGNMENT\s+TARGET-EPOCH/);
          assert.match(members, /orders:0,1,2,3/);
          const listed = await tools.done("GroupsCommand --list");
          assert.match(listed, /readers\s+Consumer\s+consumer/);
          const busy = await tools.run(`${groups} --delete`);
          assert.match(busy.text, /GroupNotEmptyException|not empty/);
          const own = await runGregor([
            "group",
            "describe",
            "readers",
            "--brokers",
            cluster.bootstrap,
          ]);
          assert.match(own.out, /state\s+Stable\s+type\s+consumer\s+assignor\s+uniform/);
          const ownList = await runGregor(["group", "list", "--brokers", cluster.bootstrap]);
          assert.match(ownList.out, /readers\s+Stable\s+consumer/);
        } finally {
          program.terminate();
          await program.exited;
        }
        const reset = `${groups} --topic orders --reset-offsets --to-earliest --execute`;
        await until("an empty group", async () => (await tools.run(reset)).code === 0);
        assert.match(await tools.done(`${groups} --describe`), /readers\s+orders\s+0\s+0\s+0\s+0/);
        assert.match(await tools.done(`${groups} --delete`), /was successful/);
      },
    );

    await t.step("kafka-configs, of a group", async () => {
      const group = "ConfigCommand --entity-type groups --entity-name readers";
      const name = "consumer.session.timeout.ms";
      await tools.done(`${group} --alter --add-config ${name}=50000`);
      await until("the group's", async () => {
        return (await tools.done(`${group} --describe`)).includes(`${name}=50000`);
      });
      const { text } = await tools.run(`${group} --alter --add-config ${name}=1`);
      assert.match(text, /must be greater than or equal to/);
    });

    await t.step("kafka-transactions", async () => {
      await leaveOpen(cluster.bootstrap.split(",")[0]!, "orders", 0, "payments");
      const listed = /payments\s+\d\s+\d+\s+Ongoing/;
      assert.match(await tools.done("TransactionsCommand list"), listed);
      const pattern = "--transactional-id-pattern";
      assert.match(await tools.done("TransactionsCommand list", pattern, "pay.*"), listed);
      assert.doesNotMatch(await tools.done("TransactionsCommand list", pattern, "pay"), listed);
      assert.doesNotMatch(
        await tools.done("TransactionsCommand list --duration-filter 600000"),
        listed,
      );
      const described = await tools.done(
        "TransactionsCommand describe --transactional-id payments",
      );
      assert.match(described, /payments\s+\d+\s+0\s+Ongoing\s+60000\s.*orders-0/);
      const place = "--topic orders --partition 0";
      const producers = await tools.done(`TransactionsCommand describe-producers ${place}`);
      const row = /^\d+\s+\d+\s+-?\d+\s+\d+\s+\d+\s+(\d+)\s*$/m;
      const [, startOffset] = row.exec(producers) ?? [];
      assert.ok(startOffset !== undefined, producers);
      const hanging = `TransactionsCommand find-hanging ${place} --max-transaction-timeout 1`;
      assert.doesNotMatch(await tools.done(hanging), /payments/);
      await tools.done(`TransactionsCommand abort ${place} --start-offset ${startOffset}`);
      const after = await tools.done(`TransactionsCommand describe-producers ${place}`);
      assert.doesNotMatch(after, row);
      await tools.done("TransactionsCommand forceTerminateTransaction --transactionalId payments");
      // Its producer is fenced, and has nothing open.
      assert.match(await tools.done("TransactionsCommand list"), /payments\s+\d\s+\d+\s+Empty/);
    });

    await t.step("kafka-cluster, while a broker is down", async () => {
      assert.match(await tools.done("ClusterTool cluster-id"), /Cluster ID: \S{22}/);
      await cluster.kill(2);
      await until("its state", async () => {
        const listed = await tools.done("ClusterTool list-endpoints --include-fenced-brokers");
        return /^2\s.*\sfenced/m.test(listed) && listed.match(/unfenced/g)?.length === 2;
      });
      assert.doesNotMatch(await tools.done("ClusterTool list-endpoints"), /^2\s/m);
      await until("its replicas", async () => {
        const printed = await tools.done("TopicCommand --describe --under-replicated-partitions");
        return printed.match(/Topic: orders/g)?.length === 4;
      });
      const { code, text } = await tools.run("ClusterTool unregister --id 2");
      assert.equal(code, 1, text);
      assert.match(text, /still has \d+ replica/);
    });
  },
});

/** Three brokers, one of which may be killed. */
class ThreeBrokers implements AsyncDisposable {
  readonly #cluster: LocalCluster;

  private constructor(cluster: LocalCluster) {
    this.#cluster = cluster;
  }

  static async start(): Promise<ThreeBrokers> {
    return new ThreeBrokers(await LocalCluster.start({ nodes: 3, memory: "64MiB" }));
  }

  get bootstrap(): string {
    return this.#cluster.bootstrap;
  }

  async kill(node: number): Promise<void> {
    await this.#cluster.brokers[node]!.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.dispose();
  }
}
