//! `gregor` as one file: this launcher, and behind it everything that Gregor runs on, compressed.
//!
//! The runtime's executable and the dynamic loader are decompressed to where they will run; the libraries that they
//! need, the shim and the scripts become files in memory. Then the loader is entered, in this very process: no
//! file is written, nothing is executed, and the host needs neither a loader nor a C library
//! (`docs/adr/0041-the-binary-unpacks-itself-into-memory.md`). The launcher itself is static.

#![cfg_attr(not(test), no_main)]

mod enter;
mod memory;
mod payload;
mod unpack;

use memory::MemoryFile;
use payload::{Item, Kind};
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use unpack::Work;

/// As `gregor` exits when the host lacks something.
const EXIT_HOST_UNFIT: i32 = 71;
/// Of the runtime and the loader: what belongs to other programs would change or break ours.
const FOREIGN_VARIABLES: [&str; 4] = ["DENO_", "LD_", "NODE_OPTIONS=", "GLIBC_TUNABLES="];
/// The runtime would ask a server for its newest version, and keep caches.
const OWN_VARIABLES: [&CStr; 2] = [c"DENO_NO_UPDATE_CHECK=1", c"DENO_DIR=/proc/self/gregor"];

/// # Safety
/// Called by the C library with the vectors that the kernel made.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn main(argc: i32, argv: *const *const u8) -> i32 {
    // SAFETY: as above.
    let Err(message) = unsafe { launch(argc as usize, argv) };
    eprintln!("gregor: {message}");
    EXIT_HOST_UNFIT
}

unsafe fn launch(argc: usize, argv: *const *const u8) -> Result<Infallible, String> {
    let own = map_own_file().map_err(|error| {
        format!("cannot read its own file through /proc/self/exe ({error}); is /proc mounted?")
    })?;
    let items = payload::read(own).map_err(damaged)?;
    let places = items.iter().map(place).collect::<Result<Vec<_>, _>>().map_err(no_memory)?;
    let mut work = Vec::new();
    for (item, place) in items.iter().zip(&places) {
        work.extend(item.frames.iter().map(|frame| Work {
            source: &own[frame.from..frame.from + frame.packed],
            target: place.start().wrapping_add(frame.to),
            length: frame.length,
        }));
    }
    if !unpack::unpack(&work) {
        return Err(damaged("its content does not match its checksums"));
    }
    for (item, place) in items.iter().zip(&places) {
        match place {
            Place::File(file) => file.unmap(),
            Place::Image(start) => {
                for segment in &item.segments {
                    let at = start.wrapping_add(segment.at);
                    memory::protect(at, segment.length, segment.protection).map_err(|error| {
                        format!(
                            "cannot make its code executable ({error}); does a policy forbid it?"
                        )
                    })?;
                }
            }
        }
    }
    let (program, program_start) = image(&items, &places, Kind::Program).ok_or_else(incomplete)?;
    let (loader, loader_start) = image(&items, &places, Kind::Loader).ok_or_else(incomplete)?;
    let script = scripts(&items, &places).ok_or_else(incomplete)?.map_err(no_memory)?;
    let arguments = arguments(&items, &places, &script).ok_or_else(incomplete)?;
    // SAFETY: the kernel's vectors, as the caller promises; both images are in place, and the threads that
    // unpacked have ended. The strings that the stack points to are never freed.
    unsafe {
        let given = (1..argc).map(|at| *argv.add(at) as usize);
        let arguments: Vec<usize> = arguments.into_iter().map(keep).chain(given).collect();
        let environment = environment(argv.add(argc + 1), &preloaded(&items, &places));
        let auxiliary = enter::auxiliary_vector(argc, argv);
        let replaced = [
            (enter::AT_PHDR, program_start + program.headers),
            (enter::AT_PHNUM, program.header_count),
            (enter::AT_BASE, loader_start),
            (enter::AT_ENTRY, program_start + program.entry),
        ];
        let words = enter::stack_words(&arguments, &environment, &auxiliary, &replaced);
        libc::munmap(own.as_ptr().cast_mut().cast(), own.len());
        enter::enter(&words, loader_start + loader.entry)
    }
}

fn damaged(what: &str) -> String {
    format!("this file is damaged: {what}. Download it again.")
}

fn incomplete() -> String {
    damaged("a part is missing")
}

fn no_memory(error: std::io::Error) -> String {
    format!("cannot get memory to run in ({error}); it needs some 150 MiB")
}

