/**
 * What a node keeps of how its cluster came to be (`founding.ts`).
 *
 * @module
 */

import type { HelloFounder } from "../wire/generated/node_hello.ts";
import type { Uuid } from "../wire/uuid.ts";

/** One of the nodes that found a cluster, and where it was then. */
export type Founder = Readonly<HelloFounder>;

/** A node without which the metadata went on, in the life that it had. */
export interface GivenUp extends Founder {
  /** The life of the node on which it went on; absent, or zeros: not known. */
  readonly by?: Uuid;
}

/** A cluster that is proposed: its id, and its founders by node id. */
export interface Proposal {
  readonly clusterId: string;
  readonly founders: readonly Founder[];
}

/** What the data directory keeps. */
export interface FoundingState {
  /** Empty until the node belongs to a cluster. */
  readonly clusterId: string;
  /** Who founded that cluster; empty where it is not known. */
  readonly founders: readonly Founder[];
  /** The last proposal of another node that this one agreed to; null when it belongs to a cluster. */
  readonly pledge: Proposal | null;
  /** Nodes without which the cluster's metadata went on, in the lives that they had; absent: none. */
  readonly givenUp?: readonly GivenUp[];
  /** The metadata goes on with this node alone, and what belongs to that is not done yet. */
  readonly isRecovering?: boolean;
}

export const UNFORMED: FoundingState = { clusterId: "", founders: [], pledge: null };
