//! The process's one memory region. An *address* is a byte offset in it; every operation that takes
//! an address is checked against the region's size before a pointer is made of it.

use crate::errors::{Outcome, last_errno};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lock the region's pages in memory (`mlock` of exactly this range).
pub const LOCK: u32 = 1;
/// Touch every page now, so that no fault happens later.
pub const POPULATE: u32 = 2;
/// Ask for transparent huge pages.
pub const HUGE: u32 = 4;

const ALIGNMENT: usize = 2 << 20;

static BASE: AtomicUsize = AtomicUsize::new(0);
static SIZE: AtomicUsize = AtomicUsize::new(0);

/// Maps the region: once in a process, never unmapped (views of it live until the exit).
///
/// EEXIST: mapped already. EINVAL: not a positive whole number of 4 KiB pages. ENOMEM: no such
/// address space, or RLIMIT_MEMLOCK is too low (with LOCK). EPERM: may not lock at all.
pub fn map(bytes: f64, flags: u32) -> Outcome<i32> {
    if BASE.load(Ordering::Acquire) != 0 {
        return Err(libc::EEXIST);
    }
    if !(4096.0..=1e15).contains(&bytes) || bytes % 4096.0 != 0.0 {
        return Err(libc::EINVAL);
    }
    let size = bytes as usize;
    let base = map_aligned(size)?;
    if let Err(errno) = prepare(base, size, flags) {
        // SAFETY: the range was mapped above and nobody has seen it.
        unsafe { libc::munmap(base as *mut libc::c_void, size) };
        return Err(errno);
    }
    SIZE.store(size, Ordering::Release);
    if BASE.compare_exchange(0, base, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Err(libc::EEXIST);
    }
    Ok(0)
}

fn map_aligned(size: usize) -> Outcome<usize> {
    let padded = size + ALIGNMENT;
    // SAFETY: an anonymous mapping at an address of the kernel's choice.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            padded,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(last_errno());
    }
    let start = mapped as usize;
    let base = start.next_multiple_of(ALIGNMENT);
    let head = base - start;
    let size_up = size.next_multiple_of(4096);
    // SAFETY: both ranges lie inside the mapping made above, outside of what is kept.
    unsafe {
        if head > 0 {
            libc::munmap(mapped, head);
        }
        let tail = padded - head - size_up;
        if tail > 0 {
            libc::munmap((base + size_up) as *mut libc::c_void, tail);
        }
    }
    Ok(base)
}

fn prepare(base: usize, size: usize, flags: u32) -> Outcome<()> {
    let start = base as *mut libc::c_void;
    // SAFETY: the range is ours. Advice is only advice: refused huge pages cost speed, nothing else.
    // A forked child must not share pages under a direct transfer, and has no use for them.
    unsafe {
        libc::madvise(start, size, libc::MADV_DONTFORK);
        libc::madvise(start, size, libc::MADV_DONTDUMP);
        if flags & HUGE != 0 {
            libc::madvise(start, size, libc::MADV_HUGEPAGE);
        }
        if flags & LOCK != 0 && libc::mlock(start, size) != 0 {
            return Err(last_errno());
        }
        if flags & POPULATE != 0 && libc::madvise(start, size, libc::MADV_POPULATE_WRITE) != 0 {
            return Err(last_errno());
        }
    }
    Ok(())
}

/// First byte of the region, or null before it is mapped.
pub fn base() -> *mut u8 {
    BASE.load(Ordering::Acquire) as *mut u8
}

/// Bytes in the region, 0 before it is mapped.
pub fn size() -> usize {
    if BASE.load(Ordering::Acquire) == 0 { 0 } else { SIZE.load(Ordering::Acquire) }
}

/// The pointer to `length` bytes at `address`. EFAULT when they do not lie in the region.
pub fn resolve(address: f64, length: usize) -> Outcome<*mut u8> {
    let size = size();
    // A NaN or a negative address fails the first comparison.
    if !(address >= 0.0 && address <= size as f64) {
        return Err(libc::EFAULT);
    }
    let offset = address as usize;
    if length > size - offset {
        return Err(libc::EFAULT);
    }
    Ok((BASE.load(Ordering::Relaxed) + offset) as *mut u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_once_and_resolves_inside_alone() {
        assert_eq!(resolve(0.0, 1), Err(libc::EFAULT), "nothing is mapped yet");
        for bad in [0.0, -4096.0, 4097.0, f64::NAN, f64::INFINITY] {
            assert_eq!(map(bad, 0), Err(libc::EINVAL), "{bad}");
        }
        let bytes = 3.0 * 4096.0;
        assert_eq!(map(bytes, POPULATE | HUGE), Ok(0));
        assert_eq!(map(bytes, 0), Err(libc::EEXIST));
        assert_eq!(size(), 3 * 4096);
        assert_eq!(base() as usize % ALIGNMENT, 0);
        for (address, length) in [(0.0, 3 * 4096), (12_287.0, 1), (12_288.0, 0), (5.0, 100)] {
            let start = resolve(address, length).map(|start| start as usize - base() as usize);
            assert_eq!(start, Ok(address as usize));
        }
        let outside = [
            (0.0, 3 * 4096 + 1),
            (12_288.0, 1),
            (-1.0, 1),
            (f64::NAN, 1),
            (1e300, 1),
            (0.0, usize::MAX),
        ];
        for (address, length) in outside {
            assert_eq!(resolve(address, length), Err(libc::EFAULT), "{address} {length}");
        }
    }
}
