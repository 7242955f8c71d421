//! Who may know whom: ARCHITECTURE.md has the table, and this holds the sources to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Table = BTreeMap<String, BTreeSet<String>>;

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const FOLDERS: [&str; 16] = [
    "clock",
    "io",
    "metric",
    "record",
    "source",
    "decode",
    "route",
    "ring",
    "shard",
    "chain",
    "state",
    "checkpoint",
    "sink",
    "job",
    "sim",
    "command",
];

/// Rows like ``| `sink/` | chain, clock, io | ...`` of the table under "Who may know whom".
fn allowed() -> Table {
    let section = ARCHITECTURE.split("\n## ").find(|text| text.starts_with("Who may know whom"));
    let rows = section.expect("the section is there").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let folder = cells.next()?.trim_end_matches('`');
        let folder = folder.trim_end_matches(".rs").trim_end_matches('/').to_owned();
        let known = cells.next()?.split(',').map(str::trim);
        let known = known.filter(|name| FOLDERS.contains(name)).map(str::to_owned).collect();
        Some((folder, known))
    });
    rows.collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The folders that a line of code names, comments left out.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(&rest[..end]).filter(|name| FOLDERS.contains(name))
    })
}

/// What each folder uses, and the first place where it does. The interleavings of `ring/` are a
/// model of a ring and a parked shard together, and no part of the engine.
fn used() -> BTreeMap<(String, String), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.sort();
    let mut used = BTreeMap::new();
    for path in files {
        let inside =
            path.strip_prefix(&root).ok().and_then(Path::to_str).expect("a path below src");
        if ["lib.rs", "ring/interleavings.rs"].contains(&inside) {
            continue;
        }
        let folder = inside.split(['/', '.']).next().unwrap_or(inside);
        let text = fs::read_to_string(&path).expect("a source file");
        for (line, number) in text.lines().zip(1..) {
            for name in named(line).filter(|&name| name != folder) {
                let edge = (folder.to_owned(), name.to_owned());
                used.entry(edge).or_insert_with(|| format!("{inside}:{number}"));
            }
        }
    }
    used
}

#[test]
fn folders_use_only_what_the_table_allows() {
    let allowed = allowed();
    let forbidden: Vec<String> = used()
        .into_iter()
        .filter(|((folder, name), _)| !allowed.get(folder).is_some_and(|may| may.contains(name)))
        .map(|((folder, name), place)| format!("{folder}/ uses {name}/ at {place}"))
        .collect();
    assert!(forbidden.is_empty(), "not in ARCHITECTURE.md: {forbidden:#?}");
}

#[test]
fn the_table_allows_nothing_that_is_not_used() {
    let used = used();
    let stale: Vec<String> = allowed()
        .into_iter()
        .flat_map(|(folder, may)| may.into_iter().map(move |name| (folder.clone(), name)))
        .filter(|edge| !used.contains_key(edge))
        .map(|(folder, name)| format!("{folder}/ no longer uses {name}/"))
        .collect();
    assert!(stale.is_empty(), "in ARCHITECTURE.md: {stale:#?}");
}

#[test]
fn every_folder_has_its_row() {
    let rows: BTreeSet<String> = allowed().into_keys().collect();
    let folders: BTreeSet<String> = FOLDERS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(rows, folders);
}
