//! The descriptors that TypeScript writes and the completions that it reads (little-endian):
//!
//! ```text
//! op         0 opcode u8 | 1 flags u8 | 2 group u16 | 4 fd i32 | 8 length u32 | 12 user data u32
//! (48 bytes) 16 address f64 | 24 position f64 | 32 extra u32 | 36 extra2 u32 | 40 address2 f64
//! done       0 user data u32 | 4 result i32 | 8 flags u32 | 12 reserved u32
//! (16 bytes)
//! ```
//!
//! Addresses are offsets in the region, paths are byte ranges of the ring's names area. Numbers that
//! may pass 2^32 travel as f64, which JavaScript stores at no cost and which is exact to 2^53.

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Op {
    pub opcode: u8,
    pub flags: u8,
    pub group: u16,
    pub fd: i32,
    pub length: u32,
    pub user_data: u32,
    pub address: f64,
    pub position: f64,
    pub extra: u32,
    pub extra2: u32,
    pub address2: f64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Done {
    pub user_data: u32,
    pub result: i32,
    pub flags: u32,
    pub reserved: u32,
}

const _: () = assert!(size_of::<Op>() == 48 && size_of::<Done>() == 16);

/// User data of a doorbell that arrived (result: the sender's ring) or of a `wake` (result: -1).
pub const DOORBELL: u32 = 0xffff_ffff;
/// User data of a doorbell that could not be delivered (result: the errno).
pub const DOORBELL_FAILED: u32 = 0xffff_fffe;
/// User data of an op whose completion nobody wants; it is dropped here.
pub const UNWANTED: u32 = 0xffff_fffd;

/// What the opcodes mean is written where each is translated (`translate.rs`).
pub mod code {
    pub const NOP: u8 = 0;
    pub const READ: u8 = 1;
    pub const WRITE: u8 = 2;
    pub const SYNC: u8 = 3;
    pub const ALLOCATE: u8 = 4;
    pub const TRUNCATE: u8 = 5;
    pub const OPEN: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const UNLINK: u8 = 8;
    pub const RENAME: u8 = 9;
    pub const MAKE_DIRECTORY: u8 = 10;
    pub const REMOVE_DIRECTORY: u8 = 11;
    pub const SYNC_FILE_SYSTEM: u8 = 12;
    pub const ACCEPT: u8 = 16;
    pub const RECV: u8 = 17;
    pub const RECV_INTO: u8 = 18;
    pub const SEND: u8 = 19;
    pub const SEND_VECTOR: u8 = 20;
    pub const CONNECT: u8 = 22;
    pub const CANCEL: u8 = 23;
    pub const DOORBELL: u8 = 24;
    pub const PROVIDE: u8 = 25;
}

/// Bits of `flags`; each is meant for the opcode it is named after (`POLL_FIRST`: receives and sends).
pub mod flag {
    pub const WRITE_DURABLE: u8 = 1;
    pub const WRITE_SEAL_BLOCKS: u8 = 2;
    pub const SYNC_METADATA: u8 = 1;
    pub const OPEN_CREATE: u8 = 1;
    pub const OPEN_DIRECTORY: u8 = 2;
    pub const CLOSE_CANCEL_FIRST: u8 = 1;
    pub const POLL_FIRST: u8 = 1;
    /// Injected: send half of the bytes.
    pub const SEND_HALF: u8 = 2;
    pub const CANCEL_FD: u8 = 1;
}
