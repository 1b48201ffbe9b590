//! One io_uring, owned by the thread that opened it, with the tables it shares with TypeScript.
//!
//! The ring is set up SINGLE_ISSUER and DEFER_TASKRUN: completions are produced only while its thread
//! is inside `io_uring_enter`, never by interrupting JavaScript. One mapping holds what both sides
//! touch: `names (64 KiB) | ops | completions`.
//!
//! A request's 64-bit user data is `kind (8 bits) | tag (24) | TypeScript's user data (32)`.

use crate::errors::{Outcome, check, last_errno};
use crate::faults::Fault;
use crate::op::{DOORBELL, DOORBELL_FAILED, Done, Op, UNWANTED};
use crate::scratch::Scratch;
use crate::table;
use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Bytes of the names area, at the start of a ring's mapping.
pub const NAMES_SIZE: usize = 64 << 10;
const GROUPS_MAX: usize = 4;
const DOORBELL_ATTEMPTS_MAX: u32 = 100;
/// Closing a socket takes two entries: cancel, close.
const ENTRIES_PER_OP_MAX: usize = 2;

/// What a completion is, besides being TypeScript's; kind 0 is nothing special.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// The read of the wake-up eventfd.
    Wake = 1,
    DoorbellIn = 2,
    /// Tag: the target ring. Completes only when it failed.
    DoorbellOut = 3,
    Ignored = 4,
    /// Tag: index of the fault to apply.
    Faulty = 5,
}

/// Builds a request's user data.
pub fn tagged(kind: Kind, tag: u32, user_data: u32) -> u64 {
    (kind as u64) << 56 | u64::from(tag & 0xff_ffff) << 32 | u64::from(user_data)
}

struct BufferGroup {
    entries: *mut types::BufRingEntry,
    mask: u16,
    tail: u16,
}

struct Held {
    due: Instant,
    done: Done,
}

pub struct Ring {
    pub index: u32,
    pub has_ftruncate: bool,
    uring: IoUring,
    enter_fd: i32,
    enter_flags: u32,
    pub mapping: *mut u8,
    op_capacity: usize,
    done_capacity: usize,
    /// Completions that did not come from the ring, delivered before those that did.
    backlog: VecDeque<Done>,
    wake_value: Box<u64>,
    wake_fd: i32,
    wake_armed: bool,
    doorbell_attempts: u32,
    /// Null without one; see `turn.rs`.
    pub watched_word: *const AtomicU32,
    groups: [Option<BufferGroup>; GROUPS_MAX],
    pub scratch: Scratch,
    held: Vec<Held>,
    faults: Vec<Option<Fault>>,
}

/// Sizes of a ring, all powers of two.
pub struct Sizes {
    pub submissions: u32,
    pub completions: u32,
    pub ops: u32,
    pub dones: u32,
}

impl Ring {
    /// Opens a ring for the calling thread. EINVAL: sizes, or a kernel before 6.1. EPERM: io_uring is
    /// disabled for this process. ENOSYS: the kernel has none. EAGAIN: no thread could be made for
    /// it. ENOMEM, EMFILE.
    pub fn open(index: u32, sizes: &Sizes) -> Outcome<Box<Ring>> {
        for size in [sizes.submissions, sizes.completions, sizes.ops, sizes.dones] {
            if !size.is_power_of_two() || !(8..=65_536).contains(&size) {
                return Err(libc::EINVAL);
            }
        }
        let mut uring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(sizes.completions)
            .dontfork()
            .build(sizes.submissions)
            .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        limit_workers(&uring)?;
        start_worker(&mut uring)?;
        let ring_fd = uring.as_raw_fd();
        let mut probe = Probe::new();
        let probed = uring.submitter().register_probe(&mut probe).is_ok();
        let (enter_fd, enter_flags) = register_ring_fd(ring_fd);
        let op_capacity = sizes.ops as usize;
        let done_capacity = sizes.dones as usize;
        let mapping_size =
            NAMES_SIZE + op_capacity * size_of::<Op>() + done_capacity * size_of::<Done>();
        let mapping = map_anonymous(mapping_size)?;
        // SAFETY: plain call without pointers.
        let wake_fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
        let mut ring = Box::new(Ring {
            index,
            has_ftruncate: probed && probe.is_supported(opcode::Ftruncate::CODE),
            uring,
            enter_fd,
            enter_flags,
            mapping,
            op_capacity,
            done_capacity,
            backlog: VecDeque::with_capacity(256),
            wake_value: Box::new(0),
            wake_fd,
            wake_armed: false,
            doorbell_attempts: 0,
            watched_word: std::ptr::null(),
            groups: [const { None }; GROUPS_MAX],
            scratch: Scratch::new(),
            held: Vec::new(),
            faults: Vec::new(),
        });
        ring.arm_wake()?;
        let entry = table::entry(index)?;
        table::begin_life(entry, ring_fd, wake_fd);
        Ok(ring)
    }

