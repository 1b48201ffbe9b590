import { strict as assert } from "node:assert";
import { Arena } from "../bytes/arena.ts";
import { wrapMemory } from "../bytes/memory.ts";
import type { Partition, PartitionDirectory } from "../kafka/partition.ts";
import { APPEND_BUSY, AppendOutcome, type ProduceAppender } from "../kafka/produce_append.ts";
import type { ProduceOperation } from "../kafka/produce_operation.ts";
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
  readonly answered: number[] = [];
  readonly #mailboxes: Mailboxes[];
  readonly #calls: Calls[];
  readonly #remote: ShardRemoteProduce[];

  constructor() {
    const memory = wrapMemory(new ArrayBuffer(mailboxesSize(2) + 2 * ARENA));
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
      if (this.busy.has(part)) return APPEND_BUSY;
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
