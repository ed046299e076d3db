//! Warnings: one click, what follows, what plans do by themselves.

use std::sync::Arc;

use crate::support::*;
use citywatch_alerting::ledger::{
    AlertFilter, Answer, AnswerWord, Call, Condition, Delivery, DeliveryFilter, DeliveryState,
    IssueWarning, WarningEntry, WarningState,
};
use citywatch_alerting::warning::{Status, WarningKind};
use citywatch_alerting::{Ledger, directory};
use citywatch_model::Level::{Blue, Orange, Red, Yellow};
use citywatch_model::{Duration, RuleInfo, Text, name};

const PLANS: &str = "
departments:
  - id: water
    name: { zh: 水务局, en: Water }
    zones: [east]
    channels: [{ kind: cap_mqtt }]
    contacts:
      - { name: 王伟, phone: '1380', channels: [{ kind: webhook, url: 'http://127.0.0.1:1/wang' }] }
  - id: traffic
    name: 交警
    channels: [{ kind: webhook, url: 'http://127.0.0.1:1/traffic?key=secret' }]
  - id: west
    zones: [west]
    channels: [{ kind: webhook, url: 'http://127.0.0.1:1/west' }]
plans:
  - id: default
    expires: 6h
    levels:
      yellow: { tell: [water, west] }
      orange: { tell: [traffic] }
";

fn automatic(lift: &str) -> String {
    PLANS.replace(
        "orange: { tell: [traffic] }",
        &format!("orange: {{ tell: [traffic], automatic: true }}\n    {lift}"),
    )
}

fn noted(note: &str) -> IssueWarning {
    IssueWarning {
        note: Some(note.to_owned()),
        ..IssueWarning::default()
    }
}

/// `department/contact channel state`, sorted.
async fn deliveries(ledger: &Ledger, warning: i64) -> Vec<String> {
    let filter = DeliveryFilter {
        warning: Some(warning),
        ..DeliveryFilter::default()
    };
    let shown = |delivery: &Delivery| {
        let Delivery {
            recipient,
            channel,
            state,
            ..
        } = delivery;
        format!(
            "{}/{} {channel} {}",
            recipient.department,
            recipient.contact,
            state.word()
        )
    };
    let mut rows: Vec<String> = ledger
        .deliveries(&filter)
        .await
        .unwrap()
        .items
        .iter()
        .map(shown)
        .collect();
    rows.sort();
    rows
}

async fn state(ledger: &Ledger, warning: i64) -> WarningState {
    ledger
        .warning(&warning.to_string())
        .await
        .unwrap()
        .entry
        .state
}

#[tokio::test]
async fn one_click_makes_message_and_deliveries() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let entry = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let warning = &entry.warning;
    insta::assert_snapshot!([&warning.headline, &warning.description, &warning.instruction, &warning.area.name]
        .map(|text| format!("{}\n{}", text.zh, text.en)).join("\n"), @"
    【下穿通道积水橙色预警】人民街道人民路下穿通道 22.5 cm（严重）
    Orange warning: Underpass water depth, 人民路下穿通道, Renmin Street 22.5 cm (severe)
    人民街道人民路下穿通道自2026年11月22日08:00起下穿通道积水，达到橙色预警级别（严重）。最新值 22.5 cm。
    Underpass water depth at 人民路下穿通道, Renmin Street since 2026-11-22 08:00, orange level (severe). Latest value 22.5 cm.
    封闭通道，启动排水泵
    Close the underpass, start the pumps
    人民街道人民路下穿通道
    人民路下穿通道, Renmin Street
    ");
    assert_eq!(
        warning.expires,
        warning.sent + Duration::from_secs(6 * 3_600)
    );
    assert_eq!(
        deliveries(&ledger, entry.id).await,
        [
            "traffic/ webhook queued",
            "water/ cap_mqtt queued",
            "water/王伟 webhook queued"
        ]
    );
    let detail = ledger.warning(&warning.identifier).await.unwrap();
    assert!(detail.cap.contains(&warning.identifier));
    assert!(
        detail
            .deliveries
            .iter()
            .all(|delivery| !delivery.address.contains("secret"))
    );
    let alert = ledger.alert(alert).await.unwrap();
    assert_eq!(
        (alert.alert.warning, alert.alert.warned),
        (Some(entry.id), Some(Orange))
    );
    let again = ledger
        .issue_warning(alert.alert.id, &IssueWarning::default(), &call())
        .await
        .unwrap_err();
    insta::assert_snapshot!(again, @"alert 1 has warning 1 in force: update, correct, lift or withdraw that one");
}

