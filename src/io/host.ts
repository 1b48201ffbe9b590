/**
 * Checks what a broker needs of its host, before anything is started; each problem comes with a message
 * that says what to do.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOTDIR,
  EPERM,
} from "./errno.ts";
import { describeUringError, type HostProblem, inMebibytes } from "./host_problem.ts";
import { mapRegion, type RegionOptions } from "./region.ts";
import { BLOCK_SIZE } from "./disk.ts";
import { encodeText, type Shim } from "./shim.ts";
import { setDataDirectory } from "./uring_disk.ts";

/** Ids of the processors that this thread may run on, ascending. */
export function allowedProcessors(shim: Shim): number[] {
  const ids = new Uint32Array(1024);
  const count = shim.gregor_allowed_cpus(new Uint8Array(ids.buffer), ids.length);
  return Array.from(ids.subarray(0, Math.max(0, count)));
}

/** Why io_uring cannot be used here, or null. */
export function uringProblem(shim: Shim): HostProblem | null {
  const result = shim.gregor_probe_uring();
  return result < 0 ? describeUringError(-result, shim.gregor_lockable_bytes()) : null;
}

/** Why `sizeBytes` cannot be locked into memory, or null; nothing is mapped for it. */
export function lockProblem(shim: Shim, sizeBytes: number): HostProblem | null {
  const lockableBytes = shim.gregor_lockable_bytes();
  return lockableBytes < sizeBytes ? describeLockLimit(sizeBytes, lockableBytes) : null;
}

/** Maps the process's memory region; returns why it cannot be, or null. */
export function mapMemory(
  shim: Shim,
  sizeBytes: number,
  options: RegionOptions,
): HostProblem | null {
  const refused = options.lock ? lockProblem(shim, sizeBytes) : null;
  if (refused !== null) return refused;
  const result = mapRegion(shim, sizeBytes, options);
  if (result === 0) return null;
  if (options.lock && (result === -EPERM || result === -EAGAIN)) {
    return describeLockLimit(sizeBytes, shim.gregor_lockable_bytes());
  }
  if (result === -EEXIST) {
    return {
      message: "A smaller memory region is mapped already in this process.",
      hint: "Restart the process.",
    };
  }
  return {
    message: `${inMebibytes(sizeBytes)} of memory cannot be allocated (errno ${-result}).`,
    hint: "Lower --memory, or raise the limit of the container.",
  };
}

function describeLockLimit(sizeBytes: number, lockableBytes: number): HostProblem {
  const limit = Number.isFinite(lockableBytes) ? inMebibytes(lockableBytes) : "less";
  return {
    message: `${
      inMebibytes(sizeBytes)
    } of memory cannot be locked; the limit (ulimit -l) is ${limit}.`,
    hint: "Raise it: ulimit -l unlimited, LimitMEMLOCK=infinity in the systemd unit, docker run " +
      "--ulimit memlock=-1; or start with --mode dev, which locks nothing.",
  };
}

/**
 * Listens for connections.
 *
 * @param port 0 for any free one
 * @param advertiseFlag says what others connect to
 * @returns the descriptor (accepted connections inherit TCP_NODELAY) and the port, or why not
 */
export function listen(
  shim: Shim,
  host: string,
  port: number,
  advertiseFlag = "--advertised-kafka-addr",
): { readonly fd: number; readonly port: number } | HostProblem {
  const name = encodeText(host);
  const fd = shim.gregor_listen(name, name.length, port);
  if (fd >= 0) return { fd, port: shim.gregor_local_port(fd) };
  return describeListenError(-fd, hostPort(host, port), advertiseFlag);
}

function describeListenError(errno: number, address: string, advertiseFlag: string): HostProblem {
  switch (errno) {
    case EADDRINUSE:
      return {
        message: `Cannot listen on ${address}: another process already listens there.`,
        hint: "Stop it, or choose another port (0 = any free one).",
      };
    case EADDRNOTAVAIL:
      return {
        message: `Cannot listen on ${address}: this host does not have that address.`,
        hint: `Listen on 0.0.0.0, and say what others connect to with ${advertiseFlag}.`,
      };
    case ENOENT:
      return {
        message: `Cannot listen on ${address}: the name does not resolve.`,
        hint: "Use an address of this host, or 0.0.0.0 for all of them.",
      };
    case EACCES:
      return {
        message: `Cannot listen on ${address}: not permitted.`,
        hint: "Ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one.",
      };
    default:
      return {
        message: `Cannot listen on ${address} (errno ${errno}).`,
        hint: "Choose another address.",
      };
  }
}

