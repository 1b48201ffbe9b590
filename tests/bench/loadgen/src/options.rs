//! The flags.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

pub const USAGE: &str = "usage: loadgen --address HOST:PORT [--topic bench] [--partitions 1] \
[--connections 4] [--depth 16] [--batch BYTES] [--record BYTES] [--batch-file FILE] [--rate REQUESTS_PER_S] \
[--warmup SECONDS] [--seconds SECONDS] [--large BYTES --large-every SECONDS] [--create]";

/// Bytes of each batch of a large request: the largest that a topic takes by default is a little more.
pub const LARGE_PART: usize = 1024 * 1024;

pub struct Options {
    pub address: SocketAddr,
    pub topic: String,
    pub partitions: u32,
    pub connections: usize,
    /// Requests in flight per connection (closed loop).
    pub depth: usize,
    /// Bytes of each record batch, its header included.
    pub batch: usize,
    /// Bytes of a record's value; the last one of a batch is shorter.
    pub record: usize,
    /// Holds the batch to send; empty: one is made.
    pub batch_file: String,
    /// Requests per second of all connections together; 0 = closed loop.
    pub rate: f64,
    pub warmup: Duration,
    pub duration: Duration,
    /// Bytes of a request (of many batches, each to its own partition) that a connection of its own sends now and then; 0 = none.
    pub large: usize,
    pub large_every: Duration,
    /// Create the topics first; it is no error when they exist.
    pub create: bool,
}

impl Options {
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            topic: "bench".to_string(),
            partitions: 1,
            connections: 4,
            depth: 16,
            batch: 1024,
            record: 1024,
            batch_file: String::new(),
            rate: 0.0,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            large: 0,
            large_every: Duration::from_secs(1),
            create: false,
        };
        while let Some(flag) = args.next() {
            if flag == "--create" {
                options.create = true;
                continue;
            }
            let value = args.next().ok_or(format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--address" => options.address = number(&flag, &value)?,
                "--topic" => options.topic = value,
                "--partitions" => options.partitions = number(&flag, &value)?,
                "--connections" => options.connections = number(&flag, &value)?,
                "--depth" => options.depth = number(&flag, &value)?,
                "--batch" => options.batch = number(&flag, &value)?,
                "--record" => options.record = number(&flag, &value)?,
                "--batch-file" => options.batch_file = value,
                "--rate" => options.rate = number(&flag, &value)?,
                "--warmup" => options.warmup = seconds(&flag, &value)?,
                "--seconds" => options.duration = seconds(&flag, &value)?,
                "--large" => options.large = number(&flag, &value)?,
                "--large-every" => options.large_every = seconds(&flag, &value)?,
                _ => return Err(format!("{flag} is no flag")),
            }
        }
        options.check().map(|()| options)
    }

    fn check(&self) -> Result<(), String> {
        let positive = self.partitions > 0 && self.connections > 0 && self.depth > 0;
        if self.address.port() == 0 {
            Err("--address is missing".to_string())
        } else if !positive || self.record == 0 {
            Err("partitions, connections, depth and record start at 1".to_string())
        } else if self.batch < 128 || (self.large > 0 && self.large < LARGE_PART + 1024) {
            Err("a batch has at least 128 bytes, a large request one of 1 MiB".to_string())
        } else if self.rate < 0.0 || !self.rate.is_finite() || self.large_every.is_zero() {
            Err("--rate and --large-every must be positive".to_string())
        } else {
            Ok(())
        }
    }

    /// Batches of a large request: as many as fit.
    pub fn large_parts(&self) -> u32 {
        ((self.large - 512) / (LARGE_PART + 8)) as u32
    }

    /// Topic of the large requests.
    pub fn large_topic(&self) -> String {
        format!("{}-large", self.topic)
    }
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} cannot be {value}"))
}

fn seconds(flag: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(flag, value)?).map_err(|_| format!("{flag} is no time"))
}