#[tokio::test]
async fn a_click_that_reaches_nobody_is_refused() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Blue)]).await.alerts[0].id;
    let mut errors = Vec::new();
    let wishes = [
        IssueWarning::default(),
        IssueWarning {
            level: Some(Red),
            channels: Some(vec!["webhook".to_owned(), "pigeon".to_owned()]),
            ..IssueWarning::default()
        },
        IssueWarning {
            level: Some(Red),
            channels: Some(Vec::new()),
            ..IssueWarning::default()
        },
        IssueWarning {
            level: Some(Red),
            channels: Some(vec!["sms".to_owned()]),
            ..IssueWarning::default()
        },
        IssueWarning {
            departments: Some(Vec::new()),
            ..IssueWarning::default()
        },
        IssueWarning {
            departments: Some(vec!["fire".to_owned()]),
            ..IssueWarning::default()
        },
        IssueWarning {
            headline: Some(Text::same("<b>water</b>")),
            level: Some(Red),
            ..IssueWarning::default()
        },
    ];
    for wish in wishes {
        errors.push(
            ledger
                .issue_warning(alert, &wish, &call())
                .await
                .unwrap_err()
                .to_string(),
        );
    }
    ledger.set_directory(std::sync::Arc::default());
    errors.push(
        ledger
            .issue_warning(alert, &IssueWarning::default(), &call())
            .await
            .unwrap_err()
            .to_string(),
    );
    insta::assert_snapshot!(errors.join("\n"));
    assert!(
        ledger
            .warnings(&Default::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(ledger.alert(alert).await.unwrap().acts, []);
}

#[tokio::test]
async fn a_click_may_choose_other_words_people_and_status() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Blue)]).await.alerts[0].id;
    let wish = IssueWarning {
        instruction: Some(Text::same("stay away")),
        level: Some(Red),
        departments: Some(vec!["west".to_owned(), "water".to_owned()]),
        channels: Some(vec!["webhook".to_owned()]),
        status: Status::Exercise,
        exercise: Some("2026-03".to_owned()),
        expires: Some(Duration::from_secs(60)),
        ..IssueWarning::default()
    };
    let keyed = Call {
        key: Some("k".to_owned()),
        ..call()
    };
    let entry = ledger.issue_warning(alert, &wish, &keyed).await.unwrap();
    assert_eq!(
        ledger.issue_warning(alert, &wish, &keyed).await.unwrap(),
        entry,
        "one key, one warning"
    );
    assert!(
        entry.warning.headline.zh.starts_with("（演练）")
            && entry.warning.headline.en.starts_with("EXERCISE: ")
    );
    assert_eq!(
        (entry.warning.level, entry.warning.instruction.en.as_str()),
        (Red, "stay away")
    );
    assert_eq!(
        deliveries(&ledger, entry.id).await,
        ["water/王伟 webhook queued", "west/ webhook queued"]
    );
    // a drill stands beside the real warning
    assert_eq!(ledger.alert(alert).await.unwrap().alert.warning, None);
    place.pass(61);
    assert_eq!(state(&ledger, entry.id).await, WarningState::Expired);
    assert!(
        ledger
            .update_warning(entry.id, &wish, &call())
            .await
            .unwrap_err()
            .is_conflict()
    );
}