/// The whole file that this process was started from.
fn map_own_file() -> Result<&'static [u8], std::io::Error> {
    let file = std::fs::File::open("/proc/self/exe")?;
    let length = file.metadata()?.len() as usize;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a new read-only mapping, which is unmapped by whoever enters the program.
    unsafe {
        let null = std::ptr::null_mut();
        let start = libc::mmap(null, length, libc::PROT_READ, libc::MAP_PRIVATE, descriptor, 0);
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // Read ahead while the first frames are unpacked.
        libc::madvise(start, length, libc::MADV_WILLNEED);
        Ok(std::slice::from_raw_parts(start.cast(), length))
    }
}

enum Place {
    Image(*mut u8),
    File(MemoryFile),
}

impl Place {
    fn start(&self) -> *mut u8 {
        match self {
            Place::Image(start) => *start,
            Place::File(file) => file.start(),
        }
    }
}

fn place(item: &Item) -> Result<Place, std::io::Error> {
    if item.kind.is_image() {
        return memory::room(item.size).map(Place::Image);
    }
    let name = match item.kind {
        Kind::Shim => c"libgregor.so",
        Kind::Worker => c"worker.js",
        Kind::Main => c"main.js",
        _ => c"gregor",
    };
    MemoryFile::create(name, item.size).map(Place::File)
}

fn image<'a>(items: &'a [Item], places: &[Place], kind: Kind) -> Option<(&'a Item, usize)> {
    let at = items.iter().position(|item| item.kind == kind)?;
    Some((&items[at], places[at].start() as usize))
}

fn file<'a>(items: &[Item], places: &'a [Place], kind: Kind) -> Option<&'a MemoryFile> {
    let at = items.iter().position(|item| item.kind == kind)?;
    match &places[at] {
        Place::File(file) => Some(file),
        Place::Image(_) => None,
    }
}

/// Makes the scripts that the runtime is given, one for each kind of thread; the path of the first one.
///
/// They tell where the other parts are (`src/io/packed.ts`), and have V8 run the program directly: a module is parsed
/// by the runtime first, which takes 100 MB for a program of this size, and longer than V8 does.
fn scripts(items: &[Item], places: &[Place]) -> Option<Result<String, std::io::Error>> {
    let path = |kind| file(items, places, kind).map(MemoryFile::path);
    let (shim, main, worker) = (path(Kind::Shim)?, path(Kind::Main)?, path(Kind::Worker)?);
    let script = |code: &str, worker: &str| {
        let text = format!(
            "globalThis.gregorPacked={{shim:\"{shim}\",worker:\"file://{worker}\"}};\n\
             new Function(\"require\",Deno.readTextFileSync(\"{code}\"))\
             ((name)=>process.getBuiltinModule(name));\n"
        );
        let file = MemoryFile::create(c"script.js", text.len())?;
        // SAFETY: the file has the text's length.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), file.start(), text.len()) };
        file.unmap();
        Ok(file.path())
    };
    Some(script(&worker, "").and_then(|worker| script(&main, &worker)))
}

/// The program's arguments up to those of `gregor`.
fn arguments(items: &[Item], places: &[Place], script: &str) -> Option<Vec<CString>> {
    let list = file(items, places, Kind::Arguments)?;
    let text = std::fs::read_to_string(list.path()).ok()?;
    let words = text.split_terminator('\0');
    words.map(|word| CString::new(word.replace("{main}", script)).ok()).collect()
}

/// Libraries by path: the loader recognises them by the names within when they are asked for.
fn preloaded(items: &[Item], places: &[Place]) -> CString {
    let paths = items.iter().zip(places).filter_map(|(item, place)| match place {
        Place::File(file) if item.kind == Kind::Library => Some(file.path()),
        _ => None,
    });
    let list = paths.collect::<Vec<_>>().join(":");
    CString::new(format!("LD_PRELOAD={list}")).unwrap_or_default()
}

/// The environment of the program: ours, without what would change the runtime.
unsafe fn environment(mut at: *const *const u8, preloaded: &CStr) -> Vec<usize> {
    let mut entries = Vec::new();
    // SAFETY: the kernel's vector, ended by a null; its strings stay where they are.
    unsafe {
        while !(*at).is_null() {
            let entry = CStr::from_ptr((*at).cast()).to_bytes();
            if !FOREIGN_VARIABLES.iter().any(|name| entry.starts_with(name.as_bytes())) {
                entries.push(*at as usize);
            }
            at = at.add(1);
        }
    }
    entries.extend(OWN_VARIABLES.map(|variable| variable.as_ptr() as usize));
    entries.push(keep(preloaded.to_owned()));
    entries
}

/// The address of a string that is never freed.
fn keep(text: CString) -> usize {
    text.into_raw() as usize
}
