//! What leaves the house: CAP messages, the feed, and what `check` says of warnings that would break the standard.

#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod sample;
}

use citywatch_alerting::cap::{self, Language};
use citywatch_alerting::feed::{FeedEntry, FeedHead, MAX_ENTRIES, atom};
use citywatch_alerting::warning::{Reference, Shape, Warning, WarningKind};
use citywatch_model::{Duration, Text};

use support::sample::{bare, cases, sample, time};

#[test]
fn cap_messages() {
    for (name, warning) in cases() {
        insta::assert_snapshot!(format!("cap_{name}"), cap::render(&warning));
    }
}

/// What a change to the sample makes `check` say.
fn said(change: impl FnOnce(&mut Warning)) -> String {
    let mut warning = sample();
    change(&mut warning);
    cap::check(&warning).map_or_else(|problems| problems.join("\n"), |()| "fine".to_owned())
}

fn polygon(points: &[(f64, f64)]) -> String {
    let shapes = vec![Shape::Polygon(points.to_vec())];
    said(|warning| warning.area.shapes = shapes)
}

fn list(said: &[(&str, String)]) -> String {
    said.iter()
        .map(|(what, said)| format!("{what}: {said}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn check_looks_at_shapes() {
    let square = [
        (31.0, 117.0),
        (31.0, 118.0),
        (32.0, 118.0),
        (32.0, 117.0),
        (31.0, 117.0),
    ];
    let bow = [
        (31.0, 117.0),
        (32.0, 118.0),
        (31.0, 118.0),
        (32.0, 117.0),
        (31.0, 117.0),
    ];
    let circle = Shape::Circle {
        center: (91.0, 0.0),
        radius_km: -1.0,
    };
    insta::assert_snapshot!(list(&[
        ("closed polygon", polygon(&square)),
        ("open polygon", polygon(&square[..4])),
        ("two points", polygon(&square[..2])),
        ("crossing sides", polygon(&bow)),
        ("longitude first", polygon(&[(117.0, 31.0)])),
        ("not a number", polygon(&[(f64::NAN, 31.0)])),
        ("circle", said(|w| w.area.shapes = vec![circle])),
    ]));
}

/// What `check` says of an update that refers to `reference`.
fn refers(reference: Reference) -> String {
    said(|warning| {
        warning.kind = WarningKind::Updated;
        warning.references = vec![reference];
    })
}

#[test]
fn check_looks_at_references() {
    let own = sample().reference();
    let earlier = Reference {
        identifier: "CW-0".to_owned(),
        ..own.clone()
    };
    let later = Reference {
        sent: "2017-08-27T10:30:00+08:00".to_owned(),
        ..earlier.clone()
    };
    let undated = Reference {
        sent: "yesterday".to_owned(),
        ..earlier.clone()
    };
    let first = earlier.clone();
    insta::assert_snapshot!(list(&[
        ("update", refers(earlier)),
        (
            "update without any",
            said(|w| w.kind = WarningKind::Updated)
        ),
        ("first with one", said(|w| w.references = vec![first])),
        ("refers to itself", refers(own)),
        ("refers to a later one", refers(later)),
        ("refers to no time", refers(undated)),
    ]));
}

#[test]
fn check_looks_at_letters_and_times() {
    insta::assert_snapshot!(list(&[
        ("empty identifier", said(|w| w.identifier.clear())),
        (
            "identifier with a comma",
            said(|w| w.identifier = "CW,1".to_owned())
        ),
        (
            "sender with a space",
            said(|w| w.sender = "city watch".to_owned())
        ),
        ("expired", said(|w| w.expires = w.sent)),
        (
            "begins after its end",
            said(|w| w.onset = Some(time("2030-01-01T00:00:00Z")))
        ),
        (
            "tag",
            said(|w| w.description = Text::same("water <b>rises</b>"))
        ),
        (
            "entity",
            said(|w| w.instruction.en = "pumps &amp; barriers".to_owned())
        ),
        (
            "less than",
            said(|w| w.instruction.en = "if x < 3 & y > 4; leave".to_owned())
        ),
        (
            "control character",
            said(|w| w.headline.zh = "水\u{7}位".to_owned())
        ),
        ("no headline", said(|w| w.headline = Text::default())),
        (
            "relative address",
            said(|w| w.cap_url = Some("/cap/x.xml".to_owned()))
        ),
    ]));
}

#[test]
fn check_finds_nothing_in_ordinary_warnings() {
    for (name, warning) in cases() {
        assert_eq!(
            cap::check(&warning).is_ok(),
            !matches!(name, "markup" | "bare"),
            "{name}"
        );
    }
}

fn head(language: Language) -> FeedHead {
    FeedHead {
        id: "tag:example.gov.cn,2026:feeds/cap".to_owned(),
        self_url: "https://warn.example.gov.cn/feeds/cap.atom?a=1&b=2".to_owned(),
        title: "示范区预警".to_owned(),
        author: "守望 Citywatch".to_owned(),
        updated: time("2017-08-27T03:00:00Z"),
        language,
    }
}

fn entry(warning: &Warning, language: Language) -> FeedEntry {
    let url = format!("https://warn.example.gov.cn/cap/{}.xml", warning.identifier);
    FeedEntry::new(warning, &url, language)
}

#[test]
fn feed_newest_first() {
    let newer = Warning {
        identifier: "newer".to_owned(),
        sent: sample().sent + Duration::from_secs(60),
        ..bare()
    };
    for language in Language::ALL {
        let entries = [entry(&sample(), language), entry(&newer, language)];
        insta::assert_snapshot!(
            format!("feed_{}", language.tag()),
            atom(&entries, &head(language))
        );
    }
}

#[test]
fn feed_holds_the_newest_200() {
    let at = |n: i64| Warning {
        identifier: format!("w-{n}"),
        sent: sample().sent + Duration::from_secs(n),
        ..sample()
    };
    let entries: Vec<FeedEntry> = (0..250).map(|n| entry(&at(n), Language::Chinese)).collect();
    let feed = atom(&entries, &head(Language::Chinese));
    assert_eq!(feed.matches("<entry>").count(), MAX_ENTRIES);
    assert!(
        feed.contains("cap/w-249<") && feed.contains("cap/w-50<") && !feed.contains("cap/w-49<")
    );
}

#[test]
fn feed_ids_are_uris_whatever_the_sender() {
    let odd = Warning {
        sender: "守望 <x>".to_owned(),
        identifier: "a b".to_owned(),
        ..sample()
    };
    let feed = atom(&[entry(&odd, Language::English)], &head(Language::English));
    assert!(
        feed.contains("<id>tag:%E5%AE%88%E6%9C%9B%20%3Cx%3E,2017-08-27:cap/a%20b</id>"),
        "{feed}"
    );
}
