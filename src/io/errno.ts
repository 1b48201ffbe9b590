/**
 * The errno values that Gregor distinguishes; seams return them negated (Linux, x86-64 and aarch64).
 *
 * @module
 */

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const EMSGSIZE = 90;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ECONNREFUSED = 111;
export const ETIME = 62;
export const EDQUOT = 122;
export const ECANCELED = 125;

/** The meaning of a disk's errno for its caller. */
export const DiskTrouble = {
  /** It passes: the host is short of something, or the call was cut off. Nothing was lost; try again. */
  TRANSIENT: 0,
  /** There is no room, or none left of a quota: refuse what needs room, and try again later. */
  NO_SPACE: 1,
  /** The file or the device is damaged, or takes nothing any more. */
  DAMAGE: 2,
  /** The host forbids it, or something else has the name: the device works. Refuse what needs it, say so, try again later. */
  FORBIDDEN: 3,
} as const;
export type DiskTrouble = typeof DiskTrouble[keyof typeof DiskTrouble];

/**
 * The one place that distinguishes hiccups, a full disk, what is forbidden, and damage. @param result negative, as seams return it
 *
 * The kernel answers ECANCELED when it cannot create a thread for an operation; nobody cancels a disk's.
 */
export function diskTroubleOf(result: number): DiskTrouble {
  switch (-result) {
    case EINTR:
    case EAGAIN:
    case ENOMEM:
    case ENFILE:
    case EMFILE:
    case ENOBUFS:
    case ECANCELED:
      return DiskTrouble.TRANSIENT;
    case ENOSPC:
    case EDQUOT:
      return DiskTrouble.NO_SPACE;
    case EPERM:
    case EACCES:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
      return DiskTrouble.FORBIDDEN;
    default:
      return DiskTrouble.DAMAGE;
  }
}

/** The negative errno of what a synchronous call of the runtime threw; other errors are thrown again. */
export function errnoOf(error: unknown): number {
  const number = error instanceof Error ? /\(os error (\d+)\)/.exec(error.message)?.[1] : undefined;
  if (number === undefined) throw error;
  return -Number(number);
}

/** Whether the host forbids it. @param result negative, or not (then false) */
export function isForbidden(result: number): boolean {
  return result < 0 && diskTroubleOf(result) === DiskTrouble.FORBIDDEN;
}

/** Whether the disk, or a quota on it, is full. @param result negative, or not (then false) */
export function isNoSpace(result: number): boolean {
  return result < 0 && diskTroubleOf(result) === DiskTrouble.NO_SPACE;
}
