//! Properties of the language: what is printed reads as the same condition, and no text makes it stumble.
#![allow(clippy::unwrap_used)]

use citywatch_model::{Duration, RuleSource, name};
use citywatch_rules::ast::{
    Arithmetic, Comparison, Condition, Expression, Operator, Proof, WindowFunction,
};
use citywatch_rules::{Problems, compile};
use proptest::prelude::*;

fn level(expression: &str) -> Result<Condition, Problems> {
    let quoted = expression.replace('\'', "''");
    let text = format!("rules:\n- id: r\n  measurement: m\n  levels:\n    red: '{quoted}'\n");
    let rules = compile(&[RuleSource {
        file: "r.yaml".to_owned(),
        text,
    }])?;
    Ok(rules.rules[0].levels[3].clone().unwrap())
}

fn measurement() -> impl Strategy<Value = String> {
    let words = [
        "value", "age", "valu", "max", "near", "and", "Samples", "水位", "x y", "pm2.5", "a\"b",
        "a'b", "sensor",
    ];
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,8}",
        proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
    ]
}

fn width() -> impl Strategy<Value = Duration> {
    (1_i64..10_000_000_000).prop_map(Duration::from_millis)
}

fn reading() -> impl Strategy<Value = Expression> {
    let window = (
        proptest::sample::select(WindowFunction::ALL.to_vec()),
        measurement(),
        width(),
    );
    prop_oneof![
        measurement().prop_map(|word| Expression::Newest(name(&word))),
        ("[A-Za-z0-9.:/#@+_ \"-]{0,8}[a-z]", measurement())
            .prop_map(|(id, word)| Expression::Remote(name(&id), name(&word))),
        window.prop_map(|(function, word, width)| Expression::Window {
            function,
            measurement: name(&word),
            width
        }),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let number = prop_oneof![
        any::<i32>().prop_map(f64::from),
        proptest::num::f64::NORMAL,
        Just(0.1)
    ];
    let leaf = prop_oneof![number.prop_map(Expression::Number), reading()];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let operator = proptest::sample::select(vec![
            Arithmetic::Add,
            Arithmetic::Subtract,
            Arithmetic::Multiply,
            Arithmetic::Divide,
        ]);
        prop_oneof![
            inner
                .clone()
                .prop_map(|inner| Expression::Negate(Box::new(inner))),
            (inner.clone(), operator, inner).prop_map(|(left, operator, right)| {
                Expression::Arithmetic(Box::new(left), operator, Box::new(right))
            }),
        ]
    })
}

fn comparison() -> impl Strategy<Value = Condition> {
    let operator = proptest::sample::select(vec![
        Operator::Greater,
        Operator::GreaterEqual,
        Operator::Less,
        Operator::LessEqual,
        Operator::Equal,
        Operator::NotEqual,
    ]);
    let proof = (
        proptest::option::of(width()),
        proptest::option::of(1_u32..100),
    );
    (reading(), expression(), operator, expression(), proof).prop_map(
        |(reading, left, operator, right, (lasting, samples))| {
            // a comparison must name a reading
            let left = Expression::Arithmetic(Box::new(left), Arithmetic::Add, Box::new(reading));
            let proof = (lasting.is_some() || samples.is_some()).then_some(Proof {
                slot: 0,
                lasting,
                samples,
            });
            Condition::Compare(Comparison {
                left,
                operator,
                right,
                proof,
            })
        },
    )
}

fn condition() -> impl Strategy<Value = Condition> {
    let tree = comparison().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|inner| Condition::Not(Box::new(inner))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            proptest::collection::vec(inner, 2..4).prop_map(Condition::Any),
        ]
    });
    tree.prop_map(|mut condition| {
        number_proofs(&mut condition, &mut 0);
        condition
    })
}

