//! From an op descriptor to a submission queue entry.

use crate::checksum::{BLOCK_SIZE, seal_blocks};
use crate::errors::Outcome;
use crate::faults::{self, Fault};
use crate::helper::{self, Call, Job};
use crate::op::{DOORBELL, Op, code, flag};
use crate::ring::{Kind, Ring, tagged};
use crate::{files, net, region, table};
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

/// How an op goes on.
pub enum Step {
    /// To the kernel.
    Queue(squeue::Entry),
    /// It needs no completion, or will get one from elsewhere.
    Nothing,
}

const IORING_RECVSEND_POLL_FIRST: u16 = 1;

impl Ring {
    /// Carries `op` as far as it goes without the kernel. Errors are positive errnos: EINVAL (unknown
    /// opcode, malformed descriptor), EFAULT (range outside the region), EBADF (ring or root not open).
    pub fn translate(&mut self, op: &Op) -> Outcome<Step> {
        if faults::any()
            && let Some(fault) = faults::of(self.index, op.opcode, op.fd)
        {
            return self.translate_faulty(op, fault);
        }
        let entry = match self.entry_of(op)? {
            Step::Queue(entry) => entry,
            other => return Ok(other),
        };
        // What the ring sends for itself (doorbells, cancels) comes tagged already.
        if entry.get_user_data() != 0 {
            return Ok(Step::Queue(entry));
        }
        Ok(Step::Queue(entry.user_data(u64::from(op.user_data))))
    }

    #[cold]
    fn translate_faulty(&mut self, op: &Op, fault: Fault) -> Outcome<Step> {
        let mut op = *op;
        if fault.flags & faults::SHORT != 0 {
            match op.opcode {
                code::READ | code::WRITE => op.length = half_of(op.length, BLOCK_SIZE as u32),
                code::SEND_VECTOR => op.flags |= flag::SEND_HALF,
                code::SEND | code::RECV_INTO => op.length = half_of(op.length, 1),
                _ => {}
            }
        }
        if fault.errno != 0 && fault.flags & faults::PERFORM == 0 {
            if fault.delay_us == 0 {
                return Err(fault.errno);
            }
            self.hold(&op, -fault.errno, fault.delay_us);
            return Ok(Step::Nothing);
        }
        if op.opcode == code::SYNC_FILE_SYSTEM {
            let call = Call::SyncFileSystem { fd: files::root()? };
            return self.helper_job(&op, call, fault.delay_us, fault.errno);
        }
        match self.entry_of(&op)? {
            Step::Queue(entry) => {
                let tag = self.remember_fault(fault);
                Ok(Step::Queue(entry.user_data(tagged(Kind::Faulty, tag, op.user_data))))
            }
            other => Ok(other),
        }
    }

    fn helper_job(&self, op: &Op, call: Call, delay_us: u32, errno: i32) -> Outcome<Step> {
        let ring = self.index;
        let life = table::entry(ring)?.life.load(Ordering::Relaxed);
        helper::hand_over(Job { ring, life, user_data: op.user_data, call, delay_us, errno })?;
        Ok(Step::Nothing)
    }

