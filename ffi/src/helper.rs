//! One background thread for the calls that io_uring does not have: `syncfs` everywhere, `ftruncate`
//! before Linux 6.9. Its results reach the ring as *late* completions: appended to the ring's list,
//! then announced through the ring's eventfd, whose read the ring's own thread always has in flight.

use crate::errors::{Outcome, check, to_c};
use crate::op::Done;
use crate::table;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    /// The thread has been started.
    is_running: bool,
}

impl Queue {
    const fn new() -> Queue {
        let state = State { jobs: VecDeque::new(), is_running: false };
        Queue { state: Mutex::new(state), arrived: Condvar::new() }
    }
}

static QUEUE: Queue = Queue::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic aborts the process, so a poisoned lock cannot be met.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands `job` to the thread, which is started by the first one. EAGAIN: it could not be started; the
/// next job tries again.
pub fn hand_over(job: Job) -> Outcome<()> {
    add(&QUEUE, job, |queue| {
        let builder = std::thread::Builder::new().name("gregor-helper".into());
        builder.stack_size(128 << 10).spawn(move || run(queue)).map(|_| ())
    })
}

fn add(
    queue: &'static Queue,
    job: Job,
    spawn: impl FnOnce(&'static Queue) -> std::io::Result<()>,
) -> Outcome<()> {
    let mut state = lock(&queue.state);
    if !state.is_running {
        spawn(queue).map_err(|_| libc::EAGAIN)?;
        state.is_running = true;
    }
    state.jobs.push_back(job);
    queue.arrived.notify_one();
    Ok(())
}

fn run(queue: &'static Queue) {
    unpin();
    let mut batch = Vec::new();
    loop {
        let mut state = lock(&queue.state);
        while state.jobs.is_empty() {
            state = queue.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        batch.extend(state.jobs.drain(..));
        drop(state);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_could_not_be_started_is_started_by_the_next_job() {
        static QUEUE: Queue = Queue::new();
        let job = || {
            let call = Call::SyncFileSystem { fd: -1 };
            Job { ring: 0, life: 0, user_data: 0, call, delay_us: 0, errno: 0 }
        };
        let fails = |_: &'static Queue| Err(std::io::Error::from_raw_os_error(libc::EAGAIN));
        assert_eq!(add(&QUEUE, job(), fails), Err(libc::EAGAIN));
        assert_eq!(add(&QUEUE, job(), fails), Err(libc::EAGAIN));
        assert!(lock(&QUEUE.state).jobs.is_empty(), "who was refused will not be answered too");
        assert_eq!(add(&QUEUE, job(), |_| Ok(())), Ok(()));
        assert_eq!(add(&QUEUE, job(), fails), Ok(()), "one is enough");
        assert_eq!(lock(&QUEUE.state).jobs.len(), 2);
    }
}