#[tokio::test]
async fn what_follows_refers_to_all_that_came_before() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Yellow)]).await.alerts[0].id;
    let first = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    apply(&ledger, vec![relevel(2, "u-1", Orange)]).await;
    place.pass(10);
    let second = ledger
        .update_warning(first.id, &noted("rising"), &call())
        .await
        .unwrap();
    place.pass(10);
    let refused = ledger
        .correct_warning(second.id, &IssueWarning::default(), &call())
        .await
        .unwrap_err();
    insta::assert_snapshot!(refused, @"a corrected warning needs `note`: say what was wrong");
    let wish = IssueWarning {
        description: Some(Text::same("Renmin Road, not Renmin Lane")),
        ..noted("wrong street")
    };
    let third = ledger
        .correct_warning(second.id, &wish, &call())
        .await
        .unwrap();
    assert_eq!(
        third.warning.headline, second.warning.headline,
        "what was not corrected stays"
    );
    place.pass(10);
    apply(&ledger, vec![clear(9, "u-1", Orange)]).await;
    let fourth = ledger
        .lift_warning(third.id, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let identifiers = |entry: &WarningEntry| {
        entry
            .warning
            .references
            .iter()
            .map(|reference| reference.identifier.clone())
            .collect::<Vec<_>>()
    };
    let all = [&first, &second, &third].map(|entry| entry.warning.identifier.clone());
    assert_eq!(identifiers(&first), Vec::<String>::new());
    assert_eq!(identifiers(&second), all[..1]);
    assert_eq!(identifiers(&fourth), all);
    assert_eq!(fourth.warning.kind, WarningKind::Lifted);
    let told = [
        "traffic/ webhook queued",
        "water/ cap_mqtt queued",
        "water/王伟 webhook queued",
    ];
    assert_eq!(deliveries(&ledger, first.id).await, told[1..]);
    for entry in [&second, &third, &fourth] {
        assert_eq!(deliveries(&ledger, entry.id).await, told);
    }
    for entry in [&first, &second, &third] {
        assert_eq!(state(&ledger, entry.id).await, WarningState::Lifted);
    }
    assert_eq!(state(&ledger, fourth.id).await, WarningState::Final);
    let late = ledger
        .withdraw_warning(third.id, &noted("x"), &call())
        .await
        .unwrap_err();
    insta::assert_snapshot!(late, @"warning 3 is lifted already");
    assert_eq!(ledger.alert(alert).await.unwrap().alert.warning, None);
}

#[tokio::test]
async fn a_withdrawal_cancels_what_nobody_can_have_seen() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let first = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let last = ledger
        .withdraw_warning(first.id, &noted("test gas"), &call())
        .await
        .unwrap();
    assert_eq!(
        deliveries(&ledger, last.id).await,
        Vec::<String>::new(),
        "nobody was tried"
    );
    assert!(
        deliveries(&ledger, first.id)
            .await
            .iter()
            .all(|row| row.ends_with("cancelled"))
    );
    assert_eq!(state(&ledger, first.id).await, WarningState::Withdrawn);
    // after a crash nobody knows who was tried, so everybody hears of it
    let second = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let ledger = place.open(PLANS).await;
    let last = ledger
        .withdraw_warning(second.id, &noted("test gas"), &call())
        .await
        .unwrap();
    assert_eq!(deliveries(&ledger, last.id).await.len(), 3);
}

#[tokio::test]
async fn automatic_plans_warn_update_and_lift() {
    let place = Place::new();
    let ledger = place.open(&automatic("")).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Yellow)]).await.alerts[0].id;
    let kinds = async || {
        let warnings = ledger.alert(alert).await.unwrap().warnings;
        warnings
            .iter()
            .map(|entry| format!("{} {}", entry.warning.kind.word(), entry.warning.level))
            .collect::<Vec<_>>()
    };
    assert!(kinds().await.is_empty(), "yellow waits for a click");
    apply(
        &ledger,
        vec![
            relevel(2, "u-1", Orange),
            relevel(3, "u-1", Yellow),
            relevel(4, "u-1", Orange),
        ],
    )
    .await;
    assert_eq!(
        kinds().await,
        ["issued orange"],
        "the same again says nothing new"
    );
    apply(&ledger, vec![relevel(5, "u-1", Red), clear(6, "u-1", Red)]).await;
    assert_eq!(
        kinds().await,
        ["issued orange", "updated red", "lifted red"]
    );
    apply(&ledger, vec![raise(7, "u-1", Red)]).await;
    assert_eq!(kinds().await.len(), 4);
    let detail = ledger.alert(alert).await.unwrap();
    assert!(
        detail
            .warnings
            .iter()
            .all(|entry| entry.automatic && entry.issued_by == "citywatch")
    );
    assert_eq!(
        detail.warnings[3].chain, detail.warnings[3].id,
        "a new danger begins a new chain"
    );
    assert!(
        detail
            .deliveries
            .iter()
            .all(|delivery| delivery.state == DeliveryState::Queued)
    );
}