    fn entry_of(&mut self, op: &Op) -> Outcome<Step> {
        let fd = types::Fd(op.fd);
        let entry = match op.opcode {
            code::NOP => opcode::Nop::new().build(),
            code::READ => {
                let target = region::resolve(op.address, op.length as usize)?;
                opcode::Read::new(fd, target, op.length).offset(whole(op.position)?).build()
            }
            code::WRITE => self.write(op)?,
            code::SYNC => {
                let metadata = op.flags & flag::SYNC_METADATA != 0;
                let flags =
                    if metadata { types::FsyncFlags::empty() } else { types::FsyncFlags::DATASYNC };
                opcode::Fsync::new(fd).flags(flags).build()
            }
            code::ALLOCATE => opcode::Fallocate::new(fd, whole(op.address2)?)
                .offset(whole(op.position)?)
                .mode(libc::FALLOC_FL_KEEP_SIZE)
                .build(),
            code::TRUNCATE => {
                let size = whole(op.position)?;
                if !self.has_ftruncate {
                    let call = Call::Truncate { fd: op.fd, size: size as i64 };
                    return self.helper_job(op, call, 0, 0);
                }
                opcode::Ftruncate::new(fd, size).build()
            }
            code::CLOSE => {
                if op.flags & flag::CLOSE_CANCEL_FIRST != 0 {
                    self.push_cancel_fd(op.fd)?;
                }
                opcode::Close::new(fd).build()
            }
            code::OPEN
            | code::UNLINK
            | code::RENAME
            | code::MAKE_DIRECTORY
            | code::REMOVE_DIRECTORY => self.on_path(op)?,
            code::SYNC_FILE_SYSTEM => {
                return self.helper_job(op, Call::SyncFileSystem { fd: files::root()? }, 0, 0);
            }
            code::CANCEL => {
                if op.flags & flag::CANCEL_FD != 0 {
                    self.push_cancel_fd(op.fd)?;
                } else {
                    let cancel = opcode::AsyncCancel::new(u64::from(op.extra)).build();
                    self.push(cancel.user_data(tagged(Kind::Ignored, 0, 0)))?;
                }
                return Ok(Step::Nothing);
            }
            code::DOORBELL => return self.doorbell(op.fd as u32).map(Step::Queue),
            code::PROVIDE => {
                let address = region::resolve(op.address, op.length as usize)?;
                self.provide(op.group, op.extra as u16, address, op.length)?;
                return Ok(Step::Nothing);
            }
            _ => self.on_socket(op)?,
        };
        Ok(Step::Queue(entry))
    }

    /// RWF_DSYNC: durable at completion, as `fdatasync` after the write would make it.
    fn write(&mut self, op: &Op) -> Outcome<squeue::Entry> {
        let source = region::resolve(op.address, op.length as usize)?;
        if op.flags & flag::WRITE_SEAL_BLOCKS != 0 {
            // SAFETY: resolved just above; the op's owner leaves the range alone until completion.
            seal_blocks(unsafe { std::slice::from_raw_parts_mut(source, op.length as usize) });
        }
        let durable = op.flags & flag::WRITE_DURABLE != 0;
        let flags = if durable { libc::RWF_DSYNC } else { 0 };
        Ok(opcode::Write::new(types::Fd(op.fd), source, op.length)
            .offset(whole(op.position)?)
            .rw_flags(flags)
            .build())
    }

    /// Ops on names; relative to the data directory. The kernel copies a path when it takes the entry.
    fn on_path(&mut self, op: &Op) -> Outcome<squeue::Entry> {
        let root = types::Fd(files::root()?);
        let path = self.name(op.address, op.length)?;
        Ok(match op.opcode {
            code::OPEN => {
                let mut flags = libc::O_CLOEXEC;
                if op.flags & flag::OPEN_DIRECTORY != 0 {
                    flags |= libc::O_RDONLY | libc::O_DIRECTORY;
                } else {
                    flags |= libc::O_RDWR | libc::O_DIRECT;
                    if op.flags & flag::OPEN_CREATE != 0 {
                        flags |= libc::O_CREAT;
                    }
                }
                opcode::OpenAt::new(root, path).flags(flags).mode(0o644).build()
            }
            code::UNLINK => opcode::UnlinkAt::new(root, path).build(),
            code::RENAME => {
                let target = self.name(op.address2, op.extra)?;
                opcode::RenameAt::new(root, path, root, target).build()
            }
            code::MAKE_DIRECTORY => opcode::MkDirAt::new(root, path).mode(0o755).build(),
            _ => opcode::UnlinkAt::new(root, path).flags(libc::AT_REMOVEDIR).build(),
        })
    }

