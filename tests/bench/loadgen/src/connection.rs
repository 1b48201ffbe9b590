//! One non-blocking connection: requests out as (head, shared batch) pairs without a copy, responses
//! in, each matched to the time at which it was due.

use crate::frames::{Head, produce_answer};
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;

const READ_BUFFER: usize = 64 * 1024;
/// Requests handed to the kernel by one call.
const REQUESTS_PER_WRITE: usize = 64;

/// A response, as told to the caller.
pub struct Answer {
    pub due_ns: u64,
    pub error: i16,
}

pub struct Connection {
    pub stream: TcpStream,
    batch: Rc<Vec<u8>>,
    head: Head,
    // Requests not wholly written, oldest first, and how much of the first is.
    unsent: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    first_sent: usize,
    // When the requests without a response were due, oldest first.
    due: VecDeque<u64>,
    correlation_sent: u32,
    correlation_answered: u32,
    input: Vec<u8>,
    input_length: usize,
    /// The kernel takes no more for now.
    pub blocked: bool,
}

impl Connection {
    /// A connection whose requests are `head` and then `batch`, which several may share.
    pub fn open(address: SocketAddr, head: Head, batch: Rc<Vec<u8>>) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Connection {
            stream,
            batch,
            head,
            unsent: VecDeque::new(),
            spare: Vec::new(),
            first_sent: 0,
            due: VecDeque::new(),
            correlation_sent: 0,
            correlation_answered: 0,
            input: vec![0; READ_BUFFER],
            input_length: 0,
            blocked: false,
        })
    }

    pub fn in_flight(&self) -> usize {
        self.due.len()
    }

    /// Queues a request; [`Connection::write`] sends it.
    ///
    /// `partition`: where the one batch goes; none when the payload names its partitions.
    pub fn request(&mut self, partition: Option<u32>, due_ns: u64) {
        match partition {
            Some(partition) => self.head.set(self.correlation_sent, partition),
            None => self.head.set_correlation(self.correlation_sent),
        }
        self.correlation_sent = self.correlation_sent.wrapping_add(1);
        let mut head = self.spare.pop().unwrap_or_default();
        head.clear();
        head.extend(&self.head.bytes);
        self.unsent.push_back(head);
        self.due.push_back(due_ns);
    }

    pub fn write(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() && !self.blocked {
            let mut slices = Vec::with_capacity(2 * REQUESTS_PER_WRITE);
            let mut skip = self.first_sent;
            for head in self.unsent.iter().take(REQUESTS_PER_WRITE) {
                for part in [&head[..], &self.batch[..]] {
                    let from = skip.min(part.len());
                    skip -= from;
                    if from < part.len() {
                        slices.push(IoSlice::new(&part[from..]));
                    }
                }
            }
            match (&self.stream).write_vectored(&slices) {
                Ok(count) => self.sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
        Ok(())
    }

    fn sent(&mut self, count: usize) {
        let mut sent = self.first_sent + count;
        while let Some(head) = self.unsent.front() {
            let length = head.len() + self.batch.len();
            if sent < length {
                break;
            }
            sent -= length;
            self.spare.extend(self.unsent.pop_front());
        }
        self.first_sent = sent;
    }

    /// Reads what is there; calls `answered` for each response.
    pub fn read(&mut self, mut answered: impl FnMut(Answer)) -> Result<(), String> {
        loop {
            let room = &mut self.input[self.input_length..];
            let room_length = room.len();
            let count = match self.stream.read(room) {
                Ok(0) => return Err("the server closed a connection".to_string()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("cannot receive: {error}")),
            };
            self.input_length += count;
            self.take_answers(&mut answered)?;
            if count < room_length {
                return Ok(());
            }
        }
    }

    fn take_answers(&mut self, answered: &mut impl FnMut(Answer)) -> Result<(), String> {
        let mut at = 0;
        while self.input_length - at >= 4 {
            let size = [0, 1, 2, 3].map(|byte| self.input[at + byte]);
            let size = u32::from_be_bytes(size) as usize;
            if size > READ_BUFFER - 4 {
                return Err(format!("a response of {size} bytes"));
            }
            if self.input_length - at - 4 < size {
                break;
            }
            let answer = produce_answer(&self.input[at + 4..at + 4 + size]);
            let (correlation, _, error) = answer.ok_or("a response that is none")?;
            if correlation != self.correlation_answered {
                return Err("responses out of order".to_string());
            }
            self.correlation_answered = self.correlation_answered.wrapping_add(1);
            let due_ns = self.due.pop_front().ok_or("a response nobody asked for")?;
            answered(Answer { due_ns, error });
            at += 4 + size;
        }
        self.input.copy_within(at..self.input_length, 0);
        self.input_length -= at;
        Ok(())
    }
}
