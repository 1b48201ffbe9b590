/**
 * Messages about what a host lacks, with what to do about it.
 *
 * @module
 */

import { EACCES, EAGAIN, EINVAL, EMFILE, ENOMEM, ENOSYS, EPERM } from "./errno.ts";

/** What the host refuses, and what to do about it. */
export interface HostProblem {
  readonly message: string;
  readonly hint: string;
}

/** What the process may use of the host's memory. */
export interface MemoryLimits {
  /** Of the whole host (bytes). */
  readonly ramBytes: number;
  /** What could be had now without swapping (bytes). */
  readonly availableBytes: number;
  /** The tightest limit of the process's cgroups (bytes; Infinity without one), and the file that says so. */
  readonly cgroupBytes: number;
  readonly cgroupFile: string;
}

/** Share of what there is that a broker's region may take: the runtime and the kernel need the rest. */
export const REGION_SHARE_MAX = 0.9;

/**
 * Why a region of `sizeBytes` must not even be tried, or null: the kernel would grant it, and kill the
 * process (or another one) when the pages are touched.
 *
 * @param besideBytes what the broker may take beside the region: decoders
 * @param locked all of it is touched at the start, and never swapped
 */
export function memorySizeProblem(
  sizeBytes: number,
  besideBytes: number,
  limits: MemoryLimits,
  locked: boolean,
): HostProblem | null {
  const wanted = `--memory ${inMebibytes(sizeBytes)}`;
  const { ramBytes, availableBytes, cgroupBytes, cgroupFile } = limits;
  const largest = (bytes: number): number =>
    Math.min(bytes * REGION_SHARE_MAX, bytes - besideBytes);
  const most = (bytes: number): string => inMebibytes(largest(bytes));
  if (sizeBytes > largest(cgroupBytes)) {
    return {
      message: `${wanted} is too much: this container may use ${inMebibytes(cgroupBytes)} ` +
        `(${cgroupFile}), and the broker needs some more.`,
      hint: `Set --memory to ${most(cgroupBytes)} at most, or raise the container's limit ` +
        `(docker run --memory, MemoryMax= in the systemd unit).`,
    };
  }
  if (sizeBytes > largest(ramBytes)) {
    return {
      message: `${wanted} is too much: this host has ${inMebibytes(ramBytes)}, and the broker ` +
        `and the kernel need some more.`,
      hint: `Set --memory to ${most(ramBytes)} at most.`,
    };
  }
  if (locked && sizeBytes > availableBytes) {
    return {
      message: `${wanted} is too much: of this host's ${inMebibytes(ramBytes)}, other programs ` +
        `leave ${inMebibytes(availableBytes)}.`,
      hint:
        `Set --memory to ${
          inMebibytes(availableBytes * REGION_SHARE_MAX)
        } at most, end other programs, or start with ` +
        `--mode dev, which takes memory as it needs it.`,
    };
  }
  return null;
}

/** Bytes for people: whole MiB, as `--memory` takes them. */
export function inMebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)}MiB`;
}

/** Words for a limit of open files that is too low to serve anybody. */
export function describeFileLimit(limit: number, needed: number): HostProblem {
  return {
    message:
      `The limit of open files is ${limit}; with this number of cores a broker needs ${needed}.`,
    hint:
      "Raise it: ulimit -n, LimitNOFILE= in the systemd unit, docker run --ulimit nofile=; or " +
      "start with fewer --cores.",
  };
}

/**
 * Words for the errno with which opening a ring failed.
 *
 * @param lockableBytes RLIMIT_MEMLOCK, which the kernel counts rings against; Infinity: no limit
 */
export function describeUringError(errno: number, lockableBytes = Infinity): HostProblem {
  if (errno === ENOMEM && Number.isFinite(lockableBytes)) {
    return {
      message:
        `The limit of locked memory (ulimit -l) is ${Math.floor(lockableBytes / 1024)} KiB: ` +
        `too little for the io_urings of this user.`,
      hint:
        "Raise it: ulimit -l unlimited, LimitMEMLOCK=infinity in the systemd unit, docker run " +
        "--ulimit memlock=-1; or start with fewer --cores, each of which has a ring.",
    };
  }
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
        hint:
          "Set the sysctl kernel.io_uring_disabled=0; in a container also allow io_uring_setup, " +
          "io_uring_enter and io_uring_register in the seccomp profile (docker run " +
          "--security-opt seccomp=PROFILE).",
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
    case EAGAIN:
      return {
        message: "No thread can be created for an io_uring.",
        hint:
          "Raise the limit of threads: --pids-limit of the container, TasksMax= in the systemd " +
          "unit, ulimit -u.",
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
