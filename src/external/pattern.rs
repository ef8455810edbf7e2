//! The pattern of a key: what it has in common with the keys of other resources of its kind.

/// Hexadecimal words of at least this length are identifiers, if they have a digit.
const LONG_WORD: usize = 16;

/// The lengths of the words of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Returns a key with its numbers, UUIDs and long hexadecimal words replaced by `{}`: `order:42:lines`
/// becomes `order:{}:lines`.
pub(super) fn of(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(first) = rest.chars().next() {
        let is_new_word = !pattern.ends_with(is_of_word);
        let identifier = is_new_word.then(|| identifier(rest)).flatten();
        let blank = identifier.unwrap_or_else(|| digits(rest));
        let next = if blank > 0 { blank } else { first.len_utf8() };
        pattern += if blank > 0 { "{}" } else { &rest[..next] };
        rest = &rest[next..];
    }
    pattern
}

fn is_of_word(it: char) -> bool {
    it.is_alphanumeric() || it == '}'
}

/// Returns the length of the number that the text begins with.
fn digits(text: &str) -> usize {
    text.len() - text.trim_start_matches(|it: char| it.is_ascii_digit()).len()
}

/// Returns the length of the UUID or long hexadecimal word that the text begins with.
fn identifier(text: &str) -> Option<usize> {
    uuid(text).or_else(|| {
        let length = hexadecimal(text)?;
        let has_digit = text[..length].contains(|it: char| it.is_ascii_digit());
        (length >= LONG_WORD && has_digit).then_some(length)
    })
}

fn uuid(text: &str) -> Option<usize> {
    let mut at = 0;
    for (word, length) in UUID.into_iter().enumerate() {
        if word > 0 {
            text[at..].starts_with('-').then_some(())?;
            at += 1;
        }
        (hexadecimal(&text[at..])? == length).then_some(())?;
        at += length;
    }
    Some(at)
}

/// Returns the length of the word that the text begins with, if all of it is hexadecimal.
fn hexadecimal(text: &str) -> Option<usize> {
    let length = text.find(|it: char| !it.is_alphanumeric()).unwrap_or(text.len());
    text[..length].chars().all(|it| it.is_ascii_hexdigit()).then_some(length)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_tells_keys_apart_is_blanked() {
        for (key, pattern) in [
            ("", ""),
            ("stock", "stock"),
            ("order:42", "order:{}"),
            ("42", "{}"),
            ("order:42:lines:7", "order:{}:lines:{}"),
            ("user42/cart", "user{}/cart"),
            ("2026-12-01", "{}-{}-{}"),
            ("job:018f0c2e-7b1a-7c44-9d7e-3a5b8c9d0e1f", "job:{}"),
            ("018F0C2E-7B1A-7C44-9D7E-3A5B8C9D0E1F", "{}"),
            // Too short for a UUID, and words.
            ("018f0c2e-7b1a", "{}f{}c{}e-{}b{}a"),
            ("feed:cafe", "feed:cafe"),
            ("deadbeefdeadbeefdead", "deadbeefdeadbeefdead"),
            ("file:9f86d081884c7d659a2feaa0c55ad015", "file:{}"),
            ("naïve:３:5", "naïve:３:{}"),
        ] {
            assert_eq!(super::of(key), pattern, "{key}");
        }
    }
}
