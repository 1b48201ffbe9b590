//! Load for benchmarks: produce requests of one size over a few connections, by one thread.
//!
//! Every request carries one record batch to one partition (`acks=all`, Produce v7); partitions are
//! taken in turn. *Closed loop*: each connection keeps `--depth` requests in flight. *Open loop*
//! (`--rate`): requests are due at fixed times whatever the server does, and their latency counts
//! from when they were due, so that a stall is charged to every request that it delayed.
//!
//! Before it measures, one request per partition makes sure that all of them take records. Prints one
//! line of JSON. Ends with 1 when anything failed, with 64 for wrong flags.

mod connection;
mod crc32c;
mod frames;
mod histogram;
mod options;
mod prepare;
mod run;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("loadgen: {problem}\n{}", options::USAGE);
            return ExitCode::from(64);
        }
    };
    match run(&options) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("loadgen: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, String> {
    if options.create {
        prepare::create_topics(options)?;
    }
    prepare::prime(options)?;
    run::measure(options)
}
