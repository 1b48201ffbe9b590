/**
 * Members that come, go, fall silent and come back at random, over a log that is slow, fails and changes
 * hands. Whatever happens:
 *
 * - a group's generation never goes back while it exists at one coordinator;
 * - exactly one member of a generation gets the list of members, and it is the leader;
 * - who is given an assignment is given what that generation's leader sent for it;
 * - an acknowledged commit is what readers get, also after a restart, until the group is deleted;
 * - a coordinator that replays the log has the written state of the one that wrote it;
 * - everybody is answered once, and when all fall silent, the group ends up empty.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { DeletableGroupResult } from "../wire/generated/delete_groups_response.ts";
import type { JoinGroupResponse } from "../wire/generated/join_group_response.ts";
import type { OffsetCommitResponse } from "../wire/generated/offset_commit_response.ts";
import type { SyncGroupResponse } from "../wire/generated/sync_group_response.ts";
import type { Group } from "./group.ts";
import { decode, GROUP, type Pending, TestCoordinator, writtenState } from "./test_coordinator.ts";

const RUNS = 100;
const RUNS_PER_TEST = 20;
const STEPS = 500;
const CLIENTS_MAX = 6;
const TOPICS = ["t", "u"];
const APPEND_ERRORS = [
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.MESSAGE_TOO_LARGE,
];

interface Client {
  readonly instanceId: string | null;
  memberId: string;
  generation: number;
  synced: boolean;
  /** The members that it has to assign, when it leads. */
  plan: Record<string, string> | null;
  join: Pending<JoinGroupResponse> | null;
  sync: { readonly generation: number; readonly pending: Pending<SyncGroupResponse> } | null;
}

class Run {
  readonly test: TestCoordinator;
  readonly random: Xoshiro128;
  readonly clients: Client[] = [];
  /** Which member got the list of members of a generation. */
  leaders = new Map<number, string>();
  /** The round of assigning whose result members of a generation were given. */
  rounds = new Map<number, string>();
  readonly acknowledged = new Map<string, number>();
  commits: { key: string; offset: number; pending: Pending<OffsetCommitResponse> }[] = [];
  group: Group | null = null;
  generation = 0;
  round = 0;
  synced = 0;

  constructor(seed: number) {
    this.test = new TestCoordinator({ initialRebalanceDelayMs: seed % 2 === 0 ? 0 : 3_000 }, seed);
    this.random = new Xoshiro128(seed);
  }

  chance(percent: number): boolean {
    return this.random.nextBelow(100) < percent;
  }