    fn on_socket(&mut self, op: &Op) -> Outcome<squeue::Entry> {
        let fd = types::Fd(op.fd);
        Ok(match op.opcode {
            // One completion per connection until one arrives without F_MORE.
            code::ACCEPT => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            // The kernel picks a buffer of the group when there is something to receive.
            code::RECV => opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(op.group)
                .ioprio(poll_first(op))
                .build()
                .flags(squeue::Flags::BUFFER_SELECT),
            // Nothing here asks for MSG_WAITALL: it is no guarantee, and after some re-arms the kernel
            // lends the request a thread of its own until the peer has sent or taken everything.
            code::RECV_INTO => {
                let target = region::resolve(op.address, op.length as usize)?;
                opcode::Recv::new(fd, target, op.length).ioprio(poll_first(op)).build()
            }
            code::SEND => {
                let source = region::resolve(op.address, op.length as usize)?;
                opcode::Send::new(fd, source, op.length)
                    .ioprio(poll_first(op))
                    .flags(libc::MSG_NOSIGNAL)
                    .build()
            }
            code::SEND_VECTOR => {
                let halved = op.flags & flag::SEND_HALF != 0;
                let header = self.scratch.vector(op.address, op.length as usize, halved)?;
                opcode::SendMsg::new(fd, header)
                    .ioprio(poll_first(op))
                    .flags(libc::MSG_NOSIGNAL as u32)
                    .build()
            }
            code::CONNECT => {
                let text = self.name_text(op.address, op.length)?;
                let (address, length) = net::socket_address(&text)?;
                let address = self.scratch.address(address);
                opcode::Connect::new(fd, address.cast(), length).build()
            }
            _ => return Err(libc::EINVAL),
        })
    }

    /// A message of no content to another ring, whose thread it wakes.
    pub fn doorbell(&self, ring: u32) -> Outcome<squeue::Entry> {
        let arrival = tagged(Kind::DoorbellIn, 0, DOORBELL);
        let target = types::Fd(table::ring_fd(ring)?);
        Ok(opcode::MsgRingData::new(target, self.index as i32, arrival, None)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(tagged(Kind::DoorbellOut, ring, 0)))
    }

    fn push_cancel_fd(&mut self, fd: RawFd) -> Outcome<()> {
        let every = types::CancelBuilder::fd(types::Fd(fd)).all();
        let cancel = opcode::AsyncCancel2::new(every).build();
        self.push(cancel.user_data(tagged(Kind::Ignored, 0, 0)))
    }
}

/// Half of `length` in whole units, but at least one: a request that moves nothing means something else.
fn half_of(length: u32, unit: u32) -> u32 {
    (length / 2 / unit * unit).max(unit.min(length))
}

/// The flag of an entry that waits for readiness before its first attempt.
fn poll_first(op: &Op) -> u16 {
    if op.flags & flag::POLL_FIRST != 0 { IORING_RECVSEND_POLL_FIRST } else { 0 }
}

