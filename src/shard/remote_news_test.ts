import { strict as assert } from "node:assert";
import { wrapMemory } from "../bytes/memory.ts";
import type { Partition, PartitionDirectory } from "../kafka/partition.ts";
import { type ManualLog, testPartition } from "../kafka/test_manual_log.ts";
import { ErrorCode } from "../wire/errors.ts";
import { Mailboxes, mailboxesSize } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import { RemoteNews } from "./remote_news.ts";

const GROUP = 1;

/** A waiter that counts its notifications while it waited. */
class Waiter {
  waitEpoch = 0;
  told = 0;
  onData(): void {
    this.told++;
    this.waitEpoch++;
  }
}

/** Shard 0 waits, shard 1 owns one partition. */
class NewsPair {
  readonly partitions = new Map<number, Partition>();
  readonly partition: Partition;
  readonly log: ManualLog;
  readonly asking: RemoteNews;
  readonly #mailboxes: Mailboxes[];
  readonly #news: RemoteNews[];

  constructor() {
    const memory = wrapMemory(new ArrayBuffer(mailboxesSize(2)));
    const { partition, log } = testPartition();
    this.partition = partition;
    this.log = log;
    this.partitions.set(GROUP, partition);
    const absenceOf = () => ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    const none: PartitionDirectory = { byGroup: () => undefined, absenceOf, all: () => [] };
    const owned: PartitionDirectory = {
      absenceOf,
      byGroup: (groupId) => this.partitions.get(groupId),
      all: () => this.partitions.values(),
    };
    this.#mailboxes = [0, 1].map((shard) => new Mailboxes(memory, 0, shard, 2));
    this.#news = [none, owned].map((directory, at) =>
      new RemoteNews(this.#mailboxes[at]!, directory)
    );
    this.asking = this.#news[0]!;
  }

  write(): void {
    this.log.append();
    this.log.reachDurable();
  }

  exchange(): void {
    for (let i = 0; i < 4; i++) {
      const shard = i % 2;
      const news = this.#news[shard]!;
      this.#mailboxes[shard]!.drain({
        onMessage: (from, type, _call, view, at) => {
          if (type === MessageType.WATCH) news.onWatch(from, view, at);
          else news.onNews(view, at);
        },
      });
      news.flush();
      this.#mailboxes[shard]!.publish(() => {});
    }
  }
}

Deno.test("a waiter that has seen less than the one that asked is notified of the difference", () => {
  const pair = new NewsPair();
  const early = new Waiter();
  const late = new Waiter();
  // `early` has read up to 0, and waited for another shard's answer while a record came and `late` saw it.
  pair.write();
  pair.asking.awaitData(1, GROUP, 1, late);
  pair.exchange();
  assert.equal(late.told, 0);
  pair.asking.awaitData(1, GROUP, 0, early);
  pair.exchange();
  assert.equal(early.told, 1);
  pair.asking.awaitData(1, GROUP, 1, early);
  pair.exchange();
  assert.equal(early.told, 1, "there is nothing new");
  pair.write();
  pair.exchange();
  assert.equal(early.told, 2);
});

Deno.test("a waiter for another shard's partition is notified of its removal, before the question and after", () => {
  const pair = new NewsPair();
  const parked = new Waiter();
  pair.asking.awaitData(1, GROUP, 0, parked);
  pair.exchange();
  assert.equal(parked.told, 0);
  pair.partitions.delete(GROUP);
  pair.partition.close();
  pair.exchange();
  assert.equal(parked.told, 1);
  const later = new Waiter();
  pair.asking.awaitData(1, GROUP, 0, later);
  pair.exchange();
  assert.equal(later.told, 1);
});

Deno.test("a quiet partition does not keep those who have gone", () => {
  const pair = new NewsPair();
  for (let i = 0; i < 1000; i++) {
    const gone = new Waiter();
    pair.asking.awaitData(1, GROUP, 0, gone);
    gone.waitEpoch++;
    if (i % 100 === 0) pair.exchange();
  }
  const waiter = new Waiter();
  pair.asking.awaitData(1, GROUP, 0, waiter);
  pair.exchange();
  pair.write();
  pair.exchange();
  assert.equal(waiter.told, 1);
});
