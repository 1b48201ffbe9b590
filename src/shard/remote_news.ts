/**
 * News of other shards' partitions: how a waiting fetch learns that there is something to read.
 *
 * The waiting side asks once per partition, saying the high watermark it has seen; the owner sends one
 * word when there is more (at once, if there is already), and forgets. However many fetches wait,
 * there is one question and one word per partition and shard; a fetch that has seen less than the one that
 * asked (it read earlier, and waited longer for a third shard) asks again. Words that find the mailbox
 * nearly full wait for the next turn. The word comes also when the partition goes away.
 *
 * @module
 */

import { type DataWaiter, hasNews, type PartitionDirectory } from "../kafka/partition.ts";
import { type Mailboxes, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";

/** Group ids in one NEWS message; the unused ones are -1. */
const NEWS_PER_MESSAGE = 7;
/** Waiters of a partition from which on those that wait no longer are dropped. */
const PURGE_AT_MIN = 16;
/** High watermarks of readers that take a follower are subtracted from it; others are above. */
const FOLLOWING = -2;
/** Pairs of group id and high watermark in one WATCH message. */
const WATCHES_PER_MESSAGE = 3;

/** A remote partition that local fetches wait for. */
class Watched {
  readonly waiters: DataWaiter[] = [];
  readonly epochs: number[] = [];
  /** The lowest high watermark that was reported to the owner. */
  askedFrom = Infinity;
  purgeAt = PURGE_AT_MIN;
}

/** Another shard's interest in a partition of this one. */
class Interest implements DataWaiter {
  readonly shard: number;
  readonly groupId: number;
  readonly #news: RemoteNews;
  waitEpoch = 0;
  registered = false;

  constructor(news: RemoteNews, shard: number, groupId: number) {
    this.#news = news;
    this.shard = shard;
    this.groupId = groupId;
  }

  onData(): void {
    this.registered = false;
    this.waitEpoch++;
    this.#news.tell(this.shard, this.groupId);
  }
}

export class RemoteNews {
  readonly #mailboxes: Mailboxes;
  readonly #partitions: PartitionDirectory;
  readonly #watched = new Map<number, Watched>();
  readonly #interests: Map<number, Interest>[];
  // Per shard: news to send and watches to request, flat.
  readonly #news: number[][];
  readonly #questions: number[][];

  constructor(mailboxes: Mailboxes, partitions: PartitionDirectory) {
    this.#mailboxes = mailboxes;
    this.#partitions = partitions;
    const perShard = <T>(make: () => T): T[] =>
      Array.from({ length: mailboxes.shardCount }, () => make());
    this.#interests = perShard(() => new Map<number, Interest>());
    this.#news = perShard(() => []);
    this.#questions = perShard(() => []);
  }

  /**
   * Registers `waiter` for news of another shard's partition beyond `highWatermark`.
   *
   * @param mayFollow it takes a follower
   */
  awaitData(
    shard: number,
    groupId: number,
    highWatermark: number,
    waiter: DataWaiter,
    mayFollow = false,
  ): void {
    let watched = this.#watched.get(groupId);
    if (watched === undefined) {
      watched = new Watched();
      this.#watched.set(groupId, watched);
    }
    if (watched.waiters.length >= watched.purgeAt) purge(watched);
    watched.waiters.push(waiter);
    watched.epochs.push(waiter.waitEpoch);
    if (highWatermark >= watched.askedFrom) return;
    watched.askedFrom = highWatermark;
    this.#questions[shard]!.push(groupId, mayFollow ? FOLLOWING - highWatermark : highWatermark);
  }

  /** A WATCH message came. */
  onWatch(fromShard: number, view: DataView, at: number): void {
    for (let i = 0; i < WATCHES_PER_MESSAGE; i++) {
      const groupId = messageArgument(view, at, 2 * i);
      if (groupId < 0) return;
      const partition = this.#partitions.byGroup(groupId);
      const seen = messageArgument(view, at, 2 * i + 1);
      const mayFollow = seen <= FOLLOWING;
      if (hasNews(partition, mayFollow ? FOLLOWING - seen : seen, mayFollow)) {
        this.tell(fromShard, groupId);
        continue;
      }
      let interest = this.#interests[fromShard]!.get(groupId);
      if (interest === undefined) {
        interest = new Interest(this, fromShard, groupId);
        this.#interests[fromShard]!.set(groupId, interest);
      }
      if (interest.registered) continue;
      interest.registered = true;
      partition!.awaitData(interest);
    }
  }

  /** A NEWS message came. */
  onNews(view: DataView, at: number): void {
    for (let i = 0; i < NEWS_PER_MESSAGE; i++) {
      const groupId = messageArgument(view, at, i);
      if (groupId < 0) return;
      const watched = this.#watched.get(groupId);
      if (watched === undefined) continue;
      this.#watched.delete(groupId);
      for (let j = 0; j < watched.waiters.length; j++) {
        const waiter = watched.waiters[j]!;
        if (waiter.waitEpoch === watched.epochs[j]) waiter.onData();
      }
    }
  }

  /** Queues news for another shard; it gets no more until it asks again. */
  tell(shard: number, groupId: number): void {
    this.#news[shard]!.push(groupId);
    // Groups are never used again.
    if (this.#partitions.byGroup(groupId) === undefined) this.#interests[shard]!.delete(groupId);
  }

  /** Sends queued messages, as far as the mailboxes have room; false when some are left. */
  flush(): boolean {
    let done = true;
    for (let shard = 0; shard < this.#news.length; shard++) {
      const news = this.#news[shard]!;
      const questions = this.#questions[shard]!;
      if (news.length === 0 && questions.length === 0) continue;
      done = this.#flushTo(shard, news, questions) && done;
    }
    return done;
  }

  #flushTo(shard: number, news: number[], questions: number[]): boolean {
    let room = this.#mailboxes.roomForNotices(shard);
    let told = 0;
    while (told < news.length && room > 0) {
      const g = (i: number): number => news[told + i] ?? -1;
      this.#mailboxes.send(shard, MessageType.NEWS, 0, g(0), g(1), g(2), g(3), g(4), g(5), g(6));
      told += NEWS_PER_MESSAGE;
      room--;
    }
    news.splice(0, told);
    let asked = 0;
    while (asked < questions.length && room > 0) {
      const q = (i: number): number => questions[asked + i] ?? -1;
      this.#mailboxes.send(shard, MessageType.WATCH, 0, q(0), q(1), q(2), q(3), q(4), q(5));
      asked += 2 * WATCHES_PER_MESSAGE;
      room--;
    }
    questions.splice(0, asked);
    return news.length === 0 && questions.length === 0;
  }
}

/** Drops waiters that no longer wait, so that a quiet partition does not collect them. */
function purge(watched: Watched): void {
  let kept = 0;
  for (let i = 0; i < watched.waiters.length; i++) {
    if (watched.waiters[i]!.waitEpoch !== watched.epochs[i]) continue;
    watched.waiters[kept] = watched.waiters[i]!;
    watched.epochs[kept] = watched.epochs[i]!;
    kept++;
  }
  watched.waiters.length = kept;
  watched.epochs.length = kept;
  watched.purgeAt = Math.max(PURGE_AT_MIN, 2 * kept);
}
