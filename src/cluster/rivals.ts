/**
 * Two recoveries of one cluster's metadata, each on a node that could not reach the other one, and gave it up.
 *
 * When they meet, one of the two has to end: whoever asked for it accepted to lose what the other one has. If both listened to each
 * other, none would be left. So the one on the node with the lower id stays, and with it the nodes that followed it; the
 * others end, and come back empty. All of them come to the same: a node that was given up is remembered with the node that
 * went on without it.
 *
 * @module
 */

import { ZERO_UUID } from "../wire/uuid.ts";
import type { Founder, GivenUp } from "./founding_state.ts";
import { isSameLife } from "./lives.ts";

/** Both went on without the other. */
export interface Rivals {
  /** With whom the node that asks went on. */
  readonly own: Founder;
  readonly other: Founder;
}

/**
 * The two that gave each other up; null: there are no such, as far as both sides remember it.
 *
 * @param own what the node that asks remembers
 * @param others what another node does
 */
export function rivalsOf(own: readonly GivenUp[], others: readonly GivenUp[]): Rivals | null {
  for (const entry of others) {
    const other = own.find((one) => isBy(entry, one) && isBy(one, entry));
    if (other !== undefined) return { own: entry, other };
  }
  return null;
}

/** Whether a node was given up by another one. */
function isBy({ by = ZERO_UUID }: GivenUp, { incarnation }: Founder): boolean {
  return by !== ZERO_UUID && isSameLife(by, incarnation);
}

/** Whether the recovery stays that the node that asks belongs to. */
export function isOwnKept({ own, other }: Rivals): boolean {
  if (own.nodeId !== other.nodeId) return own.nodeId < other.nodeId;
  return own.incarnation < other.incarnation;
}

/** For people: why a node of the recovery that does not stay ends, with what to do. */
export function whyOtherKept(clusterId: string, { own, other }: Rivals): string {
  return `the metadata of the cluster ${clusterId} was recovered twice, on node ${own.nodeId} and on node ${other.nodeId}, each ` +
    `without the other. That of node ${other.nodeId} stays, as its id is lower; this node went on with node ${own.nodeId}: keep a ` +
    "copy of its data directory if you need what only it has, empty it, and start the node again, which then joins as a new one";
}

/** For people: the same, for a node that goes on. */
export function whatOwnKept(clusterId: string, { own, other }: Rivals): string {
  return `the metadata of the cluster ${clusterId} was recovered twice, on node ${own.nodeId} and on node ${other.nodeId}, each ` +
    `without the other. That of node ${own.nodeId} stays, as its id is lower: node ${other.nodeId}, and nodes that went on with it, ` +
    "end, and have to be emptied";
}