    /// The start of the mapping that TypeScript wraps, and its size.
    pub fn mapping(&self) -> *mut u8 {
        self.mapping
    }

    /// Gives everything back to the kernel, except the mapping: views of it may still exist.
    pub fn close(self: Box<Ring>) {
        if let Ok(entry) = table::entry(self.index) {
            table::end_life(entry);
        }
        // A ring that stays registered stays alive, with all that is in flight on it.
        unregister_ring_fd(self.uring.as_raw_fd(), self.enter_fd, self.enter_flags);
        // The kernel may still write into the wake-up value until the ring's teardown has finished.
        let Ring { uring, wake_value, .. } = *self;
        Box::leak(wake_value);
        drop(uring);
    }

    /// Registers an empty group of provided buffers. EINVAL: no such group, or not a power of two.
    /// EEXIST: registered already.
    pub fn add_group(&mut self, group: u16, entries: u32) -> Outcome<i32> {
        let known = self.groups.get(group as usize).ok_or(libc::EINVAL)?;
        if known.is_some() {
            return Err(libc::EEXIST);
        }
        if !entries.is_power_of_two() || entries > 32_768 {
            return Err(libc::EINVAL);
        }
        let memory = map_anonymous(entries as usize * size_of::<types::BufRingEntry>())?;
        // SAFETY: the mapping is page-aligned, large enough, and never unmapped.
        unsafe {
            self.uring
                .submitter()
                .register_buf_ring_with_flags(memory as u64, entries as u16, group, 0)
                .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
        }
        let mask = (entries - 1) as u16;
        self.groups[group as usize] = Some(BufferGroup { entries: memory.cast(), mask, tail: 0 });
        Ok(0)
    }

    /// Gives buffer `id` of `group` (back) to the kernel. EINVAL: no such group.
    pub fn provide(&mut self, group: u16, id: u16, address: *mut u8, length: u32) -> Outcome<()> {
        let group = self.groups.get_mut(group as usize).and_then(Option::as_mut);
        let group = group.ok_or(libc::EINVAL)?;
        // SAFETY: the index is masked to the mapping; the tail lies in its first entry, by the ABI.
        unsafe {
            let entry = &mut *group.entries.add((group.tail & group.mask) as usize);
            entry.set_addr(address as u64);
            entry.set_len(length);
            entry.set_bid(id);
            group.tail = group.tail.wrapping_add(1);
            let tail = types::BufRingEntry::tail(group.entries).cast::<AtomicU16>();
            (*tail).store(group.tail, Ordering::Release);
        }
        Ok(())
    }

    /// Translates the first `count` descriptors; what fails at once joins the backlog.
    /// EINVAL: more than the table holds. EBUSY: the kernel takes nothing (out of memory). What a
    /// `Provide` fails with, which is a mistake of its caller.
    pub fn prepare(&mut self, count: u32) -> Outcome<()> {
        use crate::translate::Step;
        if count as usize > self.op_capacity {
            return Err(libc::EINVAL);
        }
        for at in 0..count as usize {
            // SAFETY: inside the mapping; TypeScript does not run meanwhile.
            let op = unsafe { *self.mapping.add(NAMES_SIZE).cast::<Op>().add(at) };
            // Submitting empties the scratch space, so there must be room before an entry is built.
            self.make_room()?;
            let result = match self.translate(&op) {
                Ok(Step::Queue(entry)) => {
                    self.push(entry)?;
                    continue;
                }
                Ok(Step::Nothing) => continue,
                Err(errno) if op.opcode == crate::op::code::DOORBELL => {
                    let result = -errno;
                    let user_data = DOORBELL_FAILED;
                    self.backlog.push_back(Done { user_data, result, flags: 0, reserved: 0 });
                    continue;
                }
                // Nobody waits for its completion, and a buffer that is lost is missed much later.
                Err(errno) if op.opcode == crate::op::code::PROVIDE => return Err(errno),
                Err(errno) => -errno,
            };
            self.tell(op.user_data, result, 0);
        }
        Ok(())
    }

