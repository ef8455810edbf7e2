//! No dependency of the checked runtime, nor of the library with its default features, may implement a
//! std trait for a std type.
//!
//! Such an implementation is visible in every crate that is compiled with the dependency, however deep
//! below. winnow has `impl PartialOrd<BStr> for [u8]`: `x > v` with `x: &[u8]` and `v: &Vec<u8>` no longer
//! compiles, because the compiler no longer knows that `v` is to be dereferenced.
//!
//! The sources are searched as token trees, so that the bodies of macros are seen too. An implementation
//! behind a feature that is off is reported as well.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The traits of std with a type parameter. Coherence allows no others to be implemented for a type of std.
const TRAITS: [&str; 44] = [
    "Add",
    "AddAssign",
    "AsMut",
    "AsRef",
    "BitAnd",
    "BitAndAssign",
    "BitOr",
    "BitOrAssign",
    "BitXor",
    "BitXorAssign",
    "Borrow",
    "BorrowMut",
    "CoerceUnsized",
    "DispatchFromDyn",
    "Div",
    "DivAssign",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "FromResidual",
    "Index",
    "IndexMut",
    "Into",
    "Join",
    "Mul",
    "MulAssign",
    "PartialEq",
    "PartialOrd",
    "Product",
    "RangeBounds",
    "Rem",
    "RemAssign",
    "Shl",
    "ShlAssign",
    "Shr",
    "ShrAssign",
    "SliceIndex",
    "Sub",
    "SubAssign",
    "Sum",
    "TryFrom",
];

/// Implementations that change no inference, each list with the reason.
const HARMLESS: [(&str, &[&str]); 4] = [
    (
        "std has several implementations of `From` for this type: where the argument's type is unknown, the call \
         is ambiguous without this one too",
        &[
            "errno: From < Errno > for i32",
            "errno: From < Errno > for io :: Error",
            "indexmap: From <& Slice < K , V >> for Box < Slice < K , V >>",
            "indexmap: From <& Slice < T >> for Box < Slice < T >>",
            "miniz_oxide: From < CompressionLevel > for i32",
            "miniz_oxide: From < CompressionLevel > for i8",
            "miniz_oxide: From < CompressionLevel > for u8",
            "miniz_oxide: From < CompressionStrategy > for i32",
            "object: From < I16 < E >> for i16",
            "object: From < I32 < E >> for i32",
            "object: From < I64 < E >> for i64",
            "object: From < U16 < E >> for u16",
            "object: From < U32 < E >> for u32",
            "object: From < U64 < E >> for u64",
            "object: From < VersionIndex > for usize",
            "petgraph: From < NotZero < T >> for Option < T >",
            "toml-span: From < Span > for (usize , usize)",
            "toml-span: From < Span > for std :: ops :: Range < usize >",
            "toml-span: std :: convert :: From < Error > for std :: io :: Error",
        ],
    ),
    (
        "std compares slices and arrays with several types, so the other side is never inferred",
        &[
            "indexmap: PartialEq < Slice < K2 , V2 >> for [(K , V) ; N]",
            "indexmap: PartialEq < Slice < K2 , V2 >> for [(K , V)]",
            "indexmap: PartialEq < Slice < U >> for [T ; N]",
            "indexmap: PartialEq < Slice < U >> for [T]",
        ],
    ),
    ("`$name` is a type of gimli", &["gimli: From < W > for $ name < W >"]),
    (
        "a part of object's feature `write`, which is off",
        &["object: Into < Name > for &'a [u8 ; 8]"],
    ),
];

/// The packages that the library is linked with, as `name version`.
fn packages(features: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--package", "lockdep", "--edges", "normal,no-proc-macro"]);
    cargo.args(["--prefix", "none", "--format", "{p}"]).args(features);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    };
    let packages: BTreeSet<_> = text.lines().filter_map(package).collect();
    packages.into_iter().filter(|name| !name.starts_with("lockdep ")).collect()
}

/// The features that the runtime's manifest asks for.
fn runtime_features() -> Vec<String> {
    let manifest = include_str!("../runtime/manifest.toml");
    let line = manifest.lines().find(|line| line.starts_with("lockdep = ")).unwrap();
    let (_, features) = line.split_once("features = [").unwrap();
    let (features, _) = features.split_once(']').unwrap();
    features.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
}

/// The names of the types and modules that a crate defines.
fn own_names(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let mut defines = false;
    for token in tokens {
        match token {
            TokenTree::Ident(name) if defines => {
                names.insert(name.to_string());
                defines = false;
            }
            TokenTree::Ident(name) => {
                defines = ["struct", "enum", "union", "type", "mod"].contains(&&*name.to_string());
            }
            TokenTree::Group(group) => own_names(group.stream(), names),
            _ => defines = false,
        }
    }
}

