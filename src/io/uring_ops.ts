/**
 * Opcodes, flags and layouts shared with the shim; the twin of `ffi/src/op.rs`, where the layouts
 * are drawn.
 *
 * @module
 */

/** What an op does. */
export const Op = {
  Nop: 0,
  Read: 1,
  Write: 2,
  Sync: 3,
  Allocate: 4,
  Truncate: 5,
  Open: 6,
  Close: 7,
  Unlink: 8,
  Rename: 9,
  MakeDirectory: 10,
  RemoveDirectory: 11,
  SyncFileSystem: 12,
  Accept: 16,
  Recv: 17,
  RecvInto: 18,
  Send: 19,
  SendVector: 20,
  Connect: 22,
  Cancel: 23,
  Doorbell: 24,
  Provide: 25,
} as const;

export const WRITE_DURABLE = 1;
export const WRITE_SEAL_BLOCKS = 2;
export const SYNC_METADATA = 1;
export const OPEN_CREATE = 1;
export const OPEN_DIRECTORY = 2;
export const CLOSE_CANCEL_FIRST = 1;
export const POLL_FIRST = 1;
export const CANCEL_FD = 1;

/** Bytes at the start of a ring's mapping that hold paths. */
export const NAMES_SIZE = 64 * 1024;
/** Bytes of an op descriptor. */
export const OP_SIZE = 48;
/** Bytes of a completion. */
export const DONE_SIZE = 16;

/** User data of a doorbell or wake-up that arrived. */
export const DOORBELL = 0xffff_ffff;
/** User data of a doorbell that could not be delivered. */
export const DOORBELL_FAILED = 0xffff_fffe;
/** User data of an op whose completion nobody wants. */
export const UNWANTED = 0xffff_fffd;

/** Completion flag: a provided buffer was used; its id is in the upper 16 bits. */
export const FLAG_BUFFER = 1;
/** Completion flag: the operation goes on and will complete again. */
export const FLAG_MORE = 2;
