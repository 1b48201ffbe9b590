//! One turn of a shard's loop: submit, wait, collect.

use crate::errors::Outcome;
use crate::ring::{ENTER_GETEVENTS, Ring};
use std::time::{Duration, Instant};

/// Iterations of the polling loop between two looks at the clock (some 25 ns each).
const SPINS_PER_CLOCK: u32 = 32;

impl Ring {
    /// Submits the first `ops` descriptors, then waits until `wanted` completions are there, at most
    /// `timeout_us`: polling in user space for the first `poll_us` of it, then asleep in the kernel.
    /// Returns how many completions the table holds. With `timeout_us` 0 it only collects.
    ///
    /// EINVAL: more ops than the table holds. EBUSY: the kernel accepts no requests for a second.
    /// EBADR: the kernel lost completions for want of memory. Errors of single ops are completions.
    pub fn turn(&mut self, ops: u32, wanted: u32, timeout_us: u32, poll_us: u32) -> Outcome<u32> {
        self.arm_wake().or_else(|_| self.submit_all(0))?;
        self.prepare(ops)?;
        let wanted = wanted as usize;
        let sleeps_at_once = timeout_us > 0 && poll_us == 0;
        // Submitting and sleeping in one call saves one: possible when nothing is waiting already.
        if !sleeps_at_once || self.has_completions() || self.wants_enter() {
            if self.unsubmitted() > 0 {
                self.submit_all(ENTER_GETEVENTS)?;
            } else if self.wants_enter() {
                self.collect()?;
            }
        }
        let mut count = self.reap(0);
        if count >= wanted || timeout_us == 0 {
            return Ok(count as u32);
        }
        let start = Instant::now();
        let deadline = start + Duration::from_micros(u64::from(timeout_us));
        if poll_us > 0 {
            self.poll(start + Duration::from_micros(u64::from(poll_us.min(timeout_us))))?;
            count = self.reap(count);
        }
        while count < wanted {
            let now = Instant::now();
            if now >= deadline || !self.sleep(now, deadline, (wanted - count) as u32)? {
                return Ok(self.reap(count) as u32);
            }
            count = self.reap(count);
        }
        Ok(count as u32)
    }

    /// Runs deferred work without waiting.
    fn collect(&mut self) -> Outcome<()> {
        match self.enter(0, 0, ENTER_GETEVENTS, None) {
            Ok(_) | Err(libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Watches the queue's tail and the kernel's hint until something is there or `until` has come.
    fn poll(&mut self, until: Instant) -> Outcome<()> {
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.has_completions() {
                    return Ok(());
                }
                if self.wants_enter() {
                    self.collect()?;
                    if self.has_completions() {
                        return Ok(());
                    }
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if now >= until || self.next_due().is_some_and(|due| due <= now) {
                return Ok(());
            }
        }
    }

    /// Submits what is queued and sleeps; says whether waiting on is worth while (not after a signal).
    fn sleep(&mut self, now: Instant, deadline: Instant, wait: u32) -> Outcome<bool> {
        let until = self.next_due().map_or(deadline, |due| due.min(deadline));
        let span = until.saturating_duration_since(now);
        let submit = self.unsubmitted();
        match self.enter(submit, wait, ENTER_GETEVENTS, Some(span)) {
            Ok(taken) => {
                if taken < submit {
                    self.submit_all(ENTER_GETEVENTS)?;
                }
                Ok(true)
            }
            Err(libc::ETIME) => Ok(true),
            Err(libc::EINTR) => Ok(false),
            Err(libc::EAGAIN | libc::EBUSY) => {
                self.submit_all(ENTER_GETEVENTS)?;
                Ok(true)
            }
            Err(errno) => Err(errno),
        }
    }
}
