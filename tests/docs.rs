//! The documents are true: what they name exists, and the commands they show are accepted.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";
const DOCUMENTS: [&str; 6] = [
    ENGLISH,
    CHINESE,
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "deploy/README.md",
    "rules/packs/README.md",
];

/// A document: the lines of its prose, and its code blocks, each with its language before it.
struct Document {
    path: &'static str,
    prose: Vec<String>,
    blocks: Vec<String>,
}

fn read(path: &'static str) -> Document {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let mut parts = text.split("\n```");
    let mut prose: Vec<&str> = parts.next().unwrap().lines().collect();
    let mut blocks = Vec::new();
    while let Some(block) = parts.next() {
        blocks.push(block.replace("\\\n", " "));
        prose.extend(parts.next().expect("a code block has an end").lines());
    }
    let prose = prose.into_iter().map(str::to_owned).collect();
    Document {
        path,
        prose,
        blocks,
    }
}

impl Document {
    /// Everything that is code, as words: lines of code blocks, what stands in backticks, and what stands in
    /// backticks in one row of a table together.
    fn code(&self) -> Vec<Vec<String>> {
        let spans = |line: &str| -> Vec<String> {
            let odd = line.split('`').skip(1).step_by(2);
            odd.map(str::to_owned).collect()
        };
        let rows = self.prose.iter().filter(|line| line.starts_with("| `"));
        let rows = rows.map(|row| spans(row).join(" "));
        let spans = self.prose.iter().flat_map(|line| spans(line));
        let lines = self.blocks.iter().flat_map(|block| block.lines().skip(1));
        let all = lines.map(str::to_owned).chain(rows).chain(spans);
        all.map(|code| code.split_whitespace().map(str::to_owned).collect())
            .collect()
    }

    /// Where its relative paths begin.
    fn folder(&self) -> &Path {
        Path::new(self.path).parent().unwrap()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_link_leads_somewhere() {
    for document in DOCUMENTS.map(read) {
        let text = document.prose.join("\n");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            let known =
                target.contains("://") || root().join(document.folder()).join(target).exists();
            assert!(known, "{}: `{target}` leads nowhere", document.path);
        }
    }
}

#[test]
fn every_path_of_the_repository_exists() {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    for document in DOCUMENTS.map(read) {
        for word in document.code().concat() {
            // what is built is not in the repository; a first folder that we do not have is not ours
            let first = word.split('/').next().unwrap();
            if first.len() == word.len()
                || !word.chars().all(letter)
                || ["", "target"].contains(&first)
            {
                continue;
            }
            let bases = [root().to_owned(), root().join(document.folder())];
            let ours = bases.iter().any(|base| base.join(first).exists());
            let found = bases.iter().any(|base| base.join(&word).exists());
            assert!(found || !ours, "{}: there is no `{word}`", document.path);
        }
    }
}

#[test]
fn every_make_target_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for document in DOCUMENTS.map(read) {
        for words in document.code() {
            for pair in words.windows(2).filter(|pair| pair[0] == "make") {
                let known = makefile.contains(&format!("\n{}:", pair[1]));
                assert!(known, "{}: no `make {}`", document.path, pair[1]);
            }
        }
    }
}

#[test]
fn every_command_is_accepted() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for words in DOCUMENTS.map(read).iter().flat_map(Document::code) {
        for (at, pair) in words.windows(2).enumerate() {
            let program = pair[0].rsplit('/').next() == Some("citywatch");
            if program && pair[1].bytes().all(|letter| letter.is_ascii_lowercase()) {
                let rest = words[at..].iter().take_while(|word| *word != "|");
                let flags = rest.filter(|word| word.starts_with("--")).cloned();
                used.entry(pair[1].clone()).or_default().extend(flags);
            }
        }
    }
    assert!(used.len() >= 5, "the documents show {:?}", used.keys());
    for (command, flags) in used {
        let output = support::run(&[&command, "--help"]);
        assert!(output.status.success(), "there is no `citywatch {command}`");
        let help = String::from_utf8(output.stdout).unwrap();
        let known: BTreeSet<&str> = help.split([' ', '\n', ',']).collect();
        for flag in flags {
            let accepted = known.contains(flag.as_str());
            assert!(accepted, "`citywatch {command}` has no {flag}");
        }
    }
}

#[test]
fn every_address_is_described() {
    let snapshots = std::fs::read_dir(root().join("src/http/snapshots"));
    let mut snapshots = snapshots.expect("run `INSTA_UPDATE=always cargo test -p citywatch` once");
    let text = std::fs::read_to_string(snapshots.next().unwrap().unwrap().path()).unwrap();
    let json = &text[text.find("\n---\n").unwrap() + 5..];
    let api: Value = serde_json::from_str(json).unwrap();
    let described = api["paths"].as_object().unwrap();
    let same = |named: &str, path: &str| {
        let (named, path) = (named.split('/'), path.split('/'));
        let mut pairs = named.clone().zip(path.clone());
        named.count() == path.count() && pairs.all(|(a, b)| a == b || b.starts_with('{'))
    };
    for document in [ENGLISH, CHINESE] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for (at, _) in ["/api/v1/", "/feeds/", "`/cap/"]
            .iter()
            .flat_map(|start| text.match_indices(start))
        {
            let named = text[at..].trim_start_matches('`');
            let end = named.find(|c: char| !c.is_ascii_alphanumeric() && !"/{}._-".contains(c));
            let named = &named[..end.unwrap_or(named.len())];
            let known = described.keys().any(|path| same(named, path));
            assert!(known, "{document}: the API has no {named}");
        }
    }
}

#[test]
fn the_rule_that_is_shown_passes_its_tests() {
    let blocks = read(ENGLISH).blocks;
    let rule = blocks.iter().find_map(|block| block.strip_prefix("yaml\n"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rule.yaml");
    std::fs::write(&file, rule.unwrap()).unwrap();
    let output = support::run(&["check", "--rules", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

#[test]
fn both_languages_say_the_same() {
    let (english, chinese) = (read(ENGLISH), read(CHINESE));
    let depths = |document: &Document| -> Vec<usize> {
        let headings = document.prose.iter().filter(|line| line.starts_with('#'));
        headings.map(|line| line.find(' ').unwrap()).collect()
    };
    assert_eq!(depths(&english), depths(&chinese));
    assert_eq!(english.blocks, chinese.blocks);
}
