//! Errors are negative errno numbers, from the first line to TypeScript.

/// What a fallible step of the shim returns; the error is a *positive* errno.
pub type Outcome<T> = Result<T, i32>;

/// The errno of the last failed call on this thread.
pub fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Turns a libc return value (-1 = see errno) into an outcome.
pub fn check(returned: i32) -> Outcome<i32> {
    if returned < 0 { Err(last_errno()) } else { Ok(returned) }
}

/// The C face of an outcome: the value, or the negated errno.
pub fn to_c(outcome: Outcome<i32>) -> i32 {
    match outcome {
        Ok(value) => value,
        Err(errno) => -errno,
    }
}