/// A position or size: a whole number from 0 to 2^53.
fn whole(value: f64) -> Outcome<u64> {
    if (0.0..=9_007_199_254_740_992.0).contains(&value) {
        Ok(value as u64)
    } else {
        Err(libc::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Done;
    use crate::ring::{NAMES_SIZE, Sizes};

    const OPS: u32 = 8;

    fn open(index: u32) -> Box<Ring> {
        let sizes = Sizes { submissions: 8, completions: 16, ops: OPS, dones: 8 };
        match Ring::open(index, &sizes) {
            Ok(ring) => ring,
            Err(errno) => panic!("errno {errno}"),
        }
    }

    /// Runs one connect to `text`, which stands in the names area, given as `offset` and `length`.
    fn connect(ring: &mut Ring, fd: i32, text: &str, offset: f64, length: u32) -> i32 {
        let op = Op {
            opcode: code::CONNECT,
            flags: 0,
            group: 0,
            fd,
            length,
            user_data: 7,
            address: offset,
            position: 0.0,
            extra: 0,
            extra2: 0,
            address2: 0.0,
        };
        // SAFETY: both lie in the ring's mapping, which no other thread uses.
        let done = unsafe {
            ring.mapping.copy_from(text.as_ptr(), text.len());
            let ops = ring.mapping.add(NAMES_SIZE).cast::<Op>();
            ops.write(op);
            assert_eq!(ring.turn(1, 1, 5_000_000, 0), Ok(1));
            ops.add(OPS as usize).cast::<Done>().read()
        };
        assert_eq!(done.user_data, 7);
        done.result
    }

    fn connect_new(ring: &mut Ring, text: &str) -> i32 {
        let fd = net::socket_for(text).unwrap_or(-1);
        let result = connect(ring, fd, text, 0.0, text.len() as u32);
        // SAFETY: our descriptor.
        unsafe { libc::close(fd) };
        result
    }

    #[test]
    fn a_connect_reaches_a_listener_of_each_family_and_is_refused_without_one() {
        let mut ring = open(240);
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = net::listen(host, 0) else {
                assert!(host.contains("::1"), "a machine without IPv6 still has {host}");
                continue;
            };
            let port = net::local_port(listener).unwrap_or(0);
            let text =
                if host == "::1" { format!("[::1]:{port}") } else { format!("{host}:{port}") };
            assert_eq!(connect_new(&mut ring, &text), 0);
            // SAFETY: our descriptor.
            unsafe { libc::close(listener) };
            assert_eq!(connect_new(&mut ring, &text), -libc::ECONNREFUSED);
        }
        ring.close();
    }

    #[test]
    fn a_connect_takes_only_a_numeric_address_inside_the_names_area() {
        let mut ring = open(241);
        for text in ["localhost:80", "127.0.0.1", "127.0.0.1:65536", "::1:9", "\u{fffd}"] {
            assert_eq!(
                connect(&mut ring, 0, text, 0.0, text.len() as u32),
                -libc::EINVAL,
                "{text}"
            );
        }
        let text = "127.0.0.1:9";
        let end = NAMES_SIZE as f64;
        for (offset, length) in [(end - 3.0, 11), (-1.0, 11), (f64::NAN, 11), (0.0, u32::MAX)] {
            assert_eq!(
                connect(&mut ring, 0, text, offset, length),
                -libc::EFAULT,
                "{offset} {length}"
            );
        }
        assert_eq!(connect(&mut ring, -1, text, 0.0, text.len() as u32), -libc::EBADF);
        ring.close();
    }

    #[test]
    fn a_connect_fails_and_is_delayed_by_a_rule() {
        let mut ring = open(242);
        let listener = net::listen("127.0.0.1", 0).unwrap_or(-1);
        let text = format!("127.0.0.1:{}", net::local_port(listener).unwrap_or(0));
        let rule = |errno, flags, delay_us| faults::Rule {
            opcodes: 1 << code::CONNECT,
            ring: 242,
            fd: -1,
            errno,
            delay_us,
            flags,
            skip: 0,
            count: 1,
        };
        assert_eq!(faults::set(11, &rule(libc::ETIMEDOUT, 0, 0)), Ok(0));
        assert_eq!(connect_new(&mut ring, &text), -libc::ETIMEDOUT);
        assert_eq!(faults::set(11, &rule(libc::ECONNRESET, faults::PERFORM, 0)), Ok(0));
        assert_eq!(
            connect_new(&mut ring, &text),
            -libc::ECONNRESET,
            "connected, and said to have failed"
        );
        assert_eq!(faults::set(11, &rule(0, 0, 20_000)), Ok(0));
        let start = std::time::Instant::now();
        assert_eq!(connect_new(&mut ring, &text), 0);
        assert!(start.elapsed().as_millis() >= 20);
        assert_eq!(faults::clear(11), Ok(1));
        // SAFETY: our descriptor.
        unsafe { libc::close(listener) };
        ring.close();
    }
}
