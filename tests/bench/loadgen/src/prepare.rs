//! Before the measurement: topics are created, and every partition has taken a record.

use crate::frames::{self, Head, produce_answer};
use crate::options::Options;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(20);
const PIPELINED: usize = 64;
const TOPIC_ALREADY_EXISTS: i16 = 36;

pub fn create_topics(options: &Options) -> Result<(), String> {
    let mut topics = vec![(options.topic.clone(), options.partitions)];
    if options.large > 0 {
        topics.push((options.large_topic(), options.large_parts()));
    }
    let mut stream = connect(options)?;
    send(&mut stream, &frames::create_topics(&topics))?;
    let answer = receive(&mut stream)?;
    // Correlation id, throttle time, count; then name, error, message of each.
    let mut at = 12;
    for (name, ..) in &topics {
        let short = |at: usize| -> Result<i16, String> {
            let bytes = answer.get(at..at + 2).ok_or("a short CreateTopics response")?;
            Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
        };
        at += 2 + short(at)?.max(0) as usize;
        let error = short(at)?;
        if error != 0 && error != TOPIC_ALREADY_EXISTS {
            return Err(format!("cannot create {name}: error {error}"));
        }
        at += 4 + short(at + 2)?.max(0) as usize;
    }
    Ok(())
}

/// Produces to every partition until all have taken something: leaders stand, files are open.
pub fn prime(options: &Options) -> Result<(), String> {
    let now_ms = now_ms();
    let small = frames::batch(options.batch.min(1024), options.record, now_ms);
    prime_topic(options, &options.topic, options.partitions, &small)?;
    if options.large > 0 {
        prime_topic(options, &options.large_topic(), options.large_parts(), &small)?;
    }
    Ok(())
}

fn prime_topic(
    options: &Options,
    topic: &str,
    partitions: u32,
    batch: &[u8],
) -> Result<(), String> {
    let started = Instant::now();
    let mut stream = connect(options)?;
    let mut head = Head::new(topic, batch.len());
    let mut waiting: VecDeque<u32> = (0..partitions).collect();
    while !waiting.is_empty() {
        let count = waiting.len().min(PIPELINED);
        for partition in waiting.iter().take(count) {
            head.set(0, *partition);
            send(&mut stream, &head.bytes)?;
            send(&mut stream, batch)?;
        }
        let mut failed = None;
        for _ in 0..count {
            let answer = receive(&mut stream)?;
            let (_, partition, error) = produce_answer(&answer).ok_or("a response that is none")?;
            waiting.pop_front();
            if error != 0 {
                waiting.push_back(partition);
                failed = Some((partition, error));
            }
        }
        if let Some((partition, error)) = failed {
            if started.elapsed() > DEADLINE {
                return Err(format!("{topic}-{partition} takes no records: error {error}"));
            }
            std::thread::sleep(RETRY_AFTER);
        }
    }
    Ok(())
}

pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

fn connect(options: &Options) -> Result<TcpStream, String> {
    let address = options.address;
    let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
    let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(DEADLINE)));
    set.map_err(|error| error.to_string())?;
    Ok(stream)
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).map_err(|error| format!("cannot send: {error}"))
}

fn receive(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut read = |bytes: &mut [u8]| {
        stream.read_exact(bytes).map_err(|error| format!("cannot receive: {error}"))
    };
    let mut size = [0; 4];
    read(&mut size)?;
    let mut bytes = vec![0; u32::from_be_bytes(size) as usize];
    read(&mut bytes)?;
    Ok(bytes)
}
