//! Fault injection for tests: errors, delays and short transfers where a request is handed to the
//! kernel (an interposed libc would not see an io_uring).
//!
//! There are sixteen slots, each holding at most one rule; the lowest slot that matches wins. Any
//! thread may set and clear them. While no slot is set, a request pays one load and one branch.
//!
//! A rule matches a request when its opcode is in `opcodes`, and `ring` and `fd` are -1 or equal.
//! It lets the first `skip` matches pass and acts on the next `count` (0 = all). Acting means:
//! - `errno` alone: the request fails with it and never reaches the kernel;
//! - `errno` with PERFORM: the request is carried out, and still reported as failed;
//! - SHORT: half the length is moved, by reads and writes (whole blocks, at least one), sends and
//!   receives into a given address (at least one byte);
//! - `delay_us`: the completion is held back that long, without blocking the ring.

use crate::errors::Outcome;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

/// Move only half the bytes.
pub const SHORT: u32 = 1;
/// Carry the request out before reporting `errno`.
pub const PERFORM: u32 = 2;

/// How many rules there may be.
pub const SLOT_COUNT: usize = 16;

pub struct Slot {
    opcodes: AtomicU32,
    ring: AtomicI32,
    fd: AtomicI32,
    errno: AtomicI32,
    delay_us: AtomicU32,
    flags: AtomicU32,
    skip: AtomicU32,
    /// Matches to act on; `u32::MAX` = without end.
    count: AtomicU32,
    /// How often it acted since it was set.
    hits: AtomicU32,
}

impl Slot {
    const fn empty() -> Slot {
        Slot {
            opcodes: AtomicU32::new(0),
            ring: AtomicI32::new(-1),
            fd: AtomicI32::new(-1),
            errno: AtomicI32::new(0),
            delay_us: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            skip: AtomicU32::new(0),
            count: AtomicU32::new(0),
            hits: AtomicU32::new(0),
        }
    }

    /// Takes one from a counter that is above zero; says whether it did.
    fn take(counter: &AtomicU32) -> bool {
        counter
            .fetch_update(Relaxed, Relaxed, |left| match left {
                0 => None,
                u32::MAX => Some(u32::MAX),
                _ => Some(left - 1),
            })
            .is_ok()
    }
}

static SLOTS: [Slot; SLOT_COUNT] = [const { Slot::empty() }; SLOT_COUNT];
static SET_MASK: AtomicU32 = AtomicU32::new(0);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    pub errno: i32,
    pub delay_us: u32,
    pub flags: u32,
}

/// One rule, as its caller gives it.
pub struct Rule {
    pub opcodes: u32,
    pub ring: i32,
    pub fd: i32,
    pub errno: i32,
    pub delay_us: u32,
    pub flags: u32,
    pub skip: u32,
    pub count: u32,
}

/// Puts `rule` into `slot`. EINVAL: no such slot.
pub fn set(slot: u32, rule: &Rule) -> Outcome<i32> {
    let place = SLOTS.get(slot as usize).ok_or(libc::EINVAL)?;
    SET_MASK.fetch_and(!(1 << slot), Relaxed);
    place.opcodes.store(rule.opcodes, Relaxed);
    place.ring.store(rule.ring, Relaxed);
    place.fd.store(rule.fd, Relaxed);
    place.errno.store(rule.errno, Relaxed);
    place.delay_us.store(rule.delay_us, Relaxed);
    place.flags.store(rule.flags, Relaxed);
    place.skip.store(rule.skip, Relaxed);
    place.count.store(if rule.count == 0 { u32::MAX } else { rule.count }, Relaxed);
    place.hits.store(0, Relaxed);
    SET_MASK.fetch_or(1 << slot, std::sync::atomic::Ordering::Release);
    Ok(0)
}

/// Empties `slot`; returns how often its rule had acted. EINVAL: no such slot.
pub fn clear(slot: u32) -> Outcome<i32> {
    let place = SLOTS.get(slot as usize).ok_or(libc::EINVAL)?;
    SET_MASK.fetch_and(!(1 << slot), Relaxed);
    Ok(place.hits.load(Relaxed) as i32)
}

/// Whether any rule is set.
#[inline(always)]
pub fn any() -> bool {
    SET_MASK.load(Relaxed) != 0
}

/// What happens to a request of `opcode` on `fd`, if anything.
#[cold]
pub fn of(ring: u32, opcode: u8, fd: i32) -> Option<Fault> {
    let set = SET_MASK.load(std::sync::atomic::Ordering::Acquire);
    for (index, slot) in SLOTS.iter().enumerate() {
        if set & (1 << index) == 0 || slot.opcodes.load(Relaxed) & (1u32 << (opcode & 31)) == 0 {
            continue;
        }
        let only_ring = slot.ring.load(Relaxed);
        let only_fd = slot.fd.load(Relaxed);
        if (only_ring >= 0 && only_ring != ring as i32) || (only_fd >= 0 && only_fd != fd) {
            continue;
        }
        if Slot::take(&slot.skip) || !Slot::take(&slot.count) {
            continue;
        }
        slot.hits.fetch_add(1, Relaxed);
        return Some(Fault {
            errno: slot.errno.load(Relaxed),
            delay_us: slot.delay_us.load(Relaxed),
            flags: slot.flags.load(Relaxed),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_skips_then_acts_then_is_spent() {
        let rule = Rule {
            opcodes: 1 << 30,
            ring: 7,
            fd: -1,
            errno: libc::EIO,
            delay_us: 0,
            flags: 0,
            skip: 2,
            count: 3,
        };
        assert_eq!(set(3, &rule), Ok(0));
        assert_eq!(of(6, 30, 1), None, "another ring");
        assert_eq!(of(7, 29, 1), None, "another opcode");
        let acted = (0..10).filter(|_| of(7, 30, 1).is_some()).count();
        assert_eq!(acted, 3);
        assert_eq!(clear(3), Ok(3));
        assert_eq!(of(7, 30, 1), None);
        assert_eq!(set(16, &rule), Err(libc::EINVAL));
    }
}
