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

/// Implementations that change nothing, each with the reason.
const HARMLESS: [(&str, &str, &str); 0] = [];

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

/// The names of the types that a crate defines.
fn own_types(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let mut defines = false;
    for token in tokens {
        match token {
            TokenTree::Ident(name) if defines => {
                names.insert(name.to_string());
                defines = false;
            }
            TokenTree::Ident(name) => {
                defines = ["struct", "enum", "union", "type"].contains(&&*name.to_string());
            }
            TokenTree::Group(group) => own_types(group.stream(), names),
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

/// A path without its arguments and what leads to it: `io::Error` is `Error`, `&'a [u8]` stays.
fn last_name(path: &[TokenTree]) -> String {
    let mut name = String::new();
    for token in path {
        match token {
            TokenTree::Ident(ident) => name = ident.to_string(),
            TokenTree::Punct(punct) if punct.as_char() == '<' => break,
            TokenTree::Punct(punct) if punct.as_char() == '$' => name = "$".to_owned(),
            _ => {}
        }
    }
    name
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
        own_types(file.clone(), &mut names);
        heads(file, &mut all);
    }
    let is_foreign = |(of, target): &&(Vec<TokenTree>, Vec<TokenTree>)| {
        let has_parameter = of.iter().any(|token| token.to_string() == "<");
        TRAITS.contains(&&*last_name(of)) && has_parameter && !names.contains(&last_name(target))
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
    let is_harmless = |it: &&String| {
        !HARMLESS.iter().any(|(package, head, _)| **it == format!("{package}: {head}"))
    };
    let new: Vec<_> = found.iter().filter(is_harmless).collect();
    assert!(new.is_empty(), "{new:#?}");
    for (package, head, _) in HARMLESS {
        assert!(
            found.contains(&format!("{package}: {head}")),
            "no longer there: {package}: {head}"
        );
    }
}
