//! Any condition that the language can say, as a syntax tree.

use citywatch_model::{Duration, name};
use citywatch_rules::ast::{
    Aggregate, Arithmetic, Comparison, Condition, Contribution, Expression, Group, Operator, Proof,
    Reach, WindowFunction,
};
use proptest::prelude::*;

fn measurement() -> impl Strategy<Value = String> {
    let words = [
        "value",
        "age",
        "valu",
        "max",
        "near",
        "and",
        "Samples",
        "水位",
        "x y",
        "pm2.5",
        "a\"b",
        "a'b",
        "sensor",
        "zone",
        "count_near",
        "baseline",
        "forecast",
        "interval",
        "intervals",
    ];
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,8}",
        proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
    ]
}

fn width() -> impl Strategy<Value = Duration> {
    (1_i64..10_000_000_000).prop_map(Duration::from_millis)
}

fn operator() -> impl Strategy<Value = Operator> {
    proptest::sample::select(vec![
        Operator::Greater,
        Operator::GreaterEqual,
        Operator::Less,
        Operator::LessEqual,
        Operator::Equal,
        Operator::NotEqual,
    ])
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<i32>().prop_map(f64::from),
        proptest::num::f64::NORMAL,
        Just(0.1)
    ]
}

fn group() -> impl Strategy<Value = Expression> {
    let windows = WindowFunction::ALL
        .into_iter()
        .filter(|function| *function != WindowFunction::Unchanged);
    let each = prop_oneof![
        Just(Contribution::Newest),
        (
            proptest::sample::select(windows.collect::<Vec<_>>()),
            width()
        )
            .prop_map(|(function, width)| Contribution::Window(function, width)),
    ];
    let aggregate = proptest::sample::select(vec![
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Mean,
        Aggregate::Sum,
    ]);
    let distance =
        || (1_u32..20_000_000, 1_u32..1_000).prop_map(|(m, part)| f64::from(m) / f64::from(part));
    let around = prop_oneof![
        (distance(), aggregate.clone()).prop_map(|(metres, all)| (Reach::Near(metres), all)),
        aggregate.prop_map(|all| (Reach::Zone, all)),
        (distance(), operator(), number()).prop_map(|(metres, operator, limit)| (
            Reach::Near(metres),
            Aggregate::Count(operator, limit)
        )),
    ];
    (around, measurement(), each).prop_map(|((reach, aggregate), word, each)| {
        let measurement = name(&word);
        Expression::Group(Box::new(Group {
            reach,
            measurement,
            each,
            aggregate,
        }))
    })
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
        (measurement(), 1_u16..=60).prop_map(|(word, days)| Expression::Baseline {
            measurement: name(&word),
            days
        }),
        group(),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![number().prop_map(Expression::Number), reading()];
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
    let proof = (
        proptest::option::of(width()),
        proptest::option::of(1_u32..100),
    );
    let of_readings = (reading(), expression(), operator(), expression(), proof).prop_map(
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
    );
    prop_oneof![6 => of_readings, 1 => of_age()]
}

/// `age` against a constant or a multiple of `interval`, on either side.
fn of_age() -> impl Strategy<Value = Condition> {
    let times =
        |left, right| Expression::Arithmetic(Box::new(left), Arithmetic::Multiply, Box::new(right));
    let limit = (number(), 0..4).prop_map(move |(number, form)| match form {
        0 => Expression::Number(number),
        1 => Expression::Interval,
        2 => times(Expression::Number(number), Expression::Interval),
        _ => times(
            Expression::Interval,
            Expression::Negate(Box::new(Expression::Number(number))),
        ),
    });
    (limit, operator(), any::<bool>()).prop_map(|(limit, operator, mirrored)| {
        let (left, right) = if mirrored {
            (limit, Expression::Age)
        } else {
            (Expression::Age, limit)
        };
        Condition::Compare(Comparison {
            left,
            operator,
            right,
            proof: None,
        })
    })
}

/// Any condition that can be written.
pub fn condition() -> impl Strategy<Value = Condition> {
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
