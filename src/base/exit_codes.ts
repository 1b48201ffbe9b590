/**
 * The process's exit codes: a contract that scripts and supervisors rely on. The numbers are
 * those of sysexits(3) where it has a word for the case; their meanings and remedies are in
 * `src/cli/exit_codes.ts`.
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