fn number_proofs(condition: &mut Condition, next: &mut usize) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter_mut().for_each(|part| number_proofs(part, next));
        }
        Condition::Not(inner) => number_proofs(inner, next),
        Condition::Compare(comparison) => {
            if let Some(proof) = &mut comparison.proof {
                proof.slot = *next;
                *next += 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(condition in condition()) {
        let printed = condition.to_string();
        let read = level(&printed).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        prop_assert_eq!(&read, &condition, "{}", printed);
        prop_assert_eq!(read.to_string(), printed);
    }

    #[test]
    fn no_expression_makes_it_stumble(text in "[ -~≥，水]{0,60}") {
        if let Err(problems) = level(&text) {
            prop_assert!(!problems.list.is_empty());
            prop_assert!(problems.list.iter().all(|problem| problem.line == 5), "{}", problems);
        }
    }

    #[test]
    fn no_words_make_it_stumble(words in proptest::collection::vec(proptest::sample::select(vec![
        "value", "age", "(", ")", "and", "or", "not", ">", "==", "5", "10m", "for", "in", "samples", "rise(", ",",
        "sensor(", "P-1", "-", "*", "unchanged(2h)", "\"", "=", "!",
    ]), 0..40)) {
        let text = words.join(" ");
        if let Ok(condition) = level(&text) {
            prop_assert_eq!(level(&condition.to_string()).unwrap(), condition);
        }
    }

    #[test]
    fn no_file_makes_it_stumble(text in "([a-z:{}\\[\\],&*!%|>'\"# -]|rules:|\n  |- id: a\n|é){0,60}") {
        let lines = u32::try_from(text.lines().count()).unwrap() + 1;
        if let Err(problems) = compile(&[RuleSource { file: "r.yaml".to_owned(), text }]) {
            prop_assert!(problems.list.iter().all(|problem| (1..=lines).contains(&problem.line)), "{}", problems);
            prop_assert!(!problems.render(true).is_empty());
        }
    }
}

#[test]
fn precedence_and_short_forms_are_those_of_the_design() {
    for (written, printed) in [
        (
            "value > 1 or m > 2 and not x > 3",
            "m > 1 or m > 2 and not x > 3",
        ),
        (
            "(value > 1 or m > 2) and x > 3",
            "(m > 1 or m > 2) and x > 3",
        ),
        (
            "value + 2 * -x - 3 > (1 + 2) * value",
            "m + 2 * -x - 3 > (1 + 2) * m",
        ),
        (
            "unchanged(2h) in 3 samples for 1m",
            "unchanged(m, 2h) == 1 for 1m in 3 samples",
        ),
        (
            "not unchanged(temperature, 120m)",
            "not unchanged(temperature, 2h) == 1",
        ),
        (
            "value >= 10 for 2m or rise(10m) >= 5",
            "m >= 10 for 2m or rise(m, 10m) >= 5",
        ),
        ("age > 60m", "age > 3600"),
        ("30m + 30m <= age", "1800 + 1800 <= age"),
        (
            "sensor(USGS-08074800, gage_height) - value > 1.50",
            "sensor(USGS-08074800, gage_height) - m > 1.5",
        ),
        ("sensor(\"pump 1\", value) > 0", "sensor(\"pump 1\", m) > 0"),
        ("sensor(a:b.c/1 , flow) > .5e1", "sensor(a:b.c/1, flow) > 5"),
        ("min(\"PM2.5\", 90s) <= - 3", "min(\"PM2.5\", 90s) <= -3"),
        ("valve == 1 in 1 sample", "valve == 1 in 1 samples"),
        (
            "span(1h) >= 45m and age > 1h",
            "span(m, 1h) >= 2700 and age > 3600",
        ),
        ("(value > 1) for 300", "m > 1 for 5m"),
    ] {
        let read = level(written).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(read.to_string(), printed, "{written}");
    }
}

#[test]
fn a_long_sum_is_read_and_a_longer_one_refused() {
    let sum = |terms: usize| format!("{} > 1", vec!["value"; terms].join(" + "));
    let read = level(&sum(490)).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(level(&read.to_string()).ok(), Some(read));
    let problems = level(&sum(600)).map(|_| ()).unwrap_err();
    assert!(
        problems.list[0].message.starts_with("more than 1000 words"),
        "{problems}"
    );
}
