//! The measurement: one thread, epoll, and a timer descriptor for requests that fall due.

use crate::connection::{Answer, Connection};
use crate::frames::{self, Head};
use crate::histogram::Histogram;
use crate::options::{LARGE_PART, Options};
use crate::prepare::now_ms;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Instant;

const TIMER_TOKEN: u64 = u64::MAX;
const EVENTS_MAX: usize = 64;
/// Requests that an open loop may have waiting for responses, over all connections.
const OPEN_LOOP_WAITING_MAX: usize = 1 << 20;
const WAKE_AT_LEAST_EVERY_NS: u64 = 100_000_000;
const NS: f64 = 1e9;

struct Run<'a> {
    options: &'a Options,
    started: Instant,
    epoll: i32,
    timer: i32,
    /// The large connection, if there is one, is the last.
    connections: Vec<Connection>,
    interest_out: Vec<bool>,
    next_partition: u32,
    next_connection: usize,
    requests_due: u64,
    large_due: u64,
    tally: Tally,
}

struct Tally {
    from_ns: u64,
    to_ns: u64,
    latency: Histogram,
    large_latency: Histogram,
    /// Small requests answered at any time, warm-up included.
    answered: u64,
    errors: u64,
    first_error: i16,
}

impl Tally {
    fn take(&mut self, answer: &Answer, now_ns: u64, large: bool) {
        if answer.error != 0 {
            self.errors += 1;
            self.first_error = answer.error;
        }
        self.answered += u64::from(!large);
        // A request counts where it ended: what was due in the window and ended late must not vanish.
        if now_ns < self.from_ns || now_ns >= self.to_ns {
            return;
        }
        let histogram = if large { &mut self.large_latency } else { &mut self.latency };
        histogram.record(now_ns.saturating_sub(answer.due_ns));
    }
}

pub fn measure(options: &Options) -> Result<String, String> {
    let batch = Rc::new(match options.batch_file.as_str() {
        "" => frames::batch(options.batch, options.record, now_ms()),
        file => std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?,
    });
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        let head = Head::new(&options.topic, batch.len());
        connections.push(Connection::open(options.address, head, batch.clone())?);
    }
    if options.large > 0 {
        let parts = options.large_parts();
        let part = frames::batch(LARGE_PART, options.record, now_ms());
        let payload = Rc::new(frames::many_batches(parts, &part));
        let head = Head::of_many(&options.large_topic(), parts, payload.len());
        connections.push(Connection::open(options.address, head, payload)?);
    }
    let from_ns = options.warmup.as_nanos() as u64;
    let mut run = Run {
        options,
        started: Instant::now(),
        epoll: open_epoll()?,
        timer: open_timer()?,
        interest_out: vec![false; connections.len()],
        connections,
        next_partition: 0,
        next_connection: 0,
        requests_due: 0,
        large_due: 0,
        tally: Tally {
            from_ns,
            to_ns: from_ns + options.duration.as_nanos() as u64,
            latency: Histogram::new(),
            large_latency: Histogram::new(),
            answered: 0,
            errors: 0,
            first_error: 0,
        },
    };
    run.watch_all()?;
    run.run()?;
    Ok(report(options, batch.len(), &run.tally))
}