    fn tell(&mut self, user_data: u32, result: i32, flags: u32) {
        if user_data != UNWANTED {
            self.backlog.push_back(Done { user_data, result, flags, reserved: 0 });
        }
    }

    /// Makes sure that an op's entries fit in the queue, by submitting what fills it.
    fn make_room(&mut self) -> Outcome<()> {
        let queue = self.uring.submission();
        let free = queue.capacity() - queue.len();
        drop(queue);
        if free < ENTRIES_PER_OP_MAX || self.scratch.is_tight() {
            self.submit_all(0)
        } else {
            Ok(())
        }
    }

    /// Queues an entry. EBUSY: the queue is full, which `make_room` rules out.
    pub fn push(&mut self, entry: squeue::Entry) -> Outcome<()> {
        // SAFETY: what the entry points to is in the region, in the mapping or in scratch space.
        unsafe { self.uring.submission().push(&entry) }.map_err(|_| libc::EBUSY)
    }

    /// Hands every queued entry to the kernel. EBUSY after about a second of refusals.
    pub fn submit_all(&mut self, flags: u32) -> Outcome<()> {
        let mut refusals = 0;
        loop {
            let pending = self.uring.submission().len() as u32;
            if pending == 0 {
                self.scratch.forget();
                return Ok(());
            }
            match self.enter(pending, 0, flags, None) {
                Ok(taken) if taken > 0 => continue,
                Ok(_) | Err(libc::EAGAIN) | Err(libc::EBUSY) => {
                    // Out of memory, or too many completions wait: take those, and try again.
                    refusals += 1;
                    if refusals > 1000 {
                        return Err(libc::EBUSY);
                    }
                    self.rescue();
                    let _ = self.enter(0, 0, ENTER_GETEVENTS, None);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(libc::EINTR) => continue,
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Moves what is in the completion queue to the backlog, to make room in the kernel.
    #[cold]
    fn rescue(&mut self) {
        while let Some(entry) = self.next_entry() {
            if let Some(done) = self.interpret(&entry) {
                self.backlog.push_back(done);
            }
        }
    }

    fn next_entry(&mut self) -> Option<cqueue::Entry> {
        self.uring.completion().next()
    }

    /// Moves completions into the table, from `count` on; returns how many it then holds.
    pub fn reap(&mut self, mut count: usize) -> usize {
        if !self.held.is_empty() {
            self.release_held();
        }
        loop {
            while count < self.done_capacity {
                match self.backlog.pop_front() {
                    Some(done) => count = self.put(count, done),
                    None => break,
                }
            }
            if count >= self.done_capacity {
                return count;
            }
            match self.next_entry() {
                Some(entry) => {
                    if let Some(done) = self.interpret(&entry) {
                        count = self.put(count, done);
                    }
                }
                None => return count,
            }
        }
    }

    fn put(&mut self, count: usize, done: Done) -> usize {
        let dones = NAMES_SIZE + self.op_capacity * size_of::<Op>();
        // SAFETY: `count` is below the table's capacity, so this is inside the mapping.
        unsafe { self.mapping.add(dones).cast::<Done>().add(count).write(done) };
        count + 1
    }

    #[inline]
    fn interpret(&mut self, entry: &cqueue::Entry) -> Option<Done> {
        let tagged = entry.user_data();
        let user_data = tagged as u32;
        let done = Done { user_data, result: entry.result(), flags: entry.flags(), reserved: 0 };
        if tagged >> 32 == 0 {
            return if user_data == UNWANTED { None } else { Some(done) };
        }
        self.interpret_tagged((tagged >> 56) as u8, (tagged >> 32) as u32 & 0xff_ffff, done)
    }

    fn interpret_tagged(&mut self, kind: u8, tag: u32, done: Done) -> Option<Done> {
        const WAKE: u8 = Kind::Wake as u8;
        const DOORBELL_IN: u8 = Kind::DoorbellIn as u8;
        const DOORBELL_OUT: u8 = Kind::DoorbellOut as u8;
        const FAULTY: u8 = Kind::Faulty as u8;
        match kind {
            WAKE => self.on_wake(),
            DOORBELL_IN => Some(done),
            DOORBELL_OUT => self.on_doorbell_failed(tag, done.result),
            FAULTY => {
                let fault = self.faults.get_mut(tag as usize).and_then(Option::take)?;
                let result = if fault.errno != 0 { -fault.errno } else { done.result };
                let done = Done { result, ..done };
                if fault.delay_us == 0 {
                    return Some(done);
                }
                let due = Instant::now() + Duration::from_micros(u64::from(fault.delay_us));
                self.held.push(Held { due, done });
                None
            }
            _ => None,
        }
    }

    fn on_wake(&mut self) -> Option<Done> {
        self.wake_armed = false;
        // A full queue is no harm: the next turn arms it again.
        let _ = self.arm_wake();
        let entry = table::entry(self.index).ok()?;
        self.backlog.extend(table::take_late(entry));
        let asked = entry.wake_asked.swap(false, Ordering::AcqRel);
        asked.then_some(Done { user_data: DOORBELL, result: -1, flags: 0, reserved: 0 })
    }

    pub fn arm_wake(&mut self) -> Outcome<()> {
        if self.wake_armed {
            return Ok(());
        }
        let target: *mut u64 = &mut *self.wake_value;
        let read = opcode::Read::new(types::Fd(self.wake_fd), target.cast(), 8)
            .build()
            .user_data(tagged(Kind::Wake, 0, 0));
        // SAFETY: the value is boxed, and lives as long as the ring.
        unsafe { self.uring.submission().push(&read) }.map_err(|_| libc::EBUSY)?;
        self.wake_armed = true;
        Ok(())
    }

    #[cold]
    fn on_doorbell_failed(&mut self, ring: u32, result: i32) -> Option<Done> {
        let transient = [-libc::EOVERFLOW, -libc::EAGAIN, -libc::ENOMEM, -libc::EBUSY];
        self.doorbell_attempts += 1;
        if transient.contains(&result)
            && self.doorbell_attempts < DOORBELL_ATTEMPTS_MAX
            && let Ok(entry) = self.doorbell(ring)
            && self.push(entry).is_ok()
        {
            return None;
        }
        self.doorbell_attempts = 0;
        Some(Done { user_data: DOORBELL_FAILED, result, flags: ring, reserved: 0 })
    }

    // What faults need.

    /// Completes `op` with `result` after a while, without the kernel.
    pub fn hold(&mut self, op: &Op, result: i32, delay_us: u32) {
        let due = Instant::now() + Duration::from_micros(u64::from(delay_us));
        let done = Done { user_data: op.user_data, result, flags: 0, reserved: 0 };
        self.held.push(Held { due, done });
    }

    /// Keeps `fault` until its request completes; returns its tag.
    pub fn remember_fault(&mut self, fault: Fault) -> u32 {
        let free = self.faults.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.faults.push(None);
            self.faults.len() - 1
        });
        self.faults[at] = Some(fault);
        at as u32
    }

    #[cold]
    fn release_held(&mut self) {
        let now = Instant::now();
        let (due, rest) = std::mem::take(&mut self.held).into_iter().partition(|h| h.due <= now);
        self.held = rest;
        let due: Vec<Held> = due;
        for held in due {
            self.tell(held.done.user_data, held.done.result, held.done.flags);
        }
    }

    /// When the next held completion is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.due).min()
    }

    // The kernel.

    /// Whether an `enter` would bring completions: task work waits, or the queue overflowed.
    pub fn wants_enter(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Entries queued and not yet submitted.
    pub fn unsubmitted(&mut self) -> u32 {
        self.uring.submission().len() as u32
    }

    /// Whether a completion could be reaped now.
    pub fn has_completions(&mut self) -> bool {
        !self.backlog.is_empty() || !self.uring.completion().is_empty()
    }

    /// One io_uring_enter; the number of entries taken.
    pub fn enter(
        &mut self,
        submit: u32,
        wait: u32,
        flags: u32,
        timeout: Option<Duration>,
    ) -> Outcome<u32> {
        let span = timeout.map(|duration| libc::timespec {
            tv_sec: duration.as_secs() as i64,
            tv_nsec: i64::from(duration.subsec_nanos()),
        });
        let argument = GetEventsArgument {
            sigmask: 0,
            sigmask_size: 0,
            min_wait_us: 0,
            timespec: span.as_ref().map_or(0, |span| &raw const *span as u64),
        };
        let (extra, pointer, size) = match span {
            Some(_) => (ENTER_EXT_ARG, &raw const argument, size_of::<GetEventsArgument>()),
            None => (0, std::ptr::null(), 0),
        };
        let flags = flags | extra | self.enter_flags;
        // SAFETY: the argument outlives the call; queued entries point to what is still there.
        let taken = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                submit,
                wait,
                flags,
                pointer,
                size,
            )
        };
        if taken < 0 { Err(last_errno()) } else { Ok(taken as u32) }
    }
}

