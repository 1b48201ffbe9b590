//! One background thread for the calls that io_uring does not have: `syncfs` everywhere, `ftruncate`
//! before Linux 6.9. Its results reach the ring as *late* completions: appended to the ring's list,
//! then announced through the ring's eventfd, whose read the ring's own thread always has in flight.

use crate::errors::{check, to_c};
use crate::op::Done;
use crate::table;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What to call.
#[derive(Clone, Copy, PartialEq)]
pub enum Call {
    SyncFileSystem { fd: i32 },
    Truncate { fd: i32, size: i64 },
}

pub struct Job {
    pub ring: u32,
    /// Of the ring, see `table::Entry`.
    pub life: u32,
    pub user_data: u32,
    pub call: Call,
    /// Injected: sleep before reporting (microseconds).
    pub delay_us: u32,
    /// Injected: report this errno whatever happened.
    pub errno: i32,
}

struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
}

static QUEUE: OnceLock<&'static Queue> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic aborts the process, so a poisoned lock cannot be met.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands `job` to the thread, which is started by the first one. EAGAIN: it could not be started.
pub fn hand_over(job: Job) -> Result<(), i32> {
    let queue = match QUEUE.get() {
        Some(queue) => queue,
        None => {
            let queue: &'static Queue = Box::leak(Box::new(Queue {
                jobs: Mutex::new(VecDeque::new()),
                arrived: Condvar::new(),
            }));
            if QUEUE.set(queue).is_ok() {
                let started = std::thread::Builder::new()
                    .name("gregor-helper".into())
                    .stack_size(128 << 10)
                    .spawn(move || run(queue));
                if started.is_err() {
                    return Err(libc::EAGAIN);
                }
            }
            QUEUE.get().ok_or(libc::EAGAIN)?
        }
    };
    lock(&queue.jobs).push_back(job);
    queue.arrived.notify_one();
    Ok(())
}

fn run(queue: &'static Queue) {
    unpin();
    let mut batch = Vec::new();
    loop {
        let mut jobs = lock(&queue.jobs);
        while jobs.is_empty() {
            jobs = queue.arrived.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
        batch.extend(jobs.drain(..));
        drop(jobs);
        while !batch.is_empty() {
            let call = batch[0].call;
            let result = carry_out(call);
            // One syncfs answers everyone who had asked before it began.
            let same = |job: &Job| job.call == call;
            let answered: Vec<Job> = match call {
                Call::SyncFileSystem { .. } => {
                    let (answered, rest) = batch.drain(..).partition(same);
                    batch = rest;
                    answered
                }
                Call::Truncate { .. } => batch.drain(..1).collect(),
            };
            for job in answered {
                report(&job, result);
            }
        }
    }
}

fn carry_out(call: Call) -> i32 {
    // SAFETY: plain calls on descriptors; a bad one yields EBADF.
    to_c(check(unsafe {
        match call {
            Call::SyncFileSystem { fd } => libc::syncfs(fd),
            Call::Truncate { fd, size } => libc::ftruncate(fd, size),
        }
    }))
}

fn report(job: &Job, result: i32) {
    if job.delay_us > 0 {
        std::thread::sleep(Duration::from_micros(u64::from(job.delay_us)));
    }
    let result = if job.errno != 0 { -job.errno } else { result };
    let done = Done { user_data: job.user_data, result, flags: 0, reserved: 0 };
    table::deliver_late(job.ring, job.life, done);
}

/// The thread inherits the affinity of the shard that started it, which it must not disturb.
fn unpin() {
    // SAFETY: a zeroed set is an empty one; the calls read and write only the set.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        for cpu in 0..libc::CPU_SETSIZE as usize {
            libc::CPU_SET(cpu, &mut all);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &all);
    }
}
