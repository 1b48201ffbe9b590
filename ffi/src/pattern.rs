//! Regular expressions of consumers, in RE2's language, over names of topics.
//!
//! They come from clients, so their work is bounded: matching takes time in proportion to the names, whatever the
//! expression is, and one that would need a large program is refused.

use crate::errors::Outcome;
use regex::bytes::{Regex, RegexBuilder};

/// Program of one expression (bytes).
const SIZE_MAX: usize = 256 * 1024;
/// States that matching may keep (bytes).
const CACHE_MAX: usize = 256 * 1024;
const NESTING_MAX: u32 = 100;
/// What stands between two names.
const SEPARATOR: u8 = b'\n';

/// Why `pattern` is no expression; None when it is one.
pub fn problem(pattern: &str) -> Option<String> {
    compile(pattern).err()
}

/// Sets the byte of each of `names` that the expression fits as a whole to 1. EINVAL: it is none, or `marks` is too short.
pub fn mark(pattern: &str, names: &[u8], marks: &mut [u8]) -> Outcome<i32> {
    let regex = compile(pattern).map_err(|_| libc::EINVAL)?;
    let mut count = 0;
    for name in names.split(|byte| *byte == SEPARATOR) {
        let mark = marks.get_mut(count).ok_or(libc::EINVAL)?;
        *mark = u8::from(regex.is_match(name));
        count += 1;
    }
    i32::try_from(count).map_err(|_| libc::EINVAL)
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let whole = format!("\\A(?:{})\\z", without_quotes(pattern));
    // The pattern by itself first: one that closes the group around it is none.
    let build = |text: &str, unicode: bool| {
        RegexBuilder::new(text)
            .unicode(unicode)
            .size_limit(SIZE_MAX)
            .dfa_size_limit(CACHE_MAX)
            .nest_limit(NESTING_MAX)
            .build()
    };
    // \w, \d and \s are those of ASCII, as in RE2; classes of Unicode need the other mode.
    let by_itself = |unicode| build(&without_quotes(pattern), unicode);
    let unicode = match by_itself(false) {
        Ok(_) => false,
        Err(_) => match by_itself(true) {
            Ok(_) => true,
            Err(error) => return Err(reason(&error)),
        },
    };
    build(&whole, unicode).map_err(|error| reason(&error))
}

/// The last line of a message says what is wrong; those before show where.
fn reason(error: &regex::Error) -> String {
    let text = match error {
        regex::Error::CompiledTooBig(_) => return "it is too large".to_string(),
        other => other.to_string(),
    };
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_string()
}

/// Replaces `\Q...\E`, which RE2 has, by its characters, each taken as it is.
fn without_quotes(pattern: &str) -> String {
    let mut result = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, tail) = rest.split_at(at);
        result.push_str(before);
        if let Some(quoted) = tail.strip_prefix("\\Q") {
            let end = quoted.find("\\E").unwrap_or(quoted.len());
            result.push_str(&regex::escape(&quoted[..end]));
            rest = quoted[end..].strip_prefix("\\E").unwrap_or("");
        } else {
            let length = tail.chars().take(2).map(char::len_utf8).sum();
            result.push_str(&tail[..length]);
            rest = &tail[length..];
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::{mark, problem};

    fn matching(pattern: &str, names: &[&str]) -> Vec<u8> {
        let mut marks = vec![9; names.len()];
        let count = mark(pattern, names.join("\n").as_bytes(), &mut marks);
        assert_eq!(count, Ok(names.len() as i32));
        marks
    }

    #[test]
    fn fits_whole_names() {
        assert_eq!(matching("a|ab", &["a", "ab", "abc", "xa"]), [1, 1, 0, 0]);
        assert_eq!(matching("t\\w+-\\d", &["to-1", "to-x", "tö-1"]), [1, 0, 0]);
        assert_eq!(matching("\\Qa.b\\E.*", &["a.b", "a.bc", "axb"]), [1, 1, 0]);
        assert_eq!(matching("\\p{Lu}.*", &["A", "a"]), [1, 0]);
    }

    #[test]
    fn refuses_what_is_none_or_too_large() {
        assert!(problem("a)(b").is_some());
        assert!(problem("(a").is_some());
        assert!(problem("(a)\\1").is_some(), "back-references");
        assert!(problem("(?=a)").is_some(), "look-around");
        assert_eq!(problem("((a{100}){100}){100}"), Some("it is too large".to_string()));
        assert_eq!(problem(".*"), None);
    }

    #[test]
    fn refuses_marks_that_are_too_few() {
        assert_eq!(mark("a", b"a\nb", &mut [0]), Err(libc::EINVAL));
        assert_eq!(mark("(", b"a", &mut [0]), Err(libc::EINVAL));
    }
}