pub const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// Most kernel threads that serve sockets of one ring.
const SOCKET_WORKERS_MAX: u32 = 4;

#[repr(C)]
struct GetEventsArgument {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_us: u32,
    timespec: u64,
}

#[repr(C)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// Registers the descriptor with its own ring, which saves a lookup per enter. Without it, the plain
/// descriptor serves as well.
fn register_ring_fd(ring_fd: i32) -> (i32, u32) {
    let mut update = ResourceUpdate { offset: u32::MAX, reserved: 0, data: ring_fd as u64 };
    // SAFETY: one update record, as the count says.
    let registered = unsafe {
        libc::syscall(libc::SYS_io_uring_register, ring_fd, REGISTER_RING_FDS, &raw mut update, 1)
    };
    if registered == 1 { (update.offset as i32, ENTER_REGISTERED_RING) } else { (ring_fd, 0) }
}

/// Gives the registered descriptor back.
fn unregister_ring_fd(ring_fd: i32, enter_fd: i32, enter_flags: u32) {
    if enter_flags & ENTER_REGISTERED_RING == 0 {
        return;
    }
    let mut update = ResourceUpdate { offset: enter_fd as u32, reserved: 0, data: 0 };
    // SAFETY: one update record, as the count says.
    unsafe {
        libc::syscall(libc::SYS_io_uring_register, ring_fd, UNREGISTER_RING_FDS, &raw mut update, 1)
    };
}

