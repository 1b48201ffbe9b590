//! Decompresses frames on all cores.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// More do not make it faster: memory is the limit.
const THREADS_MAX: usize = 8;

/// A frame, and where its content goes.
pub struct Work<'a> {
    pub source: &'a [u8],
    pub target: *mut u8,
    pub length: usize,
}

// SAFETY: targets are ranges of our own memory that do not overlap; each is written by who took the work.
unsafe impl Sync for Work<'_> {}

/// Does all of it, with this thread and as many others as help. False: a frame is damaged.
pub fn unpack(work: &[Work]) -> bool {
    let next = AtomicUsize::new(0);
    let damaged = AtomicBool::new(false);
    let run = || {
        let mut context = zstd_safe::DCtx::create();
        while let Some(one) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            // SAFETY: see `Work`; the memory is mapped and zeroed.
            let target = unsafe { std::slice::from_raw_parts_mut(one.target, one.length) };
            if context.decompress(target, one.source) != Ok(one.length) {
                damaged.store(true, Ordering::Relaxed);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let helpers = cores.min(THREADS_MAX).min(work.len().max(1)) - 1;
    std::thread::scope(|scope| {
        for _ in 0..helpers {
            // Where no thread can be made, this one does everything.
            let _ = std::thread::Builder::new().stack_size(1 << 18).spawn_scoped(scope, run);
        }
        run();
    });
    !damaged.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut target = vec![0; zstd_safe::compress_bound(content.len())];
        let length = zstd_safe::compress(target.as_mut_slice(), content, 3).unwrap_or(0);
        target.truncate(length);
        target
    }

    #[test]
    fn every_frame_lands_where_it_belongs() {
        let contents: Vec<Vec<u8>> = (0..40u8).map(|at| vec![at; 1000 + at as usize]).collect();
        let frames: Vec<Vec<u8>> = contents.iter().map(|one| packed(one)).collect();
        let mut targets: Vec<Vec<u8>> = contents.iter().map(|one| vec![0; one.len()]).collect();
        let work: Vec<Work> = frames
            .iter()
            .zip(&mut targets)
            .map(|(frame, target)| Work {
                source: frame,
                target: target.as_mut_ptr(),
                length: target.len(),
            })
            .collect();
        assert!(unpack(&work));
        assert_eq!(targets, contents);
    }

    #[test]
    fn a_damaged_or_short_frame_is_noticed() {
        let whole = packed(&[7; 5000]);
        let mut target = vec![0; 5000];
        let mut broken = whole.clone();
        broken[0] ^= 1;
        let cases: [(&[u8], usize); 3] =
            [(&whole[..whole.len() - 1], 5000), (&whole, 4999), (&broken, 5000)];
        for (source, length) in cases {
            assert!(!unpack(&[Work { source, target: target.as_mut_ptr(), length }]));
        }
    }
}
