/**
 * The largest request that a node takes: `socket.request.max.bytes`, or what its memory has a block for.
 *
 * A frame lies in one block. Where memory allows less than the setting says, DescribeConfigs shows
 * the smaller number, and a log line at the start says what to raise.
 *
 * @module
 */

import { type Logger, LogLevel } from "../base/logger.ts";
import { Settings } from "../base/settings.ts";
import { arenaBlockSizeMax } from "../bytes/arena.ts";

const SETTING = "socket.request.max.bytes";
const BATCH_SETTING = "message.max.bytes";

/**
 * The settings with the limit that holds, and a line in the log where it is not the one that was set.
 *
 * @param arenaBytes memory of each shard
 */
export function limitFrames(
  settings: ReadonlyMap<string, string>,
  arenaBytes: number,
  logger: Logger,
): Map<string, string> {
  const limited = new Map(settings);
  const wanted = new Settings(settings).number(SETTING);
  const blockSizeMax = arenaBlockSizeMax(arenaBytes);
  if (wanted <= blockSizeMax) return limited;
  limited.set(SETTING, `${blockSizeMax}`);
  const batchMax = new Settings(settings).number(BATCH_SETTING);
  // Nobody asked for the default: only an explicit setting above the limit needs action.
  const isMissed = settings.has(SETTING) || batchMax > blockSizeMax;
  logger.log(isMissed ? LogLevel.WARN : LogLevel.INFO, "Memory limits the size of requests", {
    setting: SETTING,
    inEffect: blockSizeMax,
    wanted,
    next:
      "raise --memory (a request takes one block, at most an eighth of a core's memory), or start fewer cores",
  });
  return limited;
}