#[tokio::test]
async fn a_mended_name_makes_nobody_a_second_recipient() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let first = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let mended = PLANS
        .replace("en: Water }", "en: Water Bureau }")
        .replace("王伟", "李明");
    let mended = directory::read_directory("plans.yaml", &mended).unwrap();
    ledger.set_directory(Arc::new(mended));
    let expected = [
        "traffic/ webhook queued",
        "water/ cap_mqtt queued",
        "water/李明 webhook queued",
    ];
    let update = ledger
        .update_warning(first.id, &IssueWarning::default(), &call())
        .await
        .unwrap()
        .id;
    assert_eq!(deliveries(&ledger, update).await, expected);
    let told = ledger
        .warning(&update.to_string())
        .await
        .unwrap()
        .deliveries;
    let names = told
        .iter()
        .map(|row| row.recipient.department_name.en.as_str());
    assert_eq!(names.filter(|name| *name == "Water Bureau").count(), 2);
    let lifting = ledger
        .lift_warning(update, &IssueWarning::default(), &call())
        .await
        .unwrap()
        .id;
    assert_eq!(deliveries(&ledger, lifting).await, expected);
}

#[tokio::test]
async fn a_corrected_hazard_changes_who_is_told() {
    let plans = "
departments:
  - { id: gas, channels: [{ kind: webhook, url: 'http://127.0.0.1:1/gas' }] }
  - { id: flood, channels: [{ kind: webhook, url: 'http://127.0.0.1:1/flood' }] }
plans:
  - { id: gas, hazard: gas, levels: { orange: { tell: [gas], automatic: true } } }
  - { id: flood, hazard: flood, levels: { orange: { tell: [flood], automatic: true } } }
";
    let place = Place::new();
    let ledger = place.open(plans).await;
    let mut wrong = raise(1, "u-1", Orange);
    wrong.rule = Arc::new(RuleInfo {
        hazard: name("gas"),
        source: "a draft".to_owned(),
        ..RuleInfo::clone(&wrong.rule)
    });
    apply(&ledger, vec![wrong]).await;
    assert_eq!(deliveries(&ledger, 1).await, ["gas/ webhook queued"]);
    let alert = apply(&ledger, vec![relevel(2, "u-1", Red)])
        .await
        .alerts
        .remove(0);
    assert_eq!(alert.source, "Beijing practice, closed at 27 cm");
    assert_eq!(
        deliveries(&ledger, 2).await,
        ["flood/ webhook queued", "gas/ webhook queued"],
        "whoever was told hears how it goes on"
    );
    let filter = AlertFilter {
        hazard: Some("flood".to_owned()),
        ..AlertFilter::default()
    };
    assert_eq!(ledger.alerts(&filter).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn the_end_of_a_danger_also_ends_warnings_on_alerts_that_were_closed_during_it() {
    for restarted in [false, true] {
        let place = Place::new();
        let mut ledger = place.open(&automatic("")).await;
        let closed = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
        ledger
            .close(closed, "pumps are there", true, &call())
            .await
            .unwrap();
        let worse = apply(&ledger, vec![relevel(2, "u-1", Red)]).await.alerts[0].id;
        assert_ne!(worse, closed);
        let both = async |ledger: &Ledger| [state(ledger, 1).await, state(ledger, 2).await];
        assert_eq!(both(&ledger).await, [WarningState::InForce; 2]);
        if restarted {
            ledger.shutdown().await.unwrap();
            ledger = place.open(&automatic("")).await;
        }
        apply(&ledger, vec![clear(3, "u-1", Red)]).await;
        assert_eq!(both(&ledger).await, [WarningState::Lifted; 2]);
        let old = ledger.alert(closed).await.unwrap();
        assert_eq!(
            (old.alert.condition, old.alert.warning),
            (Condition::Recovered, None)
        );
        assert_eq!(old.transitions.last().unwrap().kind, "clear");
        // and a new breach is again of the newer one
        let again = apply(&ledger, vec![raise(4, "u-1", Red)]).await.alerts;
        assert_eq!(again[0].id, worse);
    }
}

#[tokio::test]
async fn a_warning_on_a_closed_alert_lapses_though_a_newer_alert_took_its_place() {
    let place = Place::new();
    let ledger = place.open(&automatic("")).await;
    let closed = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    ledger.close(closed, "seen", true, &call()).await.unwrap();
    place.pass(60);
    apply(&ledger, vec![relevel(2, "u-1", Red)]).await;
    place.pass(6 * 3_600 - 60);
    assert_eq!(ledger.lapse().await.unwrap(), 1);
    assert_eq!(ledger.lapse().await.unwrap(), 0, "once");
    let event = ledger.events_after(0, 99).await.unwrap().pop().unwrap();
    assert_eq!(
        (event.kind.as_str(), event.data["id"].as_i64()),
        ("warning.expired", Some(1))
    );
    assert_eq!(ledger.alert(closed).await.unwrap().alert.warning, None);
}

#[tokio::test]
async fn who_lifts_is_the_plans_choice() {
    for (plans, clicked, lifted) in [
        (PLANS.to_owned(), true, false),
        (PLANS.replace("expires: 6h", "lift: automatic"), true, true),
        (automatic(""), false, true),
        (automatic("lift: manual"), false, false),
    ] {
        let place = Place::new();
        let ledger = place.open(&plans).await;
        let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
        if clicked {
            ledger
                .issue_warning(alert, &IssueWarning::default(), &call())
                .await
                .unwrap();
        }
        apply(&ledger, vec![clear(2, "u-1", Orange)]).await;
        let warnings = ledger.alert(alert).await.unwrap().warnings.len();
        assert_eq!(warnings, 1 + usize::from(lifted), "{plans}");
    }
}

#[tokio::test]
async fn a_changed_rule_or_sensor_lifts_nothing() {
    for plans in [automatic(""), automatic("lift: automatic")] {
        let place = Place::new();
        let ledger = place.open(&plans).await;
        let alert = apply(&ledger, vec![raise(1, "u-1", Red)]).await.alerts[0].id;
        let kinds = async || {
            let detail = ledger.alert(alert).await.unwrap();
            let kinds: Vec<&str> = detail
                .warnings
                .iter()
                .map(|entry| entry.warning.kind.word())
                .collect();
            (kinds.join(" "), detail.alert.warned)
        };
        apply(&ledger, vec![unwatch(2, "u-1", Red)]).await;
        assert_eq!(kinds().await, ("issued".to_owned(), Some(Red)), "{plans}");
        // the changed rule sees it too: nothing new to say; then it sees it end
        apply(&ledger, vec![raise(3, "u-1", Red)]).await;
        assert_eq!(kinds().await, ("issued".to_owned(), Some(Red)));
        apply(&ledger, vec![clear(4, "u-1", Red)]).await;
        assert_eq!(kinds().await, ("issued lifted".to_owned(), None));
    }
    // a person may know that the danger is over
    let place = Place::new();
    let ledger = place.open(&automatic("")).await;
    apply(&ledger, vec![raise(1, "u-1", Red), unwatch(2, "u-1", Red)]).await;
    let lifted = ledger
        .lift_warning(1, &IssueWarning::default(), &call())
        .await
        .unwrap();
    assert_eq!(
        lifted.warning.description.zh,
        "人民街道人民路下穿通道下穿通道积水的危险已经过去，红色预警解除。"
    );
}

#[tokio::test]
async fn answers_go_forward_and_are_all_kept() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let entry = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let delivery = ledger
        .warning(&entry.id.to_string())
        .await
        .unwrap()
        .deliveries[0]
        .id;
    let says = |word| Answer {
        word,
        by: "王伟".to_owned(),
        note: "two cars".to_owned(),
    };
    for (word, stands) in [
        (AnswerWord::OnTheWay, AnswerWord::OnTheWay),
        (AnswerWord::Received, AnswerWord::OnTheWay),
        (AnswerWord::Done, AnswerWord::Done),
    ] {
        let delivery = ledger.answer(delivery, &says(word), &call()).await.unwrap();
        assert_eq!(delivery.answer, Some(stands));
        assert_eq!(
            delivery.state,
            DeliveryState::Queued,
            "an answer is not a receipt"
        );
    }
    let nobody = Answer {
        by: " ".to_owned(),
        ..says(AnswerWord::Done)
    };
    assert!(
        ledger
            .answer(delivery, &nobody, &call())
            .await
            .unwrap_err()
            .is_invalid()
    );
    assert!(
        ledger
            .answer(99, &says(AnswerWord::Done), &call())
            .await
            .unwrap_err()
            .not_found()
    );
    let acts = ledger.alert(alert).await.unwrap().acts;
    assert_eq!(acts.iter().filter(|act| act.act == "answer").count(), 3);
}

#[tokio::test]
async fn the_event_of_a_warning_tells_it_as_it_was_issued() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let issued = ledger
        .issue_warning(alert, &IssueWarning::default(), &call())
        .await
        .unwrap();
    let lifted = ledger
        .lift_warning(issued.id, &IssueWarning::default(), &call())
        .await
        .unwrap();
    assert_eq!(state(&ledger, issued.id).await, WarningState::Lifted);
    place.pass(7 * 3_600); // beyond the end of both
    let events = ledger.events_after(0, 9).await.unwrap();
    let told: Vec<(&str, WarningEntry)> = events
        .iter()
        .filter(|event| event.kind.starts_with("warning."))
        .map(|event| {
            let entry = serde_json::from_value(event.data.clone()).unwrap();
            (event.kind.as_str(), entry)
        })
        .collect();
    assert_eq!(
        told,
        [("warning.issued", issued), ("warning.lifted", lifted)]
    );
}

