/**
 * Names the leader of a partition that was asked of the wrong node (KIP-951), so that the client goes there
 * without asking for metadata first.
 *
 * A leader is named when this shard knows it, it is another node, and clients can reach it.
 *
 * @module
 */

import type { ClusterImage } from "../cluster/image.ts";
import type { LeaderTable } from "../cluster/leaders.ts";
import type { NodeEndpoint } from "../wire/hot_response.ts";
import { kafkaAddressOf } from "./topic_views.ts";

/** Bytes of an endpoint without its texts, at most. */
const ENDPOINT_SIZE_MAX = 24;
/** Bytes around all endpoints. */
const ENDPOINTS_SIZE_MAX = 16;

/** Who leads a partition. */
export interface LeaderHint {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

/** Nobody who could be named. */
export const NO_LEADER: LeaderHint = { leaderId: -1, leaderEpoch: -1 };

/** What a shard knows of leaders. */
export interface LeaderHints {
  readonly image: ClusterImage;
  readonly leaders: LeaderTable;
}

/** The leaders that one response names. */
export class ResponseLeaders {
  readonly endpoints: NodeEndpoint[] = [];
  readonly #known: LeaderHints;
  readonly #byPart = new Map<number, LeaderHint>();
  #textBytes = 0;

  constructor(known: LeaderHints) {
    this.#known = known;
  }

  /** Looks up the leader of the partition that the response's part `part` is about. */
  add(part: number, topicName: string, partitionIndex: number): void {
    const { image, leaders } = this.#known;
    const partition = image.topicByName(topicName)?.partitions[partitionIndex];
    if (partition === undefined) return;
    const leaderId = leaders.knownLeaderOf(partition.groupId);
    const node = leaderId === image.nodeId ? undefined : image.nodes.get(leaderId);
    const address = node === undefined ? null : kafkaAddressOf(node);
    if (address === null) return;
    this.#byPart.set(part, { leaderId, leaderEpoch: leaders.epochOf(partition) });
    if (this.endpoints.some(({ nodeId }) => nodeId === leaderId)) return;
    this.endpoints.push(address);
    // A character takes at most three bytes of UTF-8.
    this.#textBytes += 3 * (address.host.length + (address.rack?.length ?? 0));
  }

  /** The leader that the response names for a part; NO_LEADER: none. */
  of(part: number): LeaderHint {
    return this.#byPart.get(part) ?? NO_LEADER;
  }

  /** Bytes of the endpoints, at most. */
  get sizeMax(): number {
    return ENDPOINTS_SIZE_MAX + this.endpoints.length * ENDPOINT_SIZE_MAX + this.#textBytes;
  }
}
