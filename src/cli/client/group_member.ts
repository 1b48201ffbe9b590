/**
 * One member of a classic consumer group: joins, is assigned partitions, shows that it lives, leaves.
 *
 *     join ──► (leader: assign) ──► sync ──► member ──heartbeat──► member
 *      ▲                                       │ REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION,
 *      └───────────────────────────────────────┘ UNKNOWN_MEMBER_ID
 *
 * The eager protocol: on a rebalance all partitions are given up before joining again.
 *
 * @module
 */

import { Cursor } from "../../bytes/cursor.ts";
import { Writer } from "../../bytes/writer.ts";
import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP } from "../../wire/generated/apis.ts";
import {
  encodeConsumerProtocolAssignment,
  newConsumerProtocolAssignment,
  newTopicPartition,
} from "../../wire/generated/consumer_protocol_assignment.ts";
import {
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolSubscription,
  newConsumerProtocolSubscription,
} from "../../wire/generated/consumer_protocol_subscription.ts";
import { newHeartbeatRequest } from "../../wire/generated/heartbeat_request.ts";
import {
  newJoinGroupRequest,
  newJoinGroupRequestProtocol,
} from "../../wire/generated/join_group_request.ts";
import type { JoinGroupResponse } from "../../wire/generated/join_group_response.ts";
import {
  newLeaveGroupRequest,
  newMemberIdentity,
} from "../../wire/generated/leave_group_request.ts";
import {
  newSyncGroupRequest,
  newSyncGroupRequestAssignment,
} from "../../wire/generated/sync_group_request.ts";
import type { Cluster } from "./cluster.ts";
import type { Connection } from "./connection.ts";
import { type Committer, readAssignment, type TopicPartition } from "./groups.ts";
import { BrokerRefusal, brokerRefusal } from "./outcome.ts";
import { assignRange } from "./range_assignor.ts";

const PROTOCOL = "range";
const SESSION_TIMEOUT_MS = 10_000;
const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_INTERVAL_MS = 3_000;
/** Versions of the consumer protocol that every client reads. */
const SUBSCRIPTION_VERSION = 1;
const ASSIGNMENT_VERSION = 1;
/** First version that names the members that leave in a list. */
const LEAVE_GROUP_LIST = 3;

export class GroupMember {
  readonly #cluster: Cluster;
  readonly #group: string;
  readonly #topics: readonly string[];
  #connection: Connection | null = null;
  #memberId = "";
  #generation = -1;
  #heartbeat: ReturnType<typeof setInterval> | null = null;
  #mustRejoin = true;

  constructor(cluster: Cluster, group: string, topics: readonly string[]) {
    this.#cluster = cluster;
    this.#group = group;
    this.#topics = topics;
  }

  /** The group rebalances, or has forgotten this member: commit what was read, then {@linkcode join}. */
  get mustRejoin(): boolean {
    return this.#mustRejoin;
  }

