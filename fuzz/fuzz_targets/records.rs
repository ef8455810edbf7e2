//! Merges two records in either order: the results are equal and can be printed.
#![no_main]

use lockdep::record::Merge;

fn merged(texts: [&[u8]; 2]) -> Merge {
    let mut merge = Merge::default();
    for text in texts {
        merge.add(text).expect("a slice can be read");
    }
    merge
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (first, second) = bytes.split_at(middle);
    let (one, other) = (merged([first, second]), merged([second, first]));
    assert!(one == other);
    let told = |merge: &Merge| merge.findings().iter().map(ToString::to_string).collect::<String>();
    assert_eq!(told(&one), told(&other));
    let _graph = one.graph();
});
