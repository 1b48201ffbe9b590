/**
 * Nodes without which the cluster's metadata was recovered: how they are remembered, and how they hear of it.
 *
 * They are remembered in the lives that they had. A node that was given up and comes back with another life, its disk
 * being lost, joins like a new one. One that has what it had would be a second cluster of the same name: it ends as soon
 * as a node of the cluster says so, and every node of the cluster is to know it.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import type { HelloGivenUp, NodeHello } from "../wire/generated/node_hello.ts";
import { type Uuid, ZERO_UUID } from "../wire/uuid.ts";
import type { Founder, FoundingState, GivenUp } from "./founding_state.ts";
import { GIVEN_UP_MAX } from "./hello.ts";
import { newUuid } from "./ids.ts";
import { isPartial, isSameLife } from "./lives.ts";
import { isOwnKept, rivalsOf, whatOwnKept, whyOtherKept } from "./rivals.ts";

interface Life {
  readonly incarnation: Uuid;
}

/** Whether a node is among others, in the life that it has. */
export function hasLife(nodes: readonly Life[], { incarnation }: Life): boolean {
  return nodes.some((node) => isSameLife(node.incarnation, incarnation));
}

/** Others can be told of it: it is known where it was. */
export function isTold({ host }: Founder): boolean {
  return host !== "";
}

/** As a hello says it. */
export function toldOf({ givenUp = [] }: FoundingState): HelloGivenUp[] {
  return givenUp.filter(isTold).map((node) => ({ ...node, by: node.by ?? ZERO_UUID }));
}

/**
 * What a node keeps that goes on without others: of the lost ones the latest lives, and founders among them in a life that
 * none of them has.
 */
export function goingOnWithout(
  state: FoundingState,
  lost: readonly Founder[],
  random: Random,
  self: Life,
): FoundingState {
  const { founders, givenUp = [] } = state;
  const added = lost
    .filter((node) => !hasLife(givenUp, node))
    .map((node): GivenUp => ({ ...node, by: self.incarnation }));
  return {
    ...state,
    founders: founders.map((founder) =>
      hasLife(lost, founder) ? { ...founder, incarnation: newUuid(random) } : founder
    ),
    givenUp: [...givenUp, ...added].slice(-GIVEN_UP_MAX),
    isRecovering: true,
  };
}

/** What a node keeps that hears whom another one of its cluster knows to be given up; null: it knows them. */
function havingLearned(
  state: FoundingState,
  { clusterId, givenUp }: NodeHello,
): FoundingState | null {
  const { givenUp: known = [] } = state;
  const news = givenUp.filter((node, at) =>
    !hasLife(known, node) && !hasLife(givenUp.slice(0, at), node)
  );
  // Who has no room for more keeps what it has: two nodes would else replace each other's for ever.
  const room = GIVEN_UP_MAX - known.length;
  if (clusterId !== state.clusterId || news.length === 0 || room === 0) return null;
  return { ...state, givenUp: [...known, ...news.slice(0, room)] };
}

/** With the lives that are known in full now; null: nothing has changed. */
export function completed(state: FoundingState, known: readonly Founder[]): FoundingState | null {
  const { givenUp = [] } = state;
  const full = givenUp.map((node): GivenUp => {
    if (!isPartial(node.incarnation)) return node;
    const found = known.find((one) => one.nodeId === node.nodeId && hasLife([node], one));
    return found === undefined ? node : { ...node, ...found };
  });
  return full.every((node, at) => node === givenUp[at]) ? null : { ...state, givenUp: full };
}

/**
 * Whether one of two nodes of a cluster knows lives to be given up of which the other one has not heard, and has room for.
 */
export function isBehind(
  { clusterId, givenUp: own = [] }: FoundingState,
  { clusterId: otherCluster, givenUp }: NodeHello,
): boolean {
  if (clusterId !== otherCluster) return false;
  const told = own.filter(isTold);
  const lacks = (known: readonly Life[], news: readonly Life[]): boolean =>
    known.length < GIVEN_UP_MAX && news.some((node) => !hasLife(known, node));
  return lacks(own, givenUp) || lacks(givenUp, told);
}

/** What a node makes of whom another one says to be given up. */
export interface Heeded {
  /** Why it must end; null: it need not. */
  readonly expulsion: string | null;
  /** What an operator should know; null: nothing. */
  readonly warning: string | null;
  /** What it keeps; null: nothing new. */
  readonly learned: FoundingState | null;
}

/**
 * @param saidBy where the other one is, for people
 */
export function heed(
  state: FoundingState,
  self: Life,
  hello: NodeHello,
  saidBy: string,
): Heeded {
  const { clusterId, givenUp } = hello;
  const isSame = clusterId !== "" && clusterId === state.clusterId;
  const rivals = isSame ? rivalsOf(state.givenUp ?? [], givenUp) : null;
  if (rivals !== null) {
    const isKept = isOwnKept(rivals);
    return {
      expulsion: isKept ? null : whyOtherKept(clusterId, rivals),
      warning: isKept ? whatOwnKept(clusterId, rivals) : null,
      learned: null,
    };
  }
  const isGivenUp = isGivenUpBy(state, self, hello);
  return {
    expulsion: isGivenUp ? whyGivenUp(clusterId, saidBy) : null,
    warning: null,
    learned: isGivenUp ? null : havingLearned(state, hello),
  };
}

/** Whether a node of the same cluster says that it goes on without this one. */
function isGivenUpBy(
  { clusterId: own, founders: known }: FoundingState,
  self: Life,
  { clusterId, founders, givenUp }: NodeHello,
): boolean {
  if (clusterId === "" || clusterId !== own || founders.length === 0) return false;
  return hasLife(givenUp, self) || (hasLife(known, self) && !hasLife(founders, self));
}

/** For people, with what to do. */
function whyGivenUp(clusterId: string, saidBy: string): string {
  return `the cluster ${clusterId} went on without this node: its metadata was recovered after the ` +
    `node was given up, as the one at ${saidBy} says. What this node has is of no use there: keep a copy of its ` +
    "data directory if you need one, empty it, and start the node again, which then joins as a new one";
}
