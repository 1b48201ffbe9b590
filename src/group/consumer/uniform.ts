/**
 * The `uniform` assignor: members get as many partitions as each other, and keep what they have as far as that allows.
 *
 * 1. Every member keeps what it had and still reads; where all members read the same, at most its share.
 * 2. What is left goes to the reader with the least, first of all to one in a rack of the partition's replicas (KIP-881).
 *    Topics with few readers come first, because the others have more choice.
 * 3. Partitions move from a member to another reader that has at least two less, until there is none. Where all members
 *    read the same there is nothing to do in this step. Each move makes the sum of the squares of the loads smaller, so
 *    it ends.
 *
 * No member could then be given a partition of one that has two more, and no partition has moved without making the
 * assignment more even.
 *
 * @module
 */

import { type Assigned, type AssignorInput, type AssignorMember, inOrder } from "./assignor.ts";

/** A member while it is being given partitions. */
interface Load {
  readonly member: AssignorMember;
  readonly partitions: Map<string, Set<number>>;
  count: number;
}

export function assignUniformly({ members, topics }: AssignorInput): Assigned {
  if (members.length === 0) return new Map();
  const loads = inOrder(members).map((member): Load => ({
    member,
    partitions: new Map(),
    count: 0,
  }));
  const readersOf = new Map<string, Load[]>();
  for (const topicId of topics.keys()) {
    readersOf.set(topicId, loads.filter(({ member }) => member.topicIds.has(topicId)));
  }
  const isEven = loads.every(({ member }) => member.topicIds.size === topics.size);
  const taken = keepPrevious(loads, topics, isEven);
  const inTurn = [...topics].sort(([a], [b]) =>
    readersOf.get(a)!.length - readersOf.get(b)!.length
  );
  for (const [topicId, topic] of inTurn) {
    const readers = readersOf.get(topicId)!;
    if (readers.length === 0) continue;
    const free: number[] = [];
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      if (!taken.get(topicId)!.has(partition)) free.push(partition);
    }
    handOut(topicId, free, readers, (partition) => topic.racksOf(partition));
  }
  if (!isEven) evenOut(loads, readersOf);
  return new Map(loads.map(({ member, partitions }) => [member.memberId, sorted(partitions)]));
}

/** Gives every member what it had; returns what is taken, by topic. */
function keepPrevious(
  loads: readonly Load[],
  topics: AssignorInput["topics"],
  isEven: boolean,
): Map<string, Set<number>> {
  const taken = new Map([...topics.keys()].map((topicId) => [topicId, new Set<number>()]));
  let total = 0;
  for (const { partitionCount } of topics.values()) total += partitionCount;
  const share = Math.floor(total / loads.length);
  let withMore = total % loads.length;
  for (const load of loads) {
    const { member } = load;
    let most = isEven ? share : Infinity;
    for (const [topicId, partitions] of member.previous) {
      const topic = topics.get(topicId);
      if (topic === undefined || !member.topicIds.has(topicId)) continue;
      const others = taken.get(topicId)!;
      for (const partition of partitions) {
        if (partition >= topic.partitionCount || others.has(partition)) continue;
        if (load.count >= most) {
          if (withMore === 0 || most > share) break;
          // Some have one more than the others: those that have it already.
          withMore--;
          most++;
        }
        others.add(partition);
        give(load, topicId, partition);
      }
    }
  }
  return taken;
}

function handOut(
  topicId: string,
  free: readonly number[],
  readers: readonly Load[],
  racksOf: (partition: number) => readonly string[],
): void {
  const hasRacks = readers.some(({ member }) => member.rackId !== null);
  const queue = new LeastLoaded(readers);
  for (const partition of free) {
    const racks = hasRacks ? racksOf(partition) : [];
    const load = queue.take(racks);
    give(load, topicId, partition);
    queue.put(load);
  }
}

/** Moves partitions to readers with less, one by one. */
function evenOut(loads: readonly Load[], readersOf: ReadonlyMap<string, readonly Load[]>): void {
  let hasMoved = true;
  while (hasMoved) {
    hasMoved = false;
    for (const load of [...loads].sort((a, b) => b.count - a.count)) {
      for (const [topicId, partitions] of load.partitions) {
        for (const partition of partitions) {
          const least = leastOf(readersOf.get(topicId)!);
          if (least.count > load.count - 2) break;
          partitions.delete(partition);
          load.count--;
          give(least, topicId, partition);
          hasMoved = true;
        }
      }
    }
  }
}

function leastOf(loads: readonly Load[]): Load {
  let least = loads[0]!;
  for (const load of loads) if (load.count < least.count) least = load;
  return least;
}

function give(load: Load, topicId: string, partition: number): void {
  const partitions = load.partitions.get(topicId);
  if (partitions === undefined) load.partitions.set(topicId, new Set([partition]));
  else partitions.add(partition);
  load.count++;
}

function sorted(partitions: ReadonlyMap<string, ReadonlySet<number>>): Map<string, number[]> {
  const result = new Map<string, number[]>();
  for (const [topicId, set] of partitions) {
    if (set.size > 0) result.set(topicId, [...set].sort((a, b) => a - b));
  }
  return result;
}

/** Loads by how much they have, the least first; those with as much in their first order. */
class LeastLoaded {
  /** By count; each list is taken from its head. */
  readonly #byCount = new Map<number, Load[]>();
  #least = Infinity;

  constructor(loads: readonly Load[]) {
    for (const load of loads) this.put(load);
  }

  put(load: Load): void {
    const same = this.#byCount.get(load.count);
    if (same === undefined) this.#byCount.set(load.count, [load]);
    else same.push(load);
    this.#least = Math.min(this.#least, load.count);
  }

  /** Takes one of those with the least: one in a rack of `racks`, where there is one. */
  take(racks: readonly string[]): Load {
    let same = this.#byCount.get(this.#least);
    while (same === undefined || same.length === 0) {
      this.#byCount.delete(this.#least);
      this.#least++;
      same = this.#byCount.get(this.#least);
    }
    const near = racks.length === 0
      ? -1
      : same.findIndex(({ member }) => member.rackId !== null && racks.includes(member.rackId));
    return same.splice(Math.max(0, near), 1)[0]!;
  }
}