impl Run<'_> {
    fn run(&mut self) -> Result<(), String> {
        if self.options.rate == 0.0 {
            for _ in 0..self.options.depth {
                for at in 0..self.options.connections {
                    self.request(at, self.now_ns());
                }
            }
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        loop {
            let now_ns = self.now_ns();
            if now_ns >= self.tally.to_ns {
                return Ok(());
            }
            self.start_due(now_ns)?;
            for at in 0..self.connections.len() {
                self.connections[at].write()?;
                self.watch_writable(at)?;
            }
            let wake_ns = self.arm_timer(now_ns);
            // SAFETY: the kernel fills at most as many events as the array holds.
            let count = unsafe {
                let wait_ms = if wake_ns == 0 { 100 } else { -1 };
                libc::epoll_wait(self.epoll, events.as_mut_ptr(), EVENTS_MAX as i32, wait_ms)
            };
            for event in events.iter().take(count.max(0) as usize) {
                self.on_event(event)?;
            }
        }
    }

    fn on_event(&mut self, event: &libc::epoll_event) -> Result<(), String> {
        if event.u64 == TIMER_TOKEN {
            let mut expirations = 0u64;
            // SAFETY: a timer descriptor gives eight bytes.
            unsafe { libc::read(self.timer, (&raw mut expirations).cast(), 8) };
            return Ok(());
        }
        let at = event.u64 as usize;
        if event.events & libc::EPOLLOUT as u32 != 0 {
            self.connections[at].blocked = false;
        }
        if event.events & !(libc::EPOLLOUT as u32) == 0 {
            return Ok(());
        }
        let large = at == self.options.connections;
        let now_ns = self.now_ns();
        let mut answers = 0;
        let tally = &mut self.tally;
        self.connections[at].read(|answer| {
            tally.take(&answer, now_ns, large);
            answers += 1;
        })?;
        if self.options.rate == 0.0 && !large {
            let sent_ns = self.now_ns();
            for _ in 0..answers {
                self.request(at, sent_ns);
            }
            self.connections[at].write()?;
        }
        Ok(())
    }

    /// Queues what fell due: requests of the open loop, and the large one.
    fn start_due(&mut self, now_ns: u64) -> Result<(), String> {
        let options = self.options;
        if options.rate > 0.0 {
            loop {
                let due_ns = (self.requests_due as f64 * NS / options.rate) as u64;
                if due_ns > now_ns {
                    break;
                }
                let waiting: usize = self.connections.iter().map(Connection::in_flight).sum();
                if waiting > OPEN_LOOP_WAITING_MAX {
                    return Err("the server is too slow for this rate".to_string());
                }
                self.requests_due += 1;
                self.request(self.next_connection, due_ns);
                self.next_connection = (self.next_connection + 1) % options.connections;
            }
        }
        if options.large > 0 {
            let due_ns = (self.large_due + 1) * options.large_every.as_nanos() as u64;
            let connection = &mut self.connections[options.connections];
            // One at a time: a server that is slow gets fewer of them, not a pile.
            if due_ns <= now_ns {
                self.large_due += 1;
                if connection.in_flight() == 0 {
                    connection.request(None, due_ns);
                }
            }
        }
        Ok(())
    }

    fn request(&mut self, at: usize, due_ns: u64) {
        self.connections[at].request(Some(self.next_partition), due_ns);
        self.next_partition = (self.next_partition + 1) % self.options.partitions;
    }

    /// Sets the timer to the next request that falls due; returns when, or 0 when nothing will.
    fn arm_timer(&mut self, now_ns: u64) -> u64 {
        let options = self.options;
        let mut wake_ns = u64::MAX;
        if options.rate > 0.0 {
            wake_ns = (self.requests_due as f64 * NS / options.rate) as u64;
        }
        if options.large > 0 {
            let every_ns = options.large_every.as_nanos() as u64;
            wake_ns = wake_ns.min((self.large_due + 1) * every_ns);
        }
        if wake_ns == u64::MAX {
            return 0;
        }
        let wait_ns = wake_ns.saturating_sub(now_ns).clamp(1, WAKE_AT_LEAST_EVERY_NS);
        let value = libc::timespec { tv_sec: 0, tv_nsec: wait_ns as libc::c_long };
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = libc::itimerspec { it_interval: zero, it_value: value };
        // SAFETY: an open timer descriptor and a spec that lives through the call.
        unsafe { libc::timerfd_settime(self.timer, 0, &spec, std::ptr::null_mut()) };
        wake_ns
    }

    fn watch_all(&self) -> Result<(), String> {
        self.control(libc::EPOLL_CTL_ADD, self.timer, libc::EPOLLIN, TIMER_TOKEN)?;
        for (at, connection) in self.connections.iter().enumerate() {
            let fd = connection.stream.as_raw_fd();
            self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, at as u64)?;
        }
        Ok(())
    }

    fn watch_writable(&mut self, at: usize) -> Result<(), String> {
        let connection = &self.connections[at];
        if self.interest_out[at] == connection.blocked {
            return Ok(());
        }
        let events = libc::EPOLLIN | if connection.blocked { libc::EPOLLOUT } else { 0 };
        self.control(libc::EPOLL_CTL_MOD, connection.stream.as_raw_fd(), events, at as u64)?;
        self.interest_out[at] = self.connections[at].blocked;
        Ok(())
    }

    fn control(&self, operation: i32, fd: i32, events: i32, token: u64) -> Result<(), String> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: descriptors of our own and an event that lives through the call.
        let result = unsafe { libc::epoll_ctl(self.epoll, operation, fd, &mut event) };
        if result < 0 { Err(last_error("epoll_ctl")) } else { Ok(()) }
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

fn open_epoll() -> Result<i32, String> {
    // SAFETY: a plain call.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 { Err(last_error("epoll_create1")) } else { Ok(fd) }
}

fn open_timer() -> Result<i32, String> {
    // SAFETY: plain calls; the slack only decides how exact timers are.
    let fd = unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)
    };
    if fd < 0 { Err(last_error("timerfd_create")) } else { Ok(fd) }
}

fn last_error(what: &str) -> String {
    format!("{what}: {}", std::io::Error::last_os_error())
}

fn report(options: &Options, batch_bytes: usize, tally: &Tally) -> String {
    let seconds = options.duration.as_secs_f64();
    let per_second = tally.latency.count() as f64 / seconds;
    let megabytes = per_second * batch_bytes as f64 / 1e6;
    let mut line = format!(
        "{{\"requests\":{},\"requestsPerS\":{per_second:.1},\"megabytesPerS\":{megabytes:.2}",
        tally.latency.count(),
    );
    line += &format!(",\"answered\":{}", tally.answered);
    line += &format!(",\"errors\":{},\"firstError\":{}", tally.errors, tally.first_error);
    line += &format!(",\"latencyUs\":{}", quantiles(&tally.latency));
    if options.large > 0 {
        line += &format!(",\"largeRequests\":{}", tally.large_latency.count());
        line += &format!(",\"largeLatencyUs\":{}", quantiles(&tally.large_latency));
    }
    line + "}"
}

fn quantiles(histogram: &Histogram) -> String {
    let us = |part| histogram.quantile(part) as f64 / 1e3;
    format!(
        "{{\"p50\":{:.1},\"p90\":{:.1},\"p99\":{:.1},\"p999\":{:.1},\"max\":{:.1}}}",
        us(0.5),
        us(0.9),
        us(0.99),
        us(0.999),
        histogram.max() as f64 / 1e3,
    )
}
