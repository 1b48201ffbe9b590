/**
 * A coordinator under test: its log in an array, its time in a variable, its clients in a few words.
 *
 * Appends commit when the test says so (at once, unless it holds them back). Every answer is recorded;
 * {@linkcode Pending.get} fails a test that looks at an answer that is not there, and
 * {@linkcode TestCoordinator.assertNothingForgotten} one that lost a request.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { newHeartbeatRequest } from "../wire/generated/heartbeat_request.ts";
import type { HeartbeatResponse } from "../wire/generated/heartbeat_response.ts";
import { newJoinGroupRequest } from "../wire/generated/join_group_request.ts";
import type { JoinGroupResponse } from "../wire/generated/join_group_response.ts";
import { newLeaveGroupRequest } from "../wire/generated/leave_group_request.ts";
import type { LeaveGroupResponse } from "../wire/generated/leave_group_response.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
  type OffsetCommitRequest,
} from "../wire/generated/offset_commit_request.ts";
import type { OffsetCommitResponse } from "../wire/generated/offset_commit_response.ts";
import {
  newOffsetFetchRequestGroup,
  newOffsetFetchRequestTopics,
} from "../wire/generated/offset_fetch_request.ts";
import { newSyncGroupRequest } from "../wire/generated/sync_group_request.ts";
import type { SyncGroupResponse } from "../wire/generated/sync_group_response.ts";
import { DEFAULT_GROUP_CONFIG, type GroupConfig } from "./config.ts";
import type { GroupContext } from "./context.ts";
import { TestWorld } from "./consumer/test_world.ts";
import { GroupCoordinator } from "./coordinator.ts";
import type { Group } from "./group.ts";
import type { CoordinatorLog, RecordsProducer } from "./group_table.ts";
import type { Respond } from "./member.ts";
import type { GroupMetadata, GroupRecord } from "./records.ts";

const text = new TextEncoder();

/** A request and, once it is there, its answer. */
export class Pending<Response> {
  #response: Response | null = null;
  #what: string;

  constructor(what: string) {
    this.#what = what;
  }

  readonly respond: Respond<Response> = (response) => {
    assert(this.#response === null, `${this.#what} was answered twice`);
    this.#response = response;
  };

  get answered(): boolean {
    return this.#response !== null;
  }

  get(): Response {
    assert(this.#response !== null, `${this.#what} is not answered`);
    return this.#response;
  }
}

/** The offsets partition, in an array. */
export class TestLog implements CoordinatorLog {
  readonly records: GroupRecord[] = [];
  /** Keeps appends back until {@linkcode TestLog.release}. */
  held = false;
  /** Error for the appends that come next, 0: none. */
  failWith = 0;
  coordinator: GroupCoordinator | null = null;
  #waiting: {
    records: readonly GroupRecord[];
    done: (errorCode: number) => void;
    producer: RecordsProducer | null;
  }[] = [];

  append(
    records: readonly GroupRecord[],
    done: (errorCode: number) => void,
    producer: RecordsProducer | null = null,
  ): void {
    this.#waiting.push({ records, done, producer });
    if (!this.held) this.release();
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Commits (or fails) up to `limit` of what was held back. */
  release(limit: number = Infinity): void {
    for (let i = 0; i < limit; i++) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (this.failWith === 0) {
        for (const record of next.records) {
          const { key, value } = record;
          if (next.producer !== null) {
            this.coordinator!.replayPending(next.producer.producerId, key, value);
            continue;
          }
          this.records.push(record);
          this.coordinator!.replay(key, value);
        }
      }
      next.done(this.failWith);
    }
  }
}

export interface JoinWords {
  readonly group?: string;
  readonly memberId?: string;
  readonly instanceId?: string | null;
  readonly clientId?: string | null;
  readonly version?: number;
  readonly type?: string;
  /** Name to metadata, in order of preference. */
  readonly protocols?: Readonly<Record<string, string | Uint8Array>>;
  readonly sessionMs?: number;
  readonly rebalanceMs?: number;
}

export const GROUP = "orders";

export class TestCoordinator {
  readonly log = new TestLog();
  readonly world = new TestWorld();
  /** What was told for people. */
  readonly events: string[] = [];
  readonly config: GroupConfig;
  coordinator: GroupCoordinator;
  nowMs = 1_000;
  #seed: number;
  #requests: Pending<unknown>[] = [];

