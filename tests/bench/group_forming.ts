/**
 * How long a group takes from its first member's request until every member has its partition, in both protocols.
 *
 *     deno run -A tests/bench/group_forming.ts [MEMBERS]
 *
 * All members ask at once, each over a connection of its own. The new protocol is asked again until all have what they
 * are to have, as members do that have given something up. The broker is one of development: a classic group does
 * not wait for more members.
 *
 * @module
 */

import { Connection } from "../../src/cli/client/connection.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CONSUMER_GROUP_HEARTBEAT,
  CREATE_TOPICS,
  FIND_COORDINATOR,
  JOIN_GROUP,
  SYNC_GROUP,
} from "../../src/wire/generated/apis.ts";
import { newConsumerGroupHeartbeatRequest } from "../../src/wire/generated/consumer_group_heartbeat_request.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newJoinGroupRequest } from "../../src/wire/generated/join_group_request.ts";
import { newSyncGroupRequest } from "../../src/wire/generated/sync_group_request.ts";
import { parseAddress, pause } from "../crash/link.ts";
import { Broker } from "../harness/broker.ts";

const TIMEOUT_MS = 60_000;
const ROUNDS_MAX = 200;
const ROUND_PAUSE_MS = 50;

/** Milliseconds. */
export interface Forming {
  /** Until every member is in. */
  readonly joinedMs: number;
  /** Until every member has one partition. */
  readonly assignedMs: number;
  readonly classicMs: number;
}

/** A group of each protocol, with as many partitions as members. */
export async function measureForming(members: number): Promise<Forming> {
  const broker = await Broker.start({
    cores: 1,
    flags: ["--mode=dev", "--set=offsets.topic.num.partitions=4"],
  });
  const connections: Connection[] = [];
  try {
    const open = async (): Promise<Connection> => {
      const address = parseAddress(broker.kafka);
      const connection = await Connection.open(address, { timeoutMs: TIMEOUT_MS });
      connections.push(connection);
      return connection;
    };
    const first = await open();
    const topic = newCreatableTopic({ name: "t", numPartitions: members, replicationFactor: 1 });
    await first.call(CREATE_TOPICS, newCreateTopicsRequest({ topics: [topic], timeoutMs: 30_000 }));
    await untilCoordinated(first, ["new", "classic"]);
    const each = () => Promise.all(Array.from({ length: members }, open));
    const newcomers = (await each()).map((connection, at) => new NewMember(connection, at));
    let begunMs = performance.now();
    await Promise.all(newcomers.map((member) => member.join()));
    const joinedMs = performance.now() - begunMs;
    for (let round = 0; newcomers.some(({ owned }) => owned !== 1); round++) {
      if (round === ROUNDS_MAX) throw new Error("Members do not get their partitions");
      await pause(ROUND_PAUSE_MS);
      await Promise.all(newcomers.map((member) => member.beat()));
    }
    const assignedMs = performance.now() - begunMs;
    const classics = await each();
    begunMs = performance.now();
    await Promise.all(classics.map(joinClassic));
    return { joinedMs, assignedMs, classicMs: performance.now() - begunMs };
  } finally {
    for (const connection of connections) connection.close();
    await broker.dispose();
  }
}

class NewMember {
  readonly #connection: Connection;
  readonly #memberId: string;
  #epoch = 0;
  #topicPartitions: { topicId: string; partitions: number[] }[] = [];

  constructor(connection: Connection, at: number) {
    this.#connection = connection;
    this.#memberId = `member-${at}`;
  }

  get owned(): number {
    return this.#topicPartitions.reduce((sum, { partitions }) => sum + partitions.length, 0);
  }

  async join(): Promise<void> {
    while (!await this.#send({ rebalanceTimeoutMs: 60_000, subscribedTopicNames: ["t"] }));
  }

  async beat(): Promise<void> {
    await this.#send({});
  }

  async #send(more: { rebalanceTimeoutMs?: number; subscribedTopicNames?: string[] }) {
    const request = newConsumerGroupHeartbeatRequest({
      groupId: "new",
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      topicPartitions: this.#topicPartitions,
      ...more,
    });
    const response = await this.#connection.call(CONSUMER_GROUP_HEARTBEAT, request);
    if (response.errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) return false;
    if (response.errorCode !== 0) throw new Error(`ConsumerGroupHeartbeat: ${response.errorCode}`);
    this.#epoch = response.memberEpoch;
    this.#topicPartitions = response.assignment?.topicPartitions ?? this.#topicPartitions;
    return true;
  }
}

/** Until it has its assignment: whoever comes late makes the others join again. */
async function joinClassic(connection: Connection): Promise<void> {
  let memberId = "";
  const again: number[] = [ErrorCode.MEMBER_ID_REQUIRED, ErrorCode.REBALANCE_IN_PROGRESS];
  for (;;) {
    const joined = await connection.call(
      JOIN_GROUP,
      newJoinGroupRequest({
        groupId: "classic",
        memberId,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: new Uint8Array(100) }],
        sessionTimeoutMs: TIMEOUT_MS,
        rebalanceTimeoutMs: TIMEOUT_MS,
      }),
    );
    memberId = joined.memberId;
    if (again.includes(joined.errorCode)) continue;
    if (joined.errorCode !== 0) throw new Error(`JoinGroup: ${joined.errorCode}`);
    const synced = await connection.call(
      SYNC_GROUP,
      newSyncGroupRequest({
        groupId: "classic",
        memberId,
        generationId: joined.generationId,
        protocolType: "consumer",
        protocolName: "range",
        assignments: joined.members.map((member) => ({
          memberId: member.memberId,
          assignment: new Uint8Array(20),
        })),
      }),
    );
    if (synced.errorCode === 0) return;
    if (!again.includes(synced.errorCode)) throw new Error(`SyncGroup: ${synced.errorCode}`);
  }
}

async function untilCoordinated(
  connection: Connection,
  coordinatorKeys: string[],
): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const request = newFindCoordinatorRequest({ coordinatorKeys });
    const { coordinators } = await connection.call(FIND_COORDINATOR, request);
    if (coordinators.every(({ errorCode }) => errorCode === 0)) return;
    await pause(ROUND_PAUSE_MS);
  }
  throw new Error("Groups get no coordinator");
}

if (import.meta.main) {
  const members = Number(Deno.args[0] ?? 500);
  const { joinedMs, assignedMs, classicMs } = await measureForming(members);
  console.log(`${members} members of the new protocol: all in after ${joinedMs.toFixed(0)} ms`);
  console.log(`... all have their partition after ${assignedMs.toFixed(0)} ms`);
  console.log(
    `${members} members of the classic protocol: formed after ${classicMs.toFixed(0)} ms`,
  );
}