/**
 * The numeric `address:port` of a host, or null when its name does not resolve. It may block for
 * seconds: only for the control thread.
 */
export function resolveAddress(shim: Shim, host: string, port: number): string | null {
  const name = encodeText(host);
  const target = new Uint8Array(64);
  const length = shim.gregor_resolve(name, name.length, port, target, target.length);
  return length < 0 ? null : new TextDecoder().decode(target.subarray(0, length));
}

/** The other end of a connection as `address:port`, or "unknown" when it has gone. */
export function peerAddress(shim: Shim, fd: number): string {
  const target = new Uint8Array(64);
  const length = shim.gregor_peer(fd, target, target.length);
  return length < 0 ? "unknown" : new TextDecoder().decode(target.subarray(0, length));
}

const LOCK_FILE = "gregor.lock";

/**
 * Makes `path` the data directory of this process, creating it, and locks it against another one.
 *
 * @returns why that cannot be, or null; the lock lasts until the process ends
 */
export function claimDataDirectory(shim: Shim, path: string): HostProblem | null {
  try {
    Deno.mkdirSync(path, { recursive: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      message: `Cannot create the data directory ${path}: ${reason}.`,
      hint: "Choose another --data-dir, or change the permissions of its parent.",
    };
  }
  const opened = setDataDirectory(shim, path);
  if (opened < 0) return describeDirectoryError(-opened, path);
  const name = encodeText(LOCK_FILE);
  const locked = shim.gregor_lock_file(name, name.length);
  if (locked < 0) return describeDirectoryError(-locked, path, lockHolder(path));
  noteLockHolder(path);
  const direct = shim.gregor_probe_direct();
  return direct < 0 ? describeDirectoryError(-direct, path) : alignmentProblem(path, direct);
}

/** Writes this process's number into the lock file, for people: `kill $(cat DIR/gregor.lock)`. */
function noteLockHolder(path: string): void {
  try {
    Deno.writeTextFileSync(`${path}/${LOCK_FILE}`, `${Deno.pid}\n`);
  } catch {
    // On a full disk the file stays empty. The lock still holds.
  }
}

/** The process id in the lock file, as text; empty when there is none. */
function lockHolder(path: string): string {
  try {
    const pid = Deno.readTextFileSync(`${path}/${LOCK_FILE}`).trim();
    return /^\d+$/.test(pid) ? ` (${pid})` : "";
  } catch {
    return "";
  }
}

/** Why direct transfers at `path` would fail that need an alignment of `bytes`, or null. */
export function alignmentProblem(path: string, bytes: number): HostProblem | null {
  if (bytes <= BLOCK_SIZE) return null;
  return {
    message:
      `The device of ${path} takes direct I/O only in units of ${bytes} bytes; Gregor's are ` +
      `${BLOCK_SIZE} bytes.`,
    hint: `Put --data-dir on a device whose logical blocks have at most ${BLOCK_SIZE} bytes.`,
  };
}

/** Words for the errno with which a data directory cannot be used. */
export function describeDirectoryError(errno: number, path: string, holder = ""): HostProblem {
  switch (errno) {
    case EAGAIN:
      return {
        message: `The data directory ${path} is in use by another process${holder}.`,
        hint: "Stop that process, or choose another --data-dir.",
      };
    case EACCES:
    case EPERM:
      return {
        message: `The data directory ${path} is not accessible to this user.`,
        hint: "Give it to the user that runs the broker: chown -R USER DIR.",
      };
    case EINVAL:
      return {
        message: `The file system of ${path} has no direct I/O (O_DIRECT).`,
        hint: "Put --data-dir on ext4 or xfs; some overlay and network file systems lack it.",
      };
    case ENOTDIR:
      return {
        message: `${path} is not a directory.`,
        hint: "Choose another --data-dir.",
      };
    default:
      return {
        message: `The data directory ${path} cannot be opened (errno ${errno}).`,
        hint: "Choose another --data-dir.",
      };
  }
}

/** Raises this process's limit of open files as far as it may; returns it. */
export function raiseFileLimit(shim: Shim): number {
  return shim.gregor_raise_file_limit();
}

/** Descriptors that this process has open. */
export function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}