  get committer(): Committer {
    return { generation: this.#generation, memberId: this.#memberId };
  }

  /** Joins and waits for an assignment. */
  async join(): Promise<TopicPartition[]> {
    this.#stopHeartbeat();
    const partitions = await this.#cluster.retrying(async () => {
      for (;;) {
        try {
          return await this.#joinOnce();
        } catch (error) {
          if (!(error instanceof BrokerRefusal) || !this.#isReasonToRejoin(error.errorCode)) {
            throw error;
          }
        }
      }
    });
    this.#mustRejoin = false;
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_INTERVAL_MS);
    return partitions;
  }

  /** The connection was lost: the coordinator is looked up again, and the group joined again. */
  forgetConnection(): void {
    this.#stopHeartbeat();
    this.#mustRejoin = true;
  }

  /** Leaves, so that the others need not wait for the session to run out. */
  async leave(): Promise<void> {
    this.#stopHeartbeat();
    if (this.#memberId === "" || this.#connection?.isOpen !== true) return;
    const isList = this.#connection.versionOf(LEAVE_GROUP) >= LEAVE_GROUP_LIST;
    const request = newLeaveGroupRequest({
      groupId: this.#group,
      ...(isList
        ? { members: [newMemberIdentity({ memberId: this.#memberId, reason: "consumer closed" })] }
        : { memberId: this.#memberId }),
    });
    await this.#connection.call(LEAVE_GROUP, request);
    this.#memberId = "";
  }

  async #joinOnce(): Promise<TopicPartition[]> {
    const { connection } = await this.#cluster.coordinator(this.#group);
    this.#connection = connection;
    const joined = await this.#sendJoin(connection);
    this.#memberId = joined.memberId;
    this.#generation = joined.generationId;
    const isLeader = joined.leader === joined.memberId && !joined.skipAssignment;
    const assignments = isLeader ? await this.#assign(joined) : new Map<string, Uint8Array>();
    const synced = await connection.call(
      SYNC_GROUP,
      newSyncGroupRequest({
        groupId: this.#group,
        generationId: this.#generation,
        memberId: this.#memberId,
        protocolType: "consumer",
        protocolName: joined.protocolName,
        assignments: [...assignments].map(([memberId, assignment]) =>
          newSyncGroupRequestAssignment({ memberId, assignment })
        ),
      }),
      { timeoutMs: REBALANCE_TIMEOUT_MS + this.#cluster.timeoutMs },
    );
    if (synced.errorCode !== 0) throw brokerRefusal(`join group ${this.#group}`, synced.errorCode);
    return readAssignment(synced.assignment);
  }

  async #sendJoin(connection: Connection): Promise<JoinGroupResponse> {
    const writer = new Writer();
    writer.int16(SUBSCRIPTION_VERSION);
    encodeConsumerProtocolSubscription(
      writer,
      SUBSCRIPTION_VERSION,
      newConsumerProtocolSubscription({ topics: [...this.#topics] }),
    );
    const response = await connection.call(
      JOIN_GROUP,
      newJoinGroupRequest({
        groupId: this.#group,
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
        memberId: this.#memberId,
        protocolType: "consumer",
        protocols: [newJoinGroupRequestProtocol({ name: PROTOCOL, metadata: writer.copyBytes() })],
      }),
      { timeoutMs: REBALANCE_TIMEOUT_MS + this.#cluster.timeoutMs },
    );
    if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.#memberId = response.memberId;
    if (response.errorCode !== 0) {
      throw brokerRefusal(`join group ${this.#group}`, response.errorCode);
    }
    return response;
  }

  /** As the group's leader: what every member gets, encoded. */
  async #assign(joined: JoinGroupResponse): Promise<Map<string, Uint8Array>> {
    const subscribers = joined.members.map((member) => {
      const cursor = Cursor.of(member.metadata);
      const version = Math.min(cursor.int16(), 3);
      const { topics } = decodeConsumerProtocolSubscription(cursor, version);
      return { memberId: member.memberId, topics: cursor.ok() ? topics : [] };
    });
    const names = [...new Set(subscribers.flatMap((one) => one.topics))];
    const { topics } = await this.#cluster.places(names);
    const counts = new Map(topics.map((topic) => [topic.name, topic.partitions.length]));
    const encoded = new Map<string, Uint8Array>();
    for (const [memberId, partitions] of assignRange(subscribers, counts)) {
      const byTopic = Map.groupBy(partitions, (one) => one.topic);
      const writer = new Writer();
      writer.int16(ASSIGNMENT_VERSION);
      encodeConsumerProtocolAssignment(
        writer,
        ASSIGNMENT_VERSION,
        newConsumerProtocolAssignment({
          assignedPartitions: [...byTopic].map(([topic, ones]) =>
            newTopicPartition({ topic, partitions: ones.map((one) => one.partition) })
          ),
        }),
      );
      encoded.set(memberId, writer.copyBytes());
    }
    return encoded;
  }

  /** The next {@linkcode join} acts upon a heartbeat's result, and upon a lost coordinator. */
  async #beat(): Promise<void> {
    const request = newHeartbeatRequest({
      groupId: this.#group,
      generationId: this.#generation,
      memberId: this.#memberId,
    });
    try {
      const { errorCode } = await this.#connection!.call(HEARTBEAT, request);
      if (errorCode === 0) return;
      this.#isReasonToRejoin(errorCode);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    this.#stopHeartbeat();
    this.#mustRejoin = true;
  }

  /** Forgets the member id or the generation where the coordinator has. */
  #isReasonToRejoin(errorCode: number): boolean {
    switch (errorCode) {
      case ErrorCode.UNKNOWN_MEMBER_ID:
        this.#memberId = "";
        this.#generation = -1;
        return true;
      case ErrorCode.ILLEGAL_GENERATION:
        this.#generation = -1;
        return true;
      case ErrorCode.MEMBER_ID_REQUIRED:
      case ErrorCode.REBALANCE_IN_PROGRESS:
        return true;
      default:
        return errorInfo(errorCode).retriable && errorCode === ErrorCode.NOT_COORDINATOR;
    }
  }

  #stopHeartbeat(): void {
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    this.#heartbeat = null;
  }
}
