//! Memory that unsubmitted entries point to: names, vectors, addresses.
//!
//! The kernel copies all of it when it takes an entry (IORING_FEAT_SUBMIT_STABLE), so the scratch space
//! is emptied after each submission. Its capacities are never exceeded, so nothing in it moves.

use crate::errors::Outcome;
use crate::region;
use crate::ring::{NAMES_SIZE, Ring};

/// Most parts of one vectored send (the kernel's UIO_MAXIOV).
const VECTOR_PARTS_MAX: usize = 1024;
const IOVECS_MAX: usize = 8 * VECTOR_PARTS_MAX;
const HEADERS_MAX: usize = 1024;
const ADDRESSES_MAX: usize = 64;

pub struct Scratch {
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::msghdr>,
    addresses: Vec<libc::sockaddr_storage>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            iovecs: Vec::with_capacity(IOVECS_MAX),
            headers: Vec::with_capacity(HEADERS_MAX),
            addresses: Vec::with_capacity(ADDRESSES_MAX),
        }
    }

    /// Whether the largest op would not fit any more: submit first.
    pub fn is_tight(&self) -> bool {
        self.iovecs.len() + VECTOR_PARTS_MAX > IOVECS_MAX
            || self.headers.len() == HEADERS_MAX
            || self.addresses.len() == ADDRESSES_MAX
    }

    pub fn forget(&mut self) {
        self.iovecs.clear();
        self.headers.clear();
        self.addresses.clear();
    }

    /// Builds the header of a vectored send from `count` pairs (address f64, length f64) at `address`.
    /// With `halved`, half of the bytes (rounded up). EINVAL: no part or too many. EFAULT: a part outside
    /// the region.
    pub fn vector(
        &mut self,
        address: f64,
        count: usize,
        halved: bool,
    ) -> Outcome<*const libc::msghdr> {
        if count == 0 || count > VECTOR_PARTS_MAX {
            return Err(libc::EINVAL);
        }
        let pairs = region::resolve(address, count * 16)?.cast::<f64>();
        let first = self.iovecs.len();
        for at in 0..count {
            // SAFETY: inside the range resolved above; read without assuming alignment.
            let (part, length) = unsafe {
                (pairs.add(2 * at).read_unaligned(), pairs.add(2 * at + 1).read_unaligned())
            };
            let length = if (0.0..=4e9).contains(&length) { length as usize } else { usize::MAX };
            match region::resolve(part, length) {
                Ok(start) => {
                    self.iovecs.push(libc::iovec { iov_base: start.cast(), iov_len: length });
                }
                Err(errno) => {
                    self.iovecs.truncate(first);
                    return Err(errno);
                }
            }
        }
        if halved {
            halve(&mut self.iovecs[first..]);
        }
        // SAFETY: all-zero is a valid empty header.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = self.iovecs[first..].as_mut_ptr();
        header.msg_iovlen = count;
        self.headers.push(header);
        Ok(&self.headers[self.headers.len() - 1])
    }

    /// Keeps a socket address until it has been submitted.
    pub fn address(&mut self, address: libc::sockaddr_storage) -> *const libc::sockaddr_storage {
        self.addresses.push(address);
        &self.addresses[self.addresses.len() - 1]
    }
}

/// Cuts `parts` to half of their bytes (rounded up); the later ones become empty.
fn halve(parts: &mut [libc::iovec]) {
    let total: usize = parts.iter().map(|part| part.iov_len).sum();
    let mut left = total - total / 2;
    for part in parts {
        part.iov_len = part.iov_len.min(left);
        left -= part.iov_len;
    }
}

impl Ring {
    /// The NUL-terminated path at `offset` of the names area. EINVAL: not terminated, absolute, empty
    /// or with a `..` in it: nothing outside the data directory can be named.
    pub fn name(&self, offset: f64, length: u32) -> Outcome<*const libc::c_char> {
        let bytes = self.name_bytes(offset, length as usize + 1)?;
        let (last, path) = bytes.split_last().ok_or(libc::EINVAL)?;
        let escapes = path.split(|&byte| byte == b'/').any(|part| part == b"..");
        if *last != 0 || path.is_empty() || path.contains(&0) || path[0] == b'/' || escapes {
            return Err(libc::EINVAL);
        }
        Ok(bytes.as_ptr().cast())
    }

    /// The text at `offset` of the names area. EINVAL: not UTF-8.
    pub fn name_text(&self, offset: f64, length: u32) -> Outcome<String> {
        let bytes = self.name_bytes(offset, length as usize)?;
        std::str::from_utf8(bytes).map(String::from).map_err(|_| libc::EINVAL)
    }

    fn name_bytes(&self, offset: f64, length: usize) -> Outcome<&[u8]> {
        if !(0.0..=NAMES_SIZE as f64).contains(&offset) || length > NAMES_SIZE - offset as usize {
            return Err(libc::EFAULT);
        }
        // SAFETY: inside the names area, which lives as long as the process.
        Ok(unsafe { std::slice::from_raw_parts(self.mapping.add(offset as usize), length) })
    }
}
