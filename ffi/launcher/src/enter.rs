//! Enters another program in this process: what execve does, without a file and without forgetting who we are.
//!
//! The dynamic loader finds on the stack what the kernel would have put there: arguments, environment, and the
//! auxiliary vector, in which the addresses of the program and of the loader are ours. `/proc/self/exe`, the
//! process's name and its command line stay those of the launcher.

use std::arch::asm;

/// What the kernel says of the program to run (elf(5), getauxval(3)).
pub const AT_NULL: usize = 0;
pub const AT_PHDR: usize = 3;
pub const AT_PHNUM: usize = 5;
pub const AT_BASE: usize = 7;
pub const AT_ENTRY: usize = 9;

/// The stack's content from its pointer upwards.
///
/// @param replaced entries of the auxiliary vector that have other values now
pub fn stack_words(
    arguments: &[usize],
    environment: &[usize],
    auxiliary: &[(usize, usize)],
    replaced: &[(usize, usize)],
) -> Vec<usize> {
    let mut words = vec![arguments.len()];
    words.extend(arguments);
    words.push(0);
    words.extend(environment);
    words.push(0);
    for (key, value) in auxiliary {
        let ours = replaced.iter().find(|(other, _)| other == key);
        words.extend([*key, ours.map_or(*value, |(_, value)| *value)]);
    }
    words.extend([AT_NULL, 0]);
    words
}

/// Reads the auxiliary vector, which lies behind the environment.
///
/// # Safety
/// `argv` is the vector that the kernel gave this process.
pub unsafe fn auxiliary_vector(argc: usize, argv: *const *const u8) -> Vec<(usize, usize)> {
    let mut entries = Vec::new();
    // SAFETY: the kernel ends the environment with a null, and the vector with AT_NULL.
    unsafe {
        let mut at = argv.add(argc + 1);
        while !(*at).is_null() {
            at = at.add(1);
        }
        let mut pair = at.add(1).cast::<usize>();
        while *pair != AT_NULL {
            entries.push((*pair, *pair.add(1)));
            pair = pair.add(2);
        }
    }
    entries
}

/// Copies `words` to the stack and goes to `entry`, as the kernel does after execve.
///
/// # Safety
/// `entry` is that of an image whose pages are in place, and no other thread runs.
pub unsafe fn enter(words: &[usize], entry: usize) -> ! {
    forget_rseq();
    // SAFETY: the stack grows by what is copied; nothing of this frame is used afterwards. rdx 0: nothing to
    // call at exit. rbp 0: the outermost frame.
    unsafe {
        asm!(
            "sub rsp, rax",
            "and rsp, -16",
            "mov rdi, rsp",
            "cld",
            "rep movsq",
            "xor edx, edx",
            "xor ebp, ebp",
            "jmp r8",
            in("rax") words.len() * 8,
            in("r8") entry,
            in("rsi") words.as_ptr(),
            in("rcx") words.len(),
            options(noreturn),
        )
    }
}

/// Takes back what our C library told the kernel (rseq(2)), so that the next one can tell it anew. A C library
/// that tells nothing has no such symbol.
fn forget_rseq() {
    const UNREGISTER: i32 = 1;
    const SIGNATURE: u32 = 0x5305_3053;
    let offset: *const isize;
    let thread: *const u8;
    // SAFETY: reads the address of a weak symbol (null where there is none) and the thread pointer.
    unsafe {
        asm!(
            ".weak __rseq_offset",
            "mov {offset}, qword ptr [rip + __rseq_offset@GOTPCREL]",
            "mov {thread}, qword ptr fs:[0]",
            offset = out(reg) offset,
            thread = out(reg) thread,
            options(nostack, readonly),
        );
        if !offset.is_null() {
            let area = thread.offset(*offset);
            // The kernel compares address and length with those that it was told. It refuses what differs, and
            // then the next C library does without.
            libc::syscall(libc::SYS_rseq, area, 32u32, UNREGISTER, SIGNATURE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_what_the_kernel_would_make() {
        let words = stack_words(&[10, 11], &[20], &[(6, 4096), (AT_BASE, 1)], &[(AT_BASE, 2)]);
        assert_eq!(words, [2, 10, 11, 0, 20, 0, 6, 4096, AT_BASE, 2, AT_NULL, 0]);
    }
}
