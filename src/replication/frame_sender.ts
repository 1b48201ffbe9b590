/**
 * What sends a frame with records in place, whatever they are sent for: snapshots, and records for a damaged extent.
 *
 * @module
 */

import type { RangeList } from "../bytes/range_list.ts";
import type { FrameOwner } from "../rpc/frame_queue.ts";
import type { ReplicationFrame } from "./frames.ts";

export interface FrameSender {
  /** Sends a frame of `head` and `ranges` to a group's shard on a node, on the data lane; false: not now. */
  sendFrame(
    type: ReplicationFrame,
    groupId: number,
    node: number,
    head: Uint8Array,
    ranges: RangeList,
    owner: FrameOwner,
  ): boolean;
}
