//! `libgregor`: system calls that TypeScript cannot make. It moves bytes between the kernel and one memory
//! region and decides nothing.
//!
//! Every function here is the C interface of a function elsewhere in the crate, which documents its
//! errors. All return a negative errno on failure. Those called in the hot loop take only
//! 32-bit integers and doubles: such calls cost V8 some 5 ns, any other argument more.

// Callers hand over pointers with lengths; Deno checks neither, and nor can we.
#![allow(clippy::missing_safety_doc)]

mod batch;
mod checksum;
mod compact;
mod errors;
mod faults;
mod files;
mod helper;
mod host;
mod keymap;
mod net;
mod notify;
mod op;
mod pack;
mod pattern;
mod region;
mod ring;
mod scratch;
mod table;
mod translate;
mod turn;
mod unpack;
mod walk;

use errors::{Outcome, to_c};
use ring::{Ring, Sizes};
use std::sync::atomic::Ordering;

// Memory.

#[unsafe(no_mangle)]
pub extern "C" fn gregor_region_map(bytes: f64, flags: u32) -> i32 {
    to_c(region::map(bytes, flags))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_region_pointer() -> *mut u8 {
    region::base()
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_region_size() -> f64 {
    region::size() as f64
}

/// CRC-32C of a range of the region; 0 when it lies outside (the caller notices the wrong sum).
#[unsafe(no_mangle)]
pub extern "C" fn gregor_crc32c(seed: u32, address: f64, length: u32) -> u32 {
    match region::resolve(address, length as usize) {
        Ok(start) => {
            // SAFETY: resolved just above.
            let bytes = unsafe { std::slice::from_raw_parts(start, length as usize) };
            checksum::crc32c(seed, bytes)
        }
        Err(_) => 0,
    }
}

/// Moves bytes inside the region; the ranges may overlap. EFAULT: one lies outside.
#[unsafe(no_mangle)]
pub extern "C" fn gregor_copy(target: f64, source: f64, length: u32) -> i32 {
    let length = length as usize;
    let ranges =
        region::resolve(target, length).and_then(|to| Ok((to, region::resolve(source, length)?)));
    to_c(ranges.map(|(to, from)| {
        // SAFETY: both resolved above; `copy` allows overlap.
        unsafe { std::ptr::copy(from, to, length) };
        0
    }))
}

// Records of batches.

#[unsafe(no_mangle)]
pub extern "C" fn gregor_walker_open(window_max: f64) -> i32 {
    to_c(batch::open(window_max as usize))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_walker_close(walker: u32) -> i32 {
    to_c(batch::close(walker))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_walker_verdict(walker: u32) -> *const u8 {
    batch::verdict(walker)
}

/// Walks a slice of the batch at `address`; 0: the verdict stands, 1: there is more.
#[unsafe(no_mangle)]
pub extern "C" fn gregor_walk(
    walker: u32,
    address: f64,
    length: u32,
    flags: u32,
    oldest: f64,
    newest: f64,
) -> i32 {
    let start = region::resolve(address, length as usize);
    to_c(start.and_then(|start| {
        // SAFETY: resolved just above.
        let bytes = unsafe { std::slice::from_raw_parts(start, length as usize) };
        batch::with(walker, |walker| walker.slice(bytes, batch::Limits { flags, oldest, newest }))
    }))
}

/// The same for a batch in the caller's buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_walk_bytes(
    walker: u32,
    start: *const u8,
    length: u32,
    flags: u32,
    oldest: f64,
    newest: f64,
) -> i32 {
    // SAFETY: see `bytes_of`.
    let bytes = unsafe { bytes_of(start, length) };
    let limits = batch::Limits { flags, oldest, newest };
    to_c(batch::with(walker, |walker| walker.slice(bytes, limits)))
}

// Compaction.

#[unsafe(no_mangle)]
pub extern "C" fn gregor_compactor_open(
    unpacked_max: f64,
    seed0: u32,
    seed1: u32,
    seed2: u32,
    seed3: u32,
) -> i32 {
    let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let seed = keymap::Seed(wide(seed0, seed1), wide(seed2, seed3));
    to_c(compact::open(unpacked_max as usize, seed))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_compactor_close(compactor: u32) -> i32 {
    to_c(compact::close(compactor))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_compactor_report(compactor: u32) -> *const u8 {
    compact::report(compactor)
}

/// Notes the keys of the batch at `batch`. `memory`: where addresses count from; null: the region.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_compact_index(
    compactor: u32,
    memory: *mut u8,
    batch: f64,
    length: u32,
    map: f64,
    map_length: u32,
    map_base: f64,
) -> i32 {
    // SAFETY: a batch and a map are different blocks, and nobody else uses them during the call.
    to_c(unsafe { bytes_at(memory, batch, length) }.and_then(|batch| {
        // SAFETY: as above.
        let slots = unsafe { bytes_at(memory, map, map_length) }?;
        let keys = compact::Keys { slots, base: map_base };
        compact::with(compactor, |compactor| compactor.index(batch, keys))
    }))
}

/// Writes what stays of the batch at `batch` to `target`; its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_compact_rewrite(
    compactor: u32,
    memory: *mut u8,
    batch: f64,
    length: u32,
    target: f64,
    target_length: u32,
    map: f64,
    map_length: u32,
    map_base: f64,
    flags: u32,
    covered: f64,
    now: f64,
    horizon: f64,
) -> i32 {
    let rules = compact::Rules { flags, covered, now, horizon };
    // SAFETY: a batch, its target and a map are different blocks, and nobody else uses them during the call.
    to_c(unsafe { bytes_at(memory, batch, length) }.and_then(|batch| {
        // SAFETY: as above.
        let target = unsafe { bytes_at(memory, target, target_length) }?;
        // SAFETY: as above.
        let slots = unsafe { bytes_at(memory, map, map_length) }?;
        let keys = compact::Keys { slots, base: map_base };
        compact::with(compactor, |compactor| compactor.rewrite(batch, target, keys, rules))
    }))
}

/// `length` bytes at an address of the region, or of the caller's `memory`, whose size only the caller knows.
///
/// # Safety
/// They lie in that memory, and nobody else writes to them meanwhile.
unsafe fn bytes_at<'a>(
    memory: *mut u8,
    address: f64,
    length: u32,
) -> errors::Outcome<&'a mut [u8]> {
    let start = if memory.is_null() {
        region::resolve(address, length as usize)?
    } else {
        memory.wrapping_add(address as usize)
    };
    // SAFETY: the caller's promise, or resolved just above.
    Ok(unsafe { std::slice::from_raw_parts_mut(start, length as usize) })
}

// Rings.

/// The ring at `index`, for the thread that opened it.
fn with_ring(index: u32, act: impl FnOnce(&mut Ring) -> Outcome<i32>) -> i32 {
    to_c(table::entry(index).and_then(|entry| {
        let ring = entry.ring.load(Ordering::Acquire);
        // SAFETY: set by `ring_open`, cleared by `ring_close`; only the ring's own thread calls.
        unsafe { ring.as_mut() }.ok_or(libc::EBADF).and_then(act)
    }))
}

/// Opens ring `index` on the calling thread. EEXIST: it is open. Others: see `Ring::open`.
#[unsafe(no_mangle)]
pub extern "C" fn gregor_ring_open(
    index: u32,
    submissions: u32,
    completions: u32,
    ops: u32,
    dones: u32,
) -> i32 {
    let open = || -> Outcome<i32> {
        let entry = table::entry(index)?;
        if !entry.ring.load(Ordering::Acquire).is_null() {
            return Err(libc::EEXIST);
        }
        let ring = Ring::open(index, &Sizes { submissions, completions, ops, dones })?;
        entry.ring.store(Box::into_raw(ring), Ordering::Release);
        Ok(0)
    };
    to_c(open())
}

/// The mapping shared with TypeScript, or null when the ring is not open.
#[unsafe(no_mangle)]
pub extern "C" fn gregor_ring_mapping(index: u32) -> *mut u8 {
    let mut mapping = std::ptr::null_mut();
    with_ring(index, |ring| {
        mapping = ring.mapping();
        Ok(0)
    });
    mapping
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_ring_close(index: u32) -> i32 {
    to_c(table::entry(index).and_then(|entry| {
        let ring = entry.ring.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if ring.is_null() {
            return Err(libc::EBADF);
        }
        // SAFETY: made by `Box::into_raw` in `gregor_ring_open`, taken out of the table just above.
        unsafe { Box::from_raw(ring) }.close();
        Ok(0)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_ring_add_group(index: u32, group: u32, entries: u32) -> i32 {
    with_ring(index, |ring| ring.add_group(group as u16, entries))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_ring_watch(index: u32, address: f64) -> i32 {
    with_ring(index, |ring| ring.watch(address))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_turn(
    index: u32,
    ops: u32,
    wanted: u32,
    timeout_us: u32,
    poll_us: u32,
) -> i32 {
    with_ring(index, |ring| ring.turn(ops, wanted, timeout_us, poll_us).map(|count| count as i32))
}

/// Submits the first `ops` descriptors and collects nothing: for a full op table within a turn.
#[unsafe(no_mangle)]
pub extern "C" fn gregor_submit(index: u32, ops: u32) -> i32 {
    with_ring(index, |ring| {
        ring.prepare(ops)?;
        ring.submit_all(0)?;
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_ring_wake(index: u32) -> i32 {
    to_c(table::wake(index))
}

// Faults.

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub extern "C" fn gregor_fault_set(
    slot: u32,
    opcodes: u32,
    ring: i32,
    fd: i32,
    errno: i32,
    delay_us: u32,
    flags: u32,
    skip: u32,
    count: u32,
) -> i32 {
    let rule = faults::Rule { opcodes, ring, fd, errno, delay_us, flags, skip, count };
    to_c(faults::set(slot, &rule))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_fault_clear(slot: u32) -> i32 {
    to_c(faults::clear(slot))
}

// Files, sockets, host: start-up and rare occasions.

unsafe fn bytes_of<'a>(start: *const u8, length: u32) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the caller's buffer, alive for the call.
    unsafe { std::slice::from_raw_parts(start, length as usize) }
}

unsafe fn text_of<'a>(start: *const u8, length: u32) -> Outcome<&'a str> {
    // SAFETY: as above.
    std::str::from_utf8(unsafe { bytes_of(start, length) }).map_err(|_| libc::EINVAL)
}

/// Copies `text` to the caller's buffer; returns its length. ENOBUFS: it does not fit.
unsafe fn give_text(text: &str, target: *mut u8, capacity: u32) -> Outcome<i32> {
    if text.len() > capacity as usize {
        return Err(libc::ENOBUFS);
    }
    // SAFETY: the caller's buffer of `capacity` bytes.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), target, text.len()) };
    Ok(text.len() as i32)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_set_root(path: *const u8, length: u32) -> i32 {
    // SAFETY: see `bytes_of`.
    to_c(files::set_root(unsafe { bytes_of(path, length) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_probe_direct() -> i32 {
    to_c(files::probe_direct())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_lock_file(path: *const u8, length: u32) -> i32 {
    // SAFETY: see `bytes_of`.
    to_c(files::lock_file(unsafe { bytes_of(path, length) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_file_size(path: *const u8, length: u32) -> f64 {
    // SAFETY: see `bytes_of`.
    files::size(unsafe { bytes_of(path, length) })
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_free_bytes() -> f64 {
    files::space().0
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_total_bytes() -> f64 {
    files::space().1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_listen(host: *const u8, length: u32, port: u32) -> i32 {
    // SAFETY: see `text_of`.
    let host = unsafe { text_of(host, length) };
    let port = u16::try_from(port).map_err(|_| libc::EINVAL);
    to_c(host.and_then(|host| net::listen(host, port?)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_resolve(
    host: *const u8,
    length: u32,
    port: u32,
    target: *mut u8,
    capacity: u32,
) -> i32 {
    // SAFETY: see `text_of`.
    let host = unsafe { text_of(host, length) };
    let port = u16::try_from(port).map_err(|_| libc::EINVAL);
    let found = host.and_then(|host| net::resolve(host, port?));
    // SAFETY: see `give_text`.
    to_c(found.and_then(|text| unsafe { give_text(&text, target, capacity) }))
}

// Regular expressions.

/// Writes why a text is no regular expression; 0: it is one. ENOBUFS: there is no room for the reason.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_pattern_problem(
    pattern: *const u8,
    length: u32,
    target: *mut u8,
    capacity: u32,
) -> i32 {
    // SAFETY: see `text_of`.
    to_c(unsafe { text_of(pattern, length) }.and_then(|pattern| match pattern::problem(pattern) {
        None => Ok(0),
        // SAFETY: see `give_text`.
        Some(reason) => unsafe { give_text(&reason, target, capacity) },
    }))
}

/// Marks the names (each but the last ends with a newline) that a regular expression fits; returns their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_pattern_mark(
    pattern: *const u8,
    length: u32,
    names: *const u8,
    names_length: u32,
    marks: *mut u8,
    capacity: u32,
) -> i32 {
    // SAFETY: see `text_of`.
    let pattern = unsafe { text_of(pattern, length) };
    // SAFETY: see `bytes_of`.
    let names = unsafe { bytes_of(names, names_length) };
    // SAFETY: the caller hands over a buffer of that size, which nobody else uses meanwhile.
    let marks = unsafe { std::slice::from_raw_parts_mut(marks, capacity as usize) };
    to_c(pattern.and_then(|pattern| pattern::mark(pattern, names, marks)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_socket_for(address: *const u8, length: u32) -> i32 {
    // SAFETY: see `text_of`.
    to_c(unsafe { text_of(address, length) }.and_then(net::socket_for))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_local_port(fd: i32) -> i32 {
    to_c(net::local_port(fd))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_peer(fd: i32, target: *mut u8, capacity: u32) -> i32 {
    // SAFETY: see `give_text`.
    to_c(net::peer(fd).and_then(|text| unsafe { give_text(&text, target, capacity) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_set_nodelay(fd: i32) -> i32 {
    to_c(net::set_nodelay(fd))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_set_low_water(fd: i32, bytes: i32) -> i32 {
    to_c(net::set_low_water(fd, bytes))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_set_confirm_ms(fd: i32, ms: i32) -> i32 {
    to_c(net::set_confirm_ms(fd, ms))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_shutdown(fd: i32) -> i32 {
    to_c(net::shutdown(fd))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_close_fd(fd: i32) -> i32 {
    // SAFETY: plain call; a bad descriptor yields EBADF.
    to_c(errors::check(unsafe { libc::close(fd) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_pin_thread(cpu: u32) -> i32 {
    to_c(host::pin_thread(cpu))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_allowed_cpus(ids: *mut u32, capacity: u32) -> i32 {
    // SAFETY: the caller's buffer of `capacity` integers, alive for the call.
    to_c(host::allowed_cpus(unsafe { std::slice::from_raw_parts_mut(ids, capacity as usize) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_lockable_bytes() -> f64 {
    host::lockable_bytes()
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_probe_uring() -> i32 {
    to_c(host::probe_uring())
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_huge_pages() -> i32 {
    host::huge_pages()
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_raise_file_limit() -> i32 {
    to_c(host::raise_file_limit())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gregor_notify(
    path: *const u8,
    path_length: u32,
    text: *const u8,
    length: u32,
) -> i32 {
    // SAFETY: see `bytes_of`.
    to_c(unsafe { notify::notify(bytes_of(path, path_length), bytes_of(text, length)) })
}

#[unsafe(no_mangle)]
pub extern "C" fn gregor_monotonic_ms() -> f64 {
    host::monotonic_ms()
}
