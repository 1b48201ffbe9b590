/**
 * The exit codes in words, for `gregor help exit-codes`; the numbers are in `src/base/exit_codes.ts`.
 *
 * @module
 */

import {
  EXIT_CANNOT_CREATE,
  EXIT_DATA_DAMAGED,
  EXIT_DISK_ERROR,
  EXIT_FAILED,
  EXIT_HOST_UNFIT,
  EXIT_INTERRUPTED,
  EXIT_INVARIANT,
  EXIT_OK,
  EXIT_UNREACHABLE,
  EXIT_USAGE,
} from "../base/exit_codes.ts";

export * from "../base/exit_codes.ts";

/** One exit code for `gregor help exit-codes`. */
export interface ExitCode {
  readonly code: number;
  readonly meaning: string;
  readonly remedy: string;
}

export const EXIT_CODES: readonly ExitCode[] = [
  {
    code: EXIT_OK,
    meaning: "Done. A broker: stopped by SIGTERM or SIGINT, leadership handed over, all flushed.",
    remedy: "",
  },
  {
    code: EXIT_FAILED,
    meaning:
      "The cluster refused the request (unknown topic, bad value, ...), or an unexpected error occurred.",
    remedy: "The message is the broker's own, or names the unexpected error.",
  },
  {
    code: EXIT_USAGE,
    meaning: "The command line is wrong. Every problem is listed at once.",
    remedy: "Run the command with --help.",
  },
  {
    code: EXIT_DATA_DAMAGED,
    meaning: "Data on disk is damaged.",
    remedy: "Stop the broker, run `gregor check --data-dir DIR`; replicas refill a damaged node.",
  },
  {
    code: EXIT_UNREACHABLE,
    meaning: "No broker answered (client commands).",
    remedy: "Compare --brokers with the broker's `ready kafka=...` line.",
  },
  {
    code: EXIT_INVARIANT,
    meaning: "An invariant of the program was broken; the process stopped.",
    remedy: "Keep the log and the data directory, restart, and report it.",
  },
  {
    code: EXIT_HOST_UNFIT,
    meaning: "This host cannot run a broker: no io_uring, or the memory cannot be locked.",
    remedy: "The message names the sysctl or limit to change.",
  },
  {
    code: EXIT_CANNOT_CREATE,
    meaning: "Data directory or port in use, written by a newer version, or of a node that its " +
      "cluster does not take.",
    remedy:
      "Stop the other process, choose another directory or port, or upgrade; the message says " +
      "why a cluster refuses a node.",
  },
  {
    code: EXIT_DISK_ERROR,
    meaning: "The disk failed a write or a flush; nothing unflushed was acknowledged.",
    remedy: "Look at the kernel log; replace the disk; start again: it verifies everything first.",
  },
  {
    code: EXIT_INTERRUPTED,
    meaning: "Interrupted before it was done.",
    remedy: "",
  },
];
