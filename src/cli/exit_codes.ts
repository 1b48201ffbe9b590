/**
 * What the process says when it ends: a contract that scripts and supervisors rely on. The numbers are
 * those of sysexits(3) where it has a word for the case.
 *
 * @module
 */

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 64;
export const EXIT_DATA_DAMAGED = 65;
export const EXIT_UNREACHABLE = 69;
export const EXIT_INVARIANT = 70;
export const EXIT_HOST_UNFIT = 71;
export const EXIT_CANNOT_CREATE = 73;
export const EXIT_DISK_ERROR = 74;
export const EXIT_INTERRUPTED = 130;

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
      "The cluster said no (unknown topic, bad value, ...), or something unforeseen happened.",
    remedy: "The message is the broker's own, or names what was not foreseen.",
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
    meaning: "A rule of the program was broken; it stopped rather than go on.",
    remedy: "Keep the log and the data directory, restart, and report it.",
  },
  {
    code: EXIT_HOST_UNFIT,
    meaning: "This host cannot run a broker: no io_uring, or the memory cannot be locked.",
    remedy: "The message names the sysctl or limit to change.",
  },
  {
    code: EXIT_CANNOT_CREATE,
    meaning: "Data directory or port in use, or written by a newer version.",
    remedy: "Stop the other process, choose another directory or port, or upgrade.",
  },
  {
    code: EXIT_DISK_ERROR,
    meaning: "The disk failed a write or a flush; nothing unflushed was acknowledged.",
    remedy: "Look at the kernel log; replace the disk; start again.",
  },
  {
    code: EXIT_INTERRUPTED,
    meaning: "Interrupted before it was done.",
    remedy: "",
  },
];
