/**
 * What people are told of replicas that lag behind, or are of no use.
 *
 * @module
 */

import type { EventLog } from "../base/event_log.ts";
import { LogLevel } from "../base/logger.ts";
import type { Log } from "../storage/log.ts";
import type { AppendFrame } from "./append_frame.ts";

/**
 * One batch, which was appended when the node took more, or before it was a member.
 *
 * @param takes what the frame's node takes (bytes)
 */
export function noteTooLarge(
  events: EventLog,
  { replica: { log }, bytes, node }: AppendFrame,
  takes: number,
): void {
  if (bytes <= takes) return;
  const fields = { node, log: log.directory, bytes, takes };
  const what =
    "A replica lags behind: a batch is larger than its node takes, give it more --memory";
  events.note(what, fields, LogLevel.WARN);
}

export function notePeerFull(events: EventLog, log: Log, node: number): void {
  const what = "A replica lags behind: the disk of its node is full";
  events.note(what, { node, log: log.directory }, LogLevel.WARN);
}

/** @param leader who has other entries */
export function noteOverruled(events: EventLog, log: Log, leader: number): void {
  const what =
    "A log is of no use any more: its group was made to go on without some of its entries";
  events.note(what, { log: log.directory, leader }, LogLevel.WARN);
}