/// Bounds the kernel threads that serve sockets. None should: an operation on a socket waits by polling.
fn limit_workers(uring: &IoUring) -> Outcome<()> {
    // 0 leaves the number for files as it is.
    let mut limits = [0, SOCKET_WORKERS_MAX];
    let limited = uring.submitter().register_iowq_max_workers(&mut limits);
    limited.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// Has the kernel make the first of the threads on which this ring's files are written and flushed. It
/// stays, so that later the lack of threads makes operations slow and never fails them (ECANCELED).
/// EAGAIN: it cannot be made.
fn start_worker(uring: &mut IoUring) -> Outcome<()> {
    let nop = opcode::Nop::new().build().flags(squeue::Flags::ASYNC);
    // SAFETY: a no-op points to nothing.
    unsafe { uring.submission().push(&nop) }.map_err(|_| libc::EBUSY)?;
    loop {
        match uring.submit_and_wait(1) {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => {
                return Err(error.raw_os_error().unwrap_or(libc::EIO));
            }
            _ => {}
        }
        if let Some(entry) = uring.completion().next() {
            return if entry.result() < 0 { Err(libc::EAGAIN) } else { Ok(()) };
        }
    }
}

fn map_anonymous(size: usize) -> Outcome<*mut u8> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED { Err(last_errno()) } else { Ok(mapped.cast()) }
}
