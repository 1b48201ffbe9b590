/**
 * Measures how long a group coordinator takes to load after many commits, with its snapshot and without.
 *
 *     deno run -A tests/bench/load_bench.ts [--commits 1000000] [--groups 100] [--partitions 100]
 *
 * The broker is killed, not stopped, and started again; what its log says of the load is printed. Then the
 * snapshots are removed, and the whole log is read.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { Connection } from "../../src/cli/client/connection.ts";
import {
  CREATE_TOPICS,
  FIND_COORDINATOR,
  OFFSET_COMMIT,
  OFFSET_FETCH,
} from "../../src/wire/generated/apis.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import { newOffsetFetchRequest } from "../../src/wire/generated/offset_fetch_request.ts";
import { Broker } from "../harness/broker.ts";
import { topicRequest } from "../sim/sim_requests.ts";

const IN_FLIGHT = 16;
/** The last commits come in a snapshot, too. */
const REST_MS = 3_000;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    commits: { type: "string", default: "1000000" },
    groups: { type: "string", default: "100" },
    partitions: { type: "string", default: "100" },
  },
});
const commits = Number(values.commits);
const groups = Number(values.groups);
const partitions = Number(values.partitions);

const broker = await Broker.start({
  cores: 1,
  memory: "256MiB",
  flags: ["--log-level", "debug", "--set", "offsets.topic.num.partitions=1"],
});
try {
  await commitAll();
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  await broker.kill();
  await broker.restart();
  report("with its snapshot", await loaded());
  await broker.kill();
  await Deno.remove(`${broker.dataDir}/snapshots`, { recursive: true });
  await broker.restart();
  report("without", await loaded());
} finally {
  await broker.dispose();
}

function connect(): Promise<Connection> {
  const [host, port] = broker.kafka.split(":");
  const address = { host: host!, port: Number(port) };
  return Connection.open(address, { clientId: "bench", timeoutMs: 60_000 });
}

async function commitAll(): Promise<void> {
  const connection = await connect();
  await connection.call(CREATE_TOPICS, topicRequest("t", partitions));
  await connection.call(
    FIND_COORDINATOR,
    newFindCoordinatorRequest({ coordinatorKeys: ["group-0"] }),
  );
  const requests = Math.ceil(commits / partitions);
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (sent < requests) {
      const at = sent++;
      const topic = {
        name: "t",
        topicId: "0".repeat(32),
        partitions: Array.from(
          { length: partitions },
          (_, partitionIndex) =>
            newOffsetCommitRequestPartition({ partitionIndex, committedOffset: at }),
        ),
      };
      const request = newOffsetCommitRequest({ groupId: `group-${at % groups}`, topics: [topic] });
      const response = await connection.call(OFFSET_COMMIT, request, { maxVersion: 8 });
      const { errorCode } = response.topics[0]!.partitions[0]!;
      if (errorCode !== 0) throw new Error(`a commit is refused: ${errorCode}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  connection.close();
}

/** The broker's line about the load, once it answers. */
async function loaded(): Promise<string> {
  const connection = await connect();
  for (;;) {
    const request = newOffsetFetchRequest({ groupId: "group-0", topics: null });
    const { errorCode, topics } = await connection.call(OFFSET_FETCH, request, { maxVersion: 7 });
    if (errorCode === 0 && topics.length > 0) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  connection.close();
  const line = broker.stderr.split("\n").findLast((each) =>
    each.includes("Loaded a state") && each.includes("__consumer_offsets")
  );
  return line ?? "the broker does not say how long it took";
}

function report(how: string, line: string): void {
  console.log(`${commits} commits, ${how}: ${line.replace(/^.*Loaded a state /, "")}`);
}
