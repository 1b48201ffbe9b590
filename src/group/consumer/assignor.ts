/**
 * Who is to have which partition: the assignors that run in the coordinator. Pure, and the same for the same input.
 *
 * - `uniform` (the default): as many partitions for each as for any other, as far as subscriptions allow, and as few
 *   moves as possible (`uniform.ts`).
 * - `range`: of each topic a run of neighbours, so that members that read several topics with as many partitions get the
 *   same numbers of all (`range.ts`).
 *
 * @module
 */

import type { Assignment, TopicFacts } from "./types.ts";
import { assignRanges } from "./range.ts";
import { assignUniformly } from "./uniform.ts";

/** A member, as assignors see it. */
export interface AssignorMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  /** Ids of the topics that it reads; only such as exist. */
  readonly topicIds: ReadonlySet<string>;
  /** Its target so far. */
  readonly previous: Assignment;
}

export interface AssignorInput {
  readonly members: readonly AssignorMember[];
  /** Every topic that some member reads, by id. */
  readonly topics: ReadonlyMap<string, TopicFacts>;
}

/** By member id; every member has an entry. */
export type Assigned = Map<string, Assignment>;

export type Assignor = (input: AssignorInput) => Assigned;

/** By the names that members ask for; the first is the default. */
export const ASSIGNORS: ReadonlyMap<string, Assignor> = new Map([
  ["uniform", assignUniformly],
  ["range", assignRanges],
]);

export const DEFAULT_ASSIGNOR = "uniform";

/** The members in an order that outlives restarts of static ones. */
export function inOrder(members: readonly AssignorMember[]): AssignorMember[] {
  const keyOf = ({ instanceId, memberId }: AssignorMember) =>
    instanceId === null ? `1${memberId}` : `0${instanceId}`;
  return [...members].sort((a, b) => {
    const [x, y] = [keyOf(a), keyOf(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  });
}
