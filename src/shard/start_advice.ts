/**
 * How a refused start ends the process: its exit code, and what to do about it.
 *
 * @module
 */

import {
  EXIT_CANNOT_CREATE,
  EXIT_DATA_DAMAGED,
  EXIT_DISK_ERROR,
  EXIT_HOST_UNFIT,
} from "../base/exit_codes.ts";
import { ENOSPC } from "../io/errno.ts";
import type { StartRefusal } from "./start_sequence.ts";

const EXIT_CODES: Readonly<Record<StartRefusal["refused"], number>> = {
  newer: EXIT_CANNOT_CREATE,
  foreign: EXIT_CANNOT_CREATE,
  cluster: EXIT_CANNOT_CREATE,
  damaged: EXIT_DATA_DAMAGED,
  elsewhere: EXIT_DATA_DAMAGED,
  memory: EXIT_HOST_UNFIT,
  error: EXIT_DISK_ERROR,
};

export function exitCodeOf({ refused }: StartRefusal): number {
  return EXIT_CODES[refused];
}

/** The reason, and what to do. */
export function describeRefusal(refusal: StartRefusal): string {
  return `${refusal.reason}. ${adviceFor(refusal)}`.trimEnd();
}

function adviceFor({ refused, errno }: StartRefusal): string {
  if (errno === ENOSPC) {
    return "The disk is full, the space reserved for a start included: free some of it, or start with as many " +
      "cores as the last time.";
  }
  switch (refused) {
    case "newer":
      return "It was written by a newer version: start that version.";
    case "damaged":
      return "`gregor check --data-dir DIR` lists the damage. Put back a copy of the files that it names, or " +
        "accept the loss: start once with --accept-loss --verify.";
    case "elsewhere":
      return "Otherwise put back a copy of the files that `gregor check --data-dir DIR` names; or move the data directory away " +
        "and start again: the node comes back under its id, and is filled by the others. If the metadata has no leader " +
        "without this node, `gregor partition recover __cluster_metadata/0` on one of the others comes first.";
    case "foreign":
      return "Start with that --node-id, or choose another --data-dir.";
    case "cluster":
      return "";
    case "memory":
      return "Raise --memory accordingly.";
    case "error":
      return "Check the disk and its permissions.";
  }
}
