//! The demo as a new user runs it, faster.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

#[test]
fn the_demo_raises_alerts_clicks_and_delivers() {
    let output = support::citywatch(&[
        "demo",
        "--once",
        "--speed",
        "60000",
        "--listen",
        "127.0.0.1:0",
        "--broker",
        "127.0.0.1:0",
    ])
    .current_dir(env!("CARGO_MANIFEST_DIR"))
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    let summary = &text[text.find("readings: ").expect("a summary")..];
    println!("{summary}");
    for hazard in ["flood", "gas", "water", "forest_fire"] {
        assert!(
            summary.contains(hazard),
            "{hazard} raised nothing:\n{summary}"
        );
    }
    for channel in ["webhook", "cap_mqtt"] {
        let line = summary
            .lines()
            .find(|line| line.trim_start().starts_with(channel));
        let line = line.unwrap_or_else(|| panic!("nothing went out by {channel}:\n{summary}"));
        for bad in ["queued", "sending", "dead"] {
            assert!(!line.contains(bad), "{line}");
        }
    }
    assert!(
        summary.contains("mqtt citywatch/cap/"),
        "no CAP message arrived:\n{summary}"
    );
    assert!(summary.contains("publish to alert row: "), "{summary}");
    assert!(!errors.contains("ERROR"), "{errors}");
}