  step(): void {
    this.test.log.failWith = this.chance(5) ? this.pick(APPEND_ERRORS) : 0;
    this.act(this.random.nextBelow(100));
    for (let i = 0; i < 2 && this.clients.length > 0; i++) this.goOn(this.pick(this.clients));
    this.test.log.failWith = 0;
    this.settle();
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.nextBelow(list.length)]!;
  }

  act(die: number): void {
    const { test } = this;
    if (die < 10) {
      if (this.clients.length < CLIENTS_MAX) this.addClient();
    } else if (die < 24) test.advance(this.random.nextBelow(this.chance(10) ? 12_000 : 1_500));
    else if (die < 26) test.log.held = true;
    else if (die < 32) this.releaseLog();
    else if (die < 33) this.restart();
    else if (die < 37) this.commit("", -1);
    else if (die < 38) this.remove();
    else if (this.clients.length > 0) {
      const client = this.pick(this.clients);
      if (this.chance(85)) this.goOn(client);
      else this.stray(client);
    }
  }

  addClient(): void {
    const instanceId = this.chance(40) ? `static-${this.random.nextBelow(2)}` : null;
    const fresh: Client = {
      instanceId,
      memberId: "",
      generation: -1,
      synced: false,
      plan: null,
      join: null,
      sync: null,
    };
    this.clients.push(fresh);
    this.join(fresh);
  }

  /** What a client does that follows the protocol. */
  goOn(client: Client): void {
    const { memberId, generation, instanceId } = client;
    if (client.join !== null || client.sync !== null) return;
    if (generation < 0) return this.join(client);
    if (!client.synced) return this.sync(client);
    if (this.chance(40)) return this.commit(memberId, generation);
    const errorCode = this.test.heartbeat(memberId, generation, instanceId);
    if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) this.join(client);
    else if (errorCode !== ErrorCode.NONE) this.forget(client, errorCode);
  }

  /** What goes wrong: it leaves, stops without a word, or does something at the wrong time. */
  stray(client: Client): void {
    const { memberId, instanceId } = client;
    const isParked = client.join !== null || client.sync !== null;
    const die = this.random.nextBelow(5);
    if (die === 0) this.commit(memberId, client.generation - 1);
    // Also while its last JoinGroup is parked: it may have lost the connection.
    if (die === 1 && memberId !== "") this.join(client);
    if (isParked || die < 2) return;
    if (die === 2) this.sync(client);
    else if (die > 2) {
      this.clients.splice(this.clients.indexOf(client), 1);
      if (die === 4) this.test.leave({ memberId, ...(instanceId === null ? {} : { instanceId }) });
    }
  }

  sync(client: Client): void {
    const { memberId, generation, instanceId } = client;
    const more = instanceId === null ? {} : { instanceId };
    const pending = this.test.sync(memberId, generation, client.plan ?? {}, more);
    client.sync = { generation, pending };
  }

  /** Begins again, as a client does after an error. */
  forget(client: Client, errorCode: number): void {
    const isNew = errorCode === ErrorCode.UNKNOWN_MEMBER_ID ||
      errorCode === ErrorCode.FENCED_INSTANCE_ID;
    if (isNew) client.memberId = "";
    client.generation = -1;
    client.synced = false;
    client.plan = null;
  }

  join(client: Client): void {
    const { memberId, instanceId } = client;
    const protocols = { range: this.chance(10) ? "other topics" : "r" };
    client.join = this.test.join({
      memberId,
      instanceId,
      protocols,
      sessionMs: 10_000,
      rebalanceMs: 15_000,
    });
  }

  commit(memberId: string, generationIdOrMemberEpoch: number): void {
    const name = this.pick(TOPICS);
    const offset = this.random.nextBelow(1_000_000);
    const pending = this.test.commit({ [name]: [offset] }, {
      memberId,
      generationIdOrMemberEpoch,
    });
    this.commits.push({ key: name, offset, pending });
  }

  remove(): void {
    // Alone in the log, so that it is plain which commits it takes along.
    this.releaseLog();
    this.settle();
    const pending = this.test.pending<DeletableGroupResult>("DeleteGroups");
    this.test.coordinator.deleteGroup(this.test.context(3), GROUP, pending.respond);
    if (pending.get().errorCode === 0) {
      this.acknowledged.clear();
      this.forgetGenerations();
    }
  }

  releaseLog(): void {
    this.test.log.held = false;
    this.test.log.release();
  }

  restart(): void {
    const lost = this.chance(50);
    this.test.coordinator.unload();
    this.test.log.failWith = lost ? ErrorCode.NOT_LEADER_OR_FOLLOWER : 0;
    this.releaseLog();
    this.test.log.failWith = 0;
    this.settle();
    this.test.restart();
    this.forgetGenerations();
  }

  /** A generation that was never written may be given again, by another coordinator. */
  forgetGenerations(): void {
    this.generation = 0;
    this.leaders.clear();
    this.rounds.clear();
  }

  /** Takes the answers, and checks them and the state. */
  settle(): void {
    for (const client of this.clients) {
      if (client.join?.answered) this.onJoined(client, client.join.get());
      if (client.sync?.pending.answered) {
        this.onSynced(client, client.sync.generation, client.sync.pending.get());
      }
    }
    this.commits = this.commits.filter(({ key, offset, pending }) => {
      if (!pending.answered) return true;
      const { errorCode } = pending.get().topics[0]!.partitions[0]!;
      if (errorCode === ErrorCode.NONE) this.acknowledged.set(key, offset);
      return false;
    });
    this.checkState();
  }

  onJoined(client: Client, response: JoinGroupResponse): void {
    client.join = null;
    client.plan = null;
    client.synced = false;
    if (response.errorCode !== ErrorCode.NONE) {
      this.forget(client, response.errorCode);
      if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) client.memberId = response.memberId;
      return;
    }
    client.memberId = response.memberId;
    client.generation = response.generationId;
    if (response.members.length === 0) {
      assert.notEqual(response.leader, response.memberId, "a leader was not told its members");
      return;
    }
    assert.equal(response.leader, response.memberId);
    const name = client.instanceId ?? client.memberId;
    const leader = this.leaders.get(response.generationId) ?? name;
    assert.equal(name, leader, "a generation has two leaders");
    this.leaders.set(response.generationId, name);
    const round = `${++this.round}`;
    client.plan = Object.fromEntries(
      response.members.map((m) => [
        m.memberId,
        `${response.generationId}/${round}/${m.groupInstanceId ?? m.memberId}`,
      ]),
    );
  }

  onSynced(client: Client, generation: number, response: SyncGroupResponse): void {
    client.sync = null;
    if (response.errorCode !== ErrorCode.NONE) return this.forget(client, response.errorCode);
    client.synced = true;
    const [planned, round, name] = decode(response.assignment).split("/");
    assert.equal(planned, `${generation}`, "an assignment of another generation");
    assert.equal(name, client.instanceId ?? client.memberId, "another member's assignment");
    assert.equal(round, this.rounds.get(generation) ?? round, "two assignments in one generation");
    this.rounds.set(generation, round!);
    this.synced++;
  }

  checkState(): void {
    const { test } = this;
    const group = test.coordinator.table.groups.get(GROUP);
    for (const topic of TOPICS) {
      if (!test.coordinator.active) break;
      const expected = this.acknowledged.get(topic) ?? -1;
      assert.equal(test.committed(topic, 0), expected, "an acknowledged commit is not there");
    }
    if (group === undefined) return;
    if (group !== this.group) {
      // Nothing was left of the former one: not a record, not a member.
      this.forgetGenerations();
      this.group = group;
    }
    assert.ok(group.generation >= this.generation, "the generation went back");
    this.generation = group.generation;
    const parked = [...group.members.values()].filter((member) => member.join !== null);
    assert.equal(parked.length, group.awaitingJoinCount);
    if (group.state === "Stable") {
      assert.equal(parked.length, 0, "a JoinGroup is parked in a stable group");
      assert.equal(group.metadata!.generation, group.generation);
      assert.ok(group.members.has(group.leaderId!), "a stable group has a leader");
    }
    if (group.state === "Empty") assert.equal(group.members.size, 0);
    else assert.ok(group.members.size > 0 || group.state === "PreparingRebalance");
  }

  finish(): void {
    this.releaseLog();
    this.settle();
    this.test.advance(2 * 3_600_000);
    this.settle();
    this.test.assertNothingForgotten();
    assert.match(this.test.state(), /Empty|none/);
    assert.equal(this.test.log.waiting, 0);
    const silent = writtenState(this.test.coordinator);
    this.test.restart();
    assert.deepEqual(writtenState(this.test.coordinator), silent);
    this.checkState();
  }

  /** The written state is what a replay of the log gives, at any time. */
  checkReplay(): void {
    const { test } = this;
    const live = test.coordinator;
    const copy = test.create();
    assert.deepEqual(writtenState(copy), writtenState(live));
    test.log.coordinator = live;
  }
}

for (let first = 1; first <= RUNS; first += RUNS_PER_TEST) {
  const last = first + RUNS_PER_TEST - 1;
  Deno.test(`members that come and go at random keep every promise, seeds ${first} to ${last}`, () => {
    let synced = 0;
    for (let seed = first; seed <= last; seed++) {
      const run = new Run(seed);
      try {
        for (let step = 0; step < STEPS; step++) {
          run.step();
          if (step % 25 === 0) run.checkReplay();
        }
        run.finish();
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      synced += run.synced;
    }
    assert.ok(synced > 20 * RUNS_PER_TEST, "hardly any member got as far as its assignment");
  });
}
