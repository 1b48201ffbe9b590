/**
 * A partition over a log that becomes durable when a test says so.
 *
 * @module
 */

import { PartitionImage, type TopicImage } from "../cluster/image.ts";
import { type Log, type LogListener, type MetaEntry, MetaKind } from "../storage/log.ts";
import { groupOfOne } from "../replication/test_group_of_one.ts";
import { Partition } from "./partition.ts";

/** Takes everything; nothing is durable before {@linkcode ManualLog.reachDurable}. */
export class ManualLog {
  listener: LogListener | null = null;
  startOffset = 0;
  endOffset = 0;
  lastIndex = 0;
  lastTerm = 0;
  hardTerm = 0;
  hardVote = -1;
  hardVersion = 0;
  readonly groupId = 1;
  readonly incarnation = 1;
  readonly startIndex = 0;
  readonly startTerm = 0;
  durableIndex = 0;
  durableEndOffset = 0;
  appends = 0;
  /** What {@linkcode ManualLog.trimPrefix} answers instead of doing it. */
  trimRefusal = 0;
  readonly #trims: MetaEntry[] = [];
  suspect = false;
  readonly busy = false;
  readonly appendBytesMax = 1_000_000;
  readonly producers = { expire: (): void => {} };

  /** Everything taken so far is durable. */
  reachDurable(): void {
    this.durableIndex = this.lastIndex;
    this.durableEndOffset = this.endOffset;
    this.listener?.onDurable(this as unknown as Log);
  }

  append(): number {
    this.appends++;
    this.lastIndex++;
    return this.endOffset++;
  }

  /** As durable as the rest; only a majority of several would wait for it. */
  get durableHardVersion(): number {
    return this.hardVersion;
  }

  termAt(index: number): number {
    return index === 0 ? 0 : this.lastTerm;
  }

  offsetAt(index: number): number {
    return this.durableIndex === index - 1 ? this.durableEndOffset : this.endOffset;
  }

  setHardState(term: number, vote: number): number {
    this.hardTerm = term;
    this.hardVote = vote;
    return ++this.hardVersion;
  }

  appendMeta(kind: MetaKind, term: number, payload: Uint8Array<ArrayBuffer>): number {
    this.lastTerm = term;
    const index = ++this.lastIndex;
    if (kind === MetaKind.PREFIX) this.#trims.push({ kind, index, term, offset: 0, payload });
    return index;
  }

  setCommitted(): void {}

  lastMeta(kind: MetaKind, index: number): MetaEntry | null {
    if (kind !== MetaKind.PREFIX) return null;
    return this.#trims.findLast((trim) => trim.index <= index) ?? null;
  }

  trimPrefix(offset: number): number {
    if (this.trimRefusal === 0) this.startOffset = offset;
    return this.trimRefusal;
  }
}

/** A partition that leads. */
export function testPartition(): { readonly partition: Partition; readonly log: ManualLog } {
  const log = new ManualLog();
  const image = new PartitionImage({
    topic: {} as TopicImage,
    index: 0,
    groupId: 1,
    replicas: [0],
    incarnations: [],
  });
  const owner = { onWritable: () => {}, onLeading: () => {}, onFollowing: () => {} };
  const replica = groupOfOne(log as unknown as Log, 0);
  const partition = new Partition(image, replica, owner);
  replica.start();
  log.reachDurable();
  return { partition, log };
}
