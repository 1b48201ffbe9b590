/**
 * Words for what a host lacks, with what to do about it.
 *
 * @module
 */

import { EACCES, EINVAL, EMFILE, ENOMEM, ENOSYS, EPERM } from "./errno.ts";

/** What the host refuses, and what to do about it. */
export interface HostProblem {
  readonly message: string;
  readonly hint: string;
}

/** Words for the errno with which opening a ring failed. */
export function describeUringError(errno: number): HostProblem {
  switch (errno) {
    case ENOSYS:
      return {
        message: "This kernel has no io_uring.",
        hint: "Gregor needs Linux 6.1 or newer; a sandbox such as gVisor hides io_uring too.",
      };
    case EPERM:
    case EACCES:
      return {
        message: "io_uring is forbidden to this process.",
        hint: "Set the sysctl kernel.io_uring_disabled=0; in a container also allow it in the " +
          "seccomp profile (docker run --security-opt seccomp=PROFILE).",
      };
    case EINVAL:
      return {
        message: "This kernel's io_uring is too old (no SINGLE_ISSUER with DEFER_TASKRUN).",
        hint: "Gregor needs Linux 6.1 or newer.",
      };
    case ENOMEM:
      return {
        message: "There is no memory for an io_uring.",
        hint: "Free memory, raise the container's limit, or start with fewer --cores.",
      };
    case EMFILE:
      return {
        message: "There are too many open files for an io_uring.",
        hint: "Raise the limit: ulimit -n, or LimitNOFILE= in the systemd unit.",
      };
    default:
      return {
        message: `io_uring cannot be used (errno ${errno}).`,
        hint: "The kernel's log may say why.",
      };
  }
}
