import { strict as assert } from "node:assert";
import { Arena } from "../bytes/arena.ts";
import { setInt64 } from "../bytes/int64.ts";
import { wrapMemory } from "../bytes/memory.ts";
import type { Partition, PartitionDirectory } from "../kafka/partition.ts";
import { APPEND_BUSY, AppendOutcome, type ProduceAppender } from "../kafka/produce_append.ts";
import type { ProduceOperation } from "../kafka/produce_operation.ts";
import { batchProducerId, PRODUCER_ID_OFFSET } from "../wire/record_batch.ts";
import { Calls } from "./calls.ts";
import { Mailboxes, mailboxesSize } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import { ShardRemoteProduce } from "./produce_remote.ts";
import { ShardMemory } from "./shard_memory.ts";

const ARENA = 32 * 2 ** 20;
const OWNER = 1;

/** A shard that sends parts of requests to another, whose logs have room or not. */
class ProducingPair {
  /** `group:address`, in the order in which they were appended. */
  readonly appended: string[] = [];
  /** Parts that have to wait, likewise. */
  readonly busy = new Set<string>();
  /** Parts that wait for the coordinator of their producer's transaction, likewise. */
  readonly asking = new Set<string>();
  readonly answered: number[] = [];
  readonly #mailboxes: Mailboxes[];
  readonly #calls: Calls[];
  readonly #remote: ShardRemoteProduce[];
  readonly #memory = wrapMemory(new ArrayBuffer(mailboxesSize(2) + 2 * ARENA));

  constructor() {
    const memory = this.#memory;
    const shards = [0, OWNER];
    this.#mailboxes = shards.map((shard) => new Mailboxes(memory, 0, shard, 2));
    this.#calls = this.#mailboxes.map((mailboxes) => new Calls(mailboxes));
    const groups = new Map<number, Partition>();
    const partitions = {
      byGroup: (groupId: number) => {
        if (!groups.has(groupId)) {
          groups.set(groupId, { groupId, hasReached: () => true } as unknown as Partition);
        }
        return groups.get(groupId);
      },
    } as unknown as PartitionDirectory;
    const outcome = new AppendOutcome();
    const append = (partition: { groupId: number }, address: number): number => {
      const part = `${partition.groupId}:${address}`;
      const asks = this.asking.has(part);
      outcome.askingFor = asks ? batchProducerId(memory.view, address) : -1;
      if (asks || this.busy.has(part)) return APPEND_BUSY;
      this.appended.push(part);
      return 0;
    };
    const appender = { outcome, append } as unknown as ProduceAppender;
    this.#remote = shards.map((shard) => {
      const arena = new Arena(mailboxesSize(2) + shard * ARENA, ARENA);
      const blocks = new ShardMemory(arena, 2 ** 20);
      const calls = this.#calls[shard]!;
      return new ShardRemoteProduce({ memory, blocks, calls }, partitions, appender, {
        nowMs: () => 0,
        wallMs: () => 0,
      });
    });
  }

  /** Says whose the records at an address are. */
  own(address: number, producerId: number): void {
    setInt64(this.#memory.view, address + PRODUCER_ID_OFFSET, producerId);
  }

  /** Sends a request that writes to `groups`; its records lie at `address`. */
  send(address: number, ...groups: number[]): void {
    const operation = {
      pending: 0,
      acks: -1,
      version: 9,
      setOutcome: () => {},
      settle: () => this.answered.push(address),
    } as unknown as ProduceOperation;
    const [remote] = this.#remote;
    groups.forEach((groupId, part) => remote!.add(OWNER, part, groupId, address, 100));
    remote!.send(operation, () => {});
    this.#mailboxes[0]!.publish(() => {});
    this.#drain(OWNER);
  }

  /** What waits is tried again. */
  retry(): void {
    this.#remote[OWNER]!.retry();
    this.#mailboxes[OWNER]!.publish(() => {});
    this.#drain(0);
  }

  #drain(shard: number): void {
    this.#mailboxes[shard]!.drain({
      onMessage: (from, type, call, view, at) => {
        if (type === MessageType.PRODUCE) this.#remote[shard]!.onProduce(from, call, view, at);
        else if (type === MessageType.PRODUCE_TAKEN) this.#remote[shard]!.onTaken(call);
        else this.#calls[shard]!.reply(from, call, view, at);
      },
    });
  }
}

Deno.test("a log takes what a connection sends in its order, whatever else waits", () => {
  const pair = new ProducingPair();
  pair.busy.add("1:100");
  pair.send(100, 1, 3);
  pair.send(200, 3, 5);
  // The first request's part of log 3 is not kept back by its part of log 1, and not overtaken.
  assert.deepEqual(pair.appended, ["3:100", "3:200", "5:200"]);
  pair.busy.add("3:300");
  pair.send(300, 3, 1);
  pair.send(400, 1, 3, 7);
  assert.deepEqual(pair.appended.slice(3), ["7:400"]);
  pair.busy.clear();
  pair.retry();
  assert.deepEqual(pair.appended.slice(4), ["1:100", "3:300", "1:300", "1:400", "3:400"]);
  assert.deepEqual(pair.answered, [200, 100, 300, 400]);
});

Deno.test("a part that waits again stays before the later ones", () => {
  const pair = new ProducingPair();
  pair.busy.add("1:100").add("3:100");
  pair.send(100, 1, 3);
  pair.send(200, 3);
  pair.busy.delete("1:100");
  pair.retry();
  assert.deepEqual(pair.appended, ["1:100"]);
  pair.busy.clear();
  pair.retry();
  assert.deepEqual(pair.appended, ["1:100", "3:100", "3:200"]);
  assert.deepEqual(pair.answered, [100, 200]);
});

Deno.test("what waits for the coordinator of a transaction holds up its own producer only", () => {
  const pair = new ProducingPair();
  for (const [address, producerId] of [[1000, 7], [2000, 8], [3000, 7]] as const) {
    pair.own(address, producerId);
  }
  pair.asking.add("1:1000");
  pair.send(1000, 1);
  pair.send(2000, 1);
  pair.send(3000, 1, 3);
  assert.deepEqual(pair.appended, ["1:2000", "3:3000"]);
  pair.retry();
  pair.asking.clear();
  pair.retry();
  assert.deepEqual(pair.appended, ["1:2000", "3:3000", "1:1000", "1:3000"]);
  assert.deepEqual(pair.answered, [2000, 1000, 3000]);
});