#[tokio::test]
async fn a_warning_that_lapses_while_the_danger_holds_is_told() {
    let place = Place::new();
    let ledger = place.open(PLANS).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    let brief = IssueWarning {
        expires: Some(Duration::from_secs(60)),
        ..IssueWarning::default()
    };
    let entry = ledger.issue_warning(alert, &brief, &call()).await.unwrap();
    ledger.acknowledge(alert, "", &call()).await.unwrap();
    let now = async || ledger.alert(alert).await.unwrap().alert;
    let warned = now().await;
    assert_eq!(
        (warned.warning, warned.warned, warned.warned_until),
        (Some(entry.id), Some(Orange), Some(entry.warning.expires))
    );
    assert_eq!(ledger.lapse().await.unwrap(), 0);
    place.pass(60);
    let shown = now().await;
    assert_eq!(
        (shown.warning, shown.warned, shown.needs_attention),
        (None, None, false),
        "at once, whenever the timer looks"
    );
    // also after a restart
    let ledger = place.open(PLANS).await;
    assert_eq!(ledger.lapse().await.unwrap(), 1);
    assert_eq!(ledger.lapse().await.unwrap(), 0, "once");
    let alone = ledger.alert(alert).await.unwrap();
    assert!(alone.alert.needs_attention && alone.alert.version == warned.version + 1);
    let event = ledger.events_after(0, 9).await.unwrap().pop().unwrap();
    assert_eq!(
        (event.kind.as_str(), event.data["state"].as_str()),
        ("warning.expired", Some("expired"))
    );
    // a new one can be issued; once the danger is over nobody needs to look
    ledger.acknowledge(alert, "", &call()).await.unwrap();
    ledger.issue_warning(alert, &brief, &call()).await.unwrap();
    apply(&ledger, vec![clear(2, "u-1", Orange)]).await;
    place.pass(60);
    assert_eq!(ledger.lapse().await.unwrap(), 1);
    let over = ledger.alert(alert).await.unwrap().alert;
    assert_eq!((over.warning, over.needs_attention), (None, false));
}

#[tokio::test]
async fn an_automatic_plan_renews_what_lapses() {
    let place = Place::new();
    let ledger = place.open(&automatic("")).await;
    let alert = apply(&ledger, vec![raise(1, "u-1", Red)]).await.alerts[0].id;
    place.pass(6 * 3_600);
    assert_eq!(ledger.lapse().await.unwrap(), 1);
    let detail = ledger.alert(alert).await.unwrap();
    assert_eq!(detail.alert.warned, Some(Red));
    let states: Vec<WarningState> = detail.warnings.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [WarningState::Expired, WarningState::InForce]);
    assert_eq!(deliveries(&ledger, 2).await, deliveries(&ledger, 1).await);
    // of what nobody watches nobody knows: a person looks
    apply(&ledger, vec![unwatch(2, "u-1", Red)]).await;
    ledger.acknowledge(alert, "", &call()).await.unwrap();
    place.pass(6 * 3_600);
    assert_eq!(ledger.lapse().await.unwrap(), 1);
    let detail = ledger.alert(alert).await.unwrap();
    assert!(detail.alert.needs_attention && detail.warnings.len() == 2);
}