/// The heads of all implementations of traits: the trait, and the type that it is implemented for.
fn heads(tokens: TokenStream, heads: &mut Vec<(Vec<TokenTree>, Vec<TokenTree>)>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is = |token: Option<&TokenTree>, text: &str| token.is_some_and(|it| it.to_string() == text);
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            self::heads(group.stream(), heads);
        }
        if !is(Some(token), "impl") {
            continue;
        }
        let is_body = |token: &TokenTree| matches!(token, TokenTree::Group(it) if it.delimiter() == Delimiter::Brace);
        let Some(length) = tokens[at + 1..].iter().position(is_body) else { continue };
        let mut head = &tokens[at + 1..=at + length];
        // Its own parameters.
        if is(head.first(), "<") {
            let mut depth = 0;
            let end = head.iter().enumerate().position(|(at, token)| {
                depth += i32::from(is(Some(token), "<"));
                depth -= i32::from(is(Some(token), ">") && !is(head.get(at.wrapping_sub(1)), "-"));
                depth == 0
            });
            head = &head[end.map_or(head.len(), |end| end + 1)..];
        }
        let end = head.iter().position(|token| is(Some(token), "where")).unwrap_or(head.len());
        let head = &head[..end];
        let is_for = |at: &usize| is(head.get(*at), "for") && !is(head.get(at + 1), "<");
        if let Some(at) = (0..head.len()).find(is_for) {
            heads.push((head[..at].to_vec(), head[at + 1..].to_vec()));
        }
    }
}

/// The names in a path, up to its arguments: `io::Error<T>` has `io` and `Error`, `&'a Vec<T>` has `Vec`.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_lifetime = false;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '<' => break,
            TokenTree::Ident(name)
                if !is_lifetime && !["mut", "dyn"].contains(&&*name.to_string()) =>
            {
                names.push(name.to_string());
            }
            _ => {}
        }
        is_lifetime = matches!(token, TokenTree::Punct(punct) if punct.as_char() == '\'');
    }
    names
}

/// Returns `true` if a type is one of the crate that defines these names. The parameter of a macro does not count.
fn is_own(target: &[TokenTree], names: &BTreeSet<String>) -> bool {
    let path = path(target);
    let begins =
        |name: &String| names.contains(name) || ["crate", "self", "super"].contains(&&**name);
    path.first().is_some_and(begins) && path.last().is_some_and(|name| names.contains(name))
}

fn text(tokens: &[TokenTree]) -> String {
    tokens.iter().cloned().collect::<TokenStream>().to_string()
}

fn foreign_impls(sources: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for file in walkdir::WalkDir::new(sources) {
        let file = file.unwrap();
        if file.path().extension().is_some_and(|kind| kind == "rs") {
            // What is no Rust cannot be compiled either.
            files.extend(fs::read_to_string(file.path()).unwrap().parse::<TokenStream>());
        }
    }
    let (mut names, mut all) = (BTreeSet::new(), Vec::new());
    for file in files {
        own_names(file.clone(), &mut names);
        heads(file, &mut all);
    }
    let is_foreign = |(of, target): &&(Vec<TokenTree>, Vec<TokenTree>)| {
        let has_parameter = of.iter().any(|token| token.to_string() == "<");
        let name = path(of).pop().unwrap_or_default();
        TRAITS.contains(&&*name) && has_parameter && !is_own(target, &names)
    };
    let foreign = all.iter().filter(is_foreign);
    let mut foreign: Vec<_> =
        foreign.map(|(of, target)| format!("{} for {}", text(of), text(target))).collect();
    foreign.sort();
    foreign.dedup();
    foreign
}

#[test]
fn no_dependency_implements_a_trait_of_std_for_a_type_of_std() {
    let metadata = cargo_metadata::MetadataCommand::new().exec().unwrap();
    let features = runtime_features().join(",");
    let mut linked = packages(&["--no-default-features", "--features", &features]);
    linked.extend(packages(&[]));
    assert!(linked.len() > 10, "{linked:?}");
    let mut found = Vec::new();
    for package in &metadata.packages {
        let name = format!("{} {}", package.name, package.version);
        if linked.remove(&name) {
            let sources = package.manifest_path.parent().unwrap().join("src");
            for it in foreign_impls(sources.as_std_path()) {
                found.push(format!("{}: {it}", package.name));
            }
        }
    }
    assert!(linked.is_empty(), "not among cargo's packages: {linked:?}");
    let harmless: BTreeSet<&str> = HARMLESS.iter().flat_map(|(_, heads)| *heads).copied().collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let new: Vec<_> = found.difference(&harmless).collect();
    assert!(new.is_empty(), "not known to be harmless: {new:#?}");
    let gone: Vec<_> = harmless.difference(&found).collect();
    assert!(gone.is_empty(), "no longer there: {gone:#?}");
}

/// winnow's, of which this test knows that it has some.
#[test]
fn implementations_are_found() {
    let metadata = cargo_metadata::MetadataCommand::new().exec().unwrap();
    let winnow = metadata.packages.iter().find(|package| package.name == "winnow").unwrap();
    let found = foreign_impls(winnow.manifest_path.parent().unwrap().join("src").as_std_path());
    for head in
        ["PartialOrd <$ lhs > for $ rhs", "AsRef < BStr > for [u8]", "AsRef < Bytes > for str"]
    {
        assert!(found.iter().any(|it| it == head), "{head}: {found:#?}");
    }
}