  constructor(config: Partial<GroupConfig> = {}, seed: number = 1) {
    this.config = { ...DEFAULT_GROUP_CONFIG, initialRebalanceDelayMs: 0, ...config };
    this.#seed = seed;
    this.coordinator = this.create();
    this.coordinator.loaded(this.nowMs, this.wallMs);
  }

  /** Another coordinator over the same log, still loading, with everything replayed. */
  create(): GroupCoordinator {
    const random = new Xoshiro128(this.#seed++);
    const coordinator = new GroupCoordinator({
      config: this.config,
      random,
      log: this.log,
      world: this.world,
      onGroup: (message) => this.events.push(message),
    });
    this.log.coordinator = coordinator;
    for (const { key, value } of this.log.records) coordinator.replay(key, value);
    return coordinator;
  }

  /** The coordinator ends and another one takes over. */
  restart(): void {
    this.coordinator.unload();
    this.coordinator = this.create();
    this.coordinator.loaded(this.nowMs, this.wallMs);
  }

  get wallMs(): number {
    return 1_700_000_000_000 + this.nowMs;
  }

  context(version: number, clientId: string | null = "client"): GroupContext {
    const { nowMs, wallMs } = this;
    return { version, clientId, clientHost: "/127.0.0.1", nowMs, wallMs };
  }

  group(groupId: string = GROUP): Group {
    const group = this.coordinator.table.groups.get(groupId);
    assert(group !== undefined, `there is no group ${groupId}`);
    return group;
  }

  state(groupId: string = GROUP): string {
    return this.coordinator.table.groups.get(groupId)?.state ?? "none";
  }

  /** Lets time pass, firing what is due on the way. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const deadlineMs = this.coordinator.nextDeadlineMs();
      if (deadlineMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, deadlineMs);
      this.coordinator.tick(this.nowMs, this.wallMs);
    }
    this.nowMs = endMs;
  }

  pending<Response>(what: string): Pending<Response> {
    const pending = new Pending<Response>(what);
    this.#requests.push(pending as Pending<unknown>);
    return pending;
  }

  assertNothingForgotten(): void {
    for (const request of this.#requests) request.get();
  }

  join(words: JoinWords = {}): Pending<JoinGroupResponse> {
    const version = words.version ?? 9;
    const pending = this.pending<JoinGroupResponse>(`JoinGroup of ${words.memberId ?? "nobody"}`);
    const protocols = Object.entries(words.protocols ?? { range: "r" }).map(([name, metadata]) => ({
      name,
      metadata: typeof metadata === "string" ? text.encode(metadata) : metadata,
    }));
    const request = newJoinGroupRequest({
      groupId: words.group ?? GROUP,
      memberId: words.memberId ?? "",
      groupInstanceId: words.instanceId ?? null,
      protocolType: words.type ?? "consumer",
      protocols,
      sessionTimeoutMs: words.sessionMs ?? 10_000,
      rebalanceTimeoutMs: words.rebalanceMs ?? 60_000,
    });
    const context = this.context(version, words.clientId === undefined ? "client" : words.clientId);
    this.coordinator.joinGroup(context, request, pending.respond);
    return pending;
  }

  /** A dynamic member that gets its id and returns with it. */
  joinDynamic(words: JoinWords = {}): { memberId: string; join: Pending<JoinGroupResponse> } {
    const { memberId } = this.join(words).get();
    return { memberId, join: this.join({ ...words, memberId }) };
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Readonly<Record<string, string>> = {},
    more: { instanceId?: string; protocolType?: string; protocolName?: string } = {},
  ): Pending<SyncGroupResponse> {
    const bytes = new Map(
      Object.entries(assignments).map(([id, assignment]) => [id, text.encode(assignment)]),
    );
    return this.syncBytes(memberId, generationId, bytes, more);
  }

  syncBytes(
    memberId: string,
    generationId: number,
    assignments: ReadonlyMap<string, Uint8Array>,
    more: { instanceId?: string; protocolType?: string; protocolName?: string } = {},
  ): Pending<SyncGroupResponse> {
    const pending = this.pending<SyncGroupResponse>(`SyncGroup of ${memberId}`);
    const request = newSyncGroupRequest({
      groupId: GROUP,
      memberId,
      generationId,
      groupInstanceId: more.instanceId ?? null,
      protocolType: more.protocolType ?? null,
      protocolName: more.protocolName ?? null,
      assignments: [...assignments].map(([id, assignment]) => ({ memberId: id, assignment })),
    });
    this.coordinator.syncGroup(this.context(5), request, pending.respond);
    return pending;
  }

  heartbeat(memberId: string, generationId: number, instanceId: string | null = null): number {
    return this.beating(memberId, generationId, instanceId).get().errorCode;
  }

  beating(
    memberId: string,
    generationId: number,
    instanceId: string | null = null,
  ): Pending<HeartbeatResponse> {
    const pending = this.pending<HeartbeatResponse>(`Heartbeat of ${memberId}`);
    const request = newHeartbeatRequest({
      groupId: GROUP,
      memberId,
      generationId,
      groupInstanceId: instanceId,
    });
    this.coordinator.heartbeat(this.context(4), request, pending.respond);
    return pending;
  }

  leave(...members: { memberId?: string; instanceId?: string }[]): LeaveGroupResponse {
    return this.leaving(...members).get();
  }

  leaving(
    ...members: { memberId?: string; instanceId?: string }[]
  ): Pending<LeaveGroupResponse> {
    const pending = this.pending<LeaveGroupResponse>("LeaveGroup");
    const request = newLeaveGroupRequest({
      groupId: GROUP,
      members: members.map(({ memberId, instanceId }) => ({
        memberId: memberId ?? "",
        groupInstanceId: instanceId ?? null,
        reason: null,
      })),
    });
    this.coordinator.leaveGroup(this.context(5), request, pending.respond);
    return pending;
  }

  commit(
    offsets: Readonly<Record<string, readonly number[]>>,
    more: Partial<OffsetCommitRequest> & { metadata?: string; version?: number } = {},
  ): Pending<OffsetCommitResponse> {
    const pending = this.pending<OffsetCommitResponse>("OffsetCommit");
    const { metadata, version, ...fields } = more;
    const request = newOffsetCommitRequest({
      groupId: GROUP,
      topics: Object.entries(offsets).map(([name, list]) =>
        newOffsetCommitRequestTopic({
          name,
          partitions: list.map((committedOffset, partitionIndex) =>
            newOffsetCommitRequestPartition({
              partitionIndex,
              committedOffset,
              committedMetadata: metadata ?? "",
            })
          ),
        })
      ),
      ...fields,
    });
    this.coordinator.offsetCommit(this.context(version ?? 9), request, pending.respond);
    return pending;
  }

  /** Commits and returns the error of the first partition. */
  commitError(...args: Parameters<TestCoordinator["commit"]>): number {
    return this.commit(...args).get().topics[0]!.partitions[0]!.errorCode;
  }

  /** The committed offset of a partition, -1 for none. */
  committed(topic: string, partition: number, groupId: string = GROUP): number {
    const response = this.coordinator.offsetFetch(
      this.context(8),
      newOffsetFetchRequestGroup({
        groupId,
        topics: [newOffsetFetchRequestTopics({ name: topic, partitionIndexes: [partition] })],
      }),
    );
    assert(response.errorCode === 0, "OffsetFetch failed");
    return response.topics[0]!.partitions[0]!.committedOffset;
  }

  /** A stable group of `count` dynamic members; the first one leads and has assigned "a0", "a1", ... */
  stable(count: number, words: JoinWords = {}): { ids: string[]; generation: number } {
    const joins = Array.from({ length: count }, () => this.joinDynamic(words));
    this.advance(0);
    const ids = joins.map((joined) => joined.memberId);
    const leader = joins[0]!.join.get();
    assert(leader.leader === ids[0], "the first member does not lead");
    const plan = Object.fromEntries(ids.map((id, at) => [id, `a${at}`]));
    const syncs = ids.map((id, at) => this.sync(id, leader.generationId, at === 0 ? plan : {}));
    for (const [at, sync] of syncs.entries()) {
      assert(decode(sync.get().assignment) === `a${at}`, "a member got another assignment");
    }
    return { ids, generation: leader.generationId };
  }
}

export function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The written part of a coordinator, in a form that can be compared. */
export function writtenState(coordinator: GroupCoordinator): unknown {
  const groups: [string, GroupMetadata | null, unknown][] = [];
  for (const group of coordinator.table.groups.values()) {
    const offsets = [...group.offsets.topics()].map(([topic, partitions]) => [
      topic,
      [...partitions].sort(([a], [b]) => a - b),
    ]).sort();
    if (group.metadata !== null || offsets.length > 0) {
      groups.push([group.groupId, group.metadata, offsets]);
    }
  }
  return groups.sort(([a], [b]) => (a < b ? -1 : 1));
}
