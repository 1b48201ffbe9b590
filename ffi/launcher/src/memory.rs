//! Memory for the parts: images where they will run, files without a name.

use std::ffi::CStr;
use std::io::Error;

/// Images begin at a multiple of this, so that huge pages fit.
const HUGE_PAGE: usize = 2 << 20;
const PAGE: usize = 4096;
/// Since Linux 6.3: says that nobody executes the file itself. Older kernels refuse the flag.
const MFD_NOEXEC_SEAL: u32 = 8;

/// Room for an image of `size` bytes, zeroed and writable. It is never given back.
pub fn room(size: usize) -> Result<*mut u8, Error> {
    let align = if size < HUGE_PAGE { PAGE } else { HUGE_PAGE };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let whole = size + align;
    // SAFETY: a new range; what is cut off at both ends is part of it, and nobody uses it.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let first = start as usize;
        let base = first.next_multiple_of(align);
        let end = (base + size).next_multiple_of(PAGE);
        if base > first {
            libc::munmap(start, base - first);
        }
        if first + whole > end {
            libc::munmap(end as *mut libc::c_void, first + whole - end);
        }
        protect(base as *mut u8, end - base, libc::PROT_READ | libc::PROT_WRITE)?;
        // A wish: fewer faults while it is filled, fewer misses of the TLB while it runs.
        if align == HUGE_PAGE {
            libc::madvise(base as *mut libc::c_void, end - base, libc::MADV_HUGEPAGE);
        }
        Ok(base as *mut u8)
    }
}

/// Gives whole pages of an image their final protection.
pub fn protect(start: *mut u8, length: usize, protection: i32) -> Result<(), Error> {
    // SAFETY: pages of an image, which is ours.
    let result = unsafe { libc::mprotect(start.cast(), length, protection) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// A file in memory, closed when another program is executed.
pub struct MemoryFile {
    pub descriptor: i32,
    start: *mut u8,
    size: usize,
}

impl MemoryFile {
    /// A file of `size` bytes, mapped to be written.
    pub fn create(name: &CStr, size: usize) -> Result<MemoryFile, Error> {
        let create = |flags: u32| {
            // SAFETY: a terminated name.
            unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | flags) }
        };
        let mut descriptor = create(MFD_NOEXEC_SEAL);
        if descriptor < 0 && Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
            descriptor = create(0);
        }
        if descriptor < 0 {
            return Err(Error::last_os_error());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: our descriptor; a new range.
        unsafe {
            if libc::ftruncate(descriptor, size as i64) != 0 {
                return Err(Error::last_os_error());
            }
            let null = std::ptr::null_mut();
            let start = libc::mmap(null, size, access, libc::MAP_SHARED, descriptor, 0);
            if start == libc::MAP_FAILED {
                return Err(Error::last_os_error());
            }
            Ok(MemoryFile { descriptor, start: start.cast(), size })
        }
    }

    pub fn start(&self) -> *mut u8 {
        self.start
    }

    /// A path that opens it, as long as this process lives.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.descriptor)
    }

    /// It is written; the descriptor stays.
    pub fn unmap(&self) {
        // SAFETY: our range, which nobody uses any more.
        unsafe { libc::munmap(self.start.cast(), self.size) };
    }
}
