//! Random rules as text, so that the parser is on the way too.

use proptest::prelude::*;

pub type Text = BoxedStrategy<String>;

/// Which parts of the language rules are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grammar {
    pub age: bool,
    pub interval: bool,
    pub remote: bool,
    pub groups: bool,
    pub escalate: bool,
    pub baseline: bool,
    pub measurements: &'static [&'static str],
}

/// The language without what looks at other sensors.
pub const PLAIN: Grammar = Grammar {
    age: false,
    interval: false,
    remote: false,
    groups: false,
    escalate: false,
    baseline: false,
    measurements: &["m", "h"],
};

fn pick(words: &'static [&'static str]) -> Text {
    prop::sample::select(words).prop_map(str::to_owned).boxed()
}

fn duration() -> Text {
    pick(&["5m", "10m", "15m", "30m", "1h", "2h"])
}

/// One rule in flow style.
pub fn rule(id: usize, grammar: Grammar) -> Text {
    let condition = || condition(grammar);
    let levels = (
        prop::option::of(condition()),
        prop::option::of(condition()),
        prop::option::of(condition()),
        prop::option::of(condition()),
        condition(),
    );
    let levels = levels.prop_map(|(blue, yellow, orange, red, only)| {
        let words = ["blue", "yellow", "orange", "red"];
        let written = words.into_iter().zip([blue, yellow, orange, red]);
        let mut levels: Vec<String> = written
            .filter_map(|(word, text)| Some(format!("{word}: '{}'", text?)))
            .collect();
        if levels.is_empty() {
            levels.push(format!("red: '{only}'"));
        }
        format!("levels: {{ {} }}", levels.join(", "))
    });
    let unit = if grammar.remote || grammar.groups {
        Just(None).boxed()
    } else {
        prop::option::weighted(0.3, Just("cm")).boxed()
    };
    let selectors = &[
        "{ kind: pit }",
        "{ zone: east }",
        "{ kind: [pit, well] }",
        "{ sensor: [s0, s1] }",
    ];
    let escalate = if grammar.escalate {
        pick(&[
            "",
            ", escalate: { within: 100m }",
            ", escalate: { within: 2km, sensors: 3 }",
        ])
    } else {
        Just(String::new()).boxed()
    };
    let parts = (
        prop::sample::select(grammar.measurements),
        unit,
        prop::option::weighted(0.2, pick(selectors)),
        levels,
        prop::option::weighted(0.2, condition()),
        prop::option::weighted(0.3, duration()),
        escalate,
    );
    let written = parts.prop_map(move |(measurement, unit, selector, levels, clear, hold, escalate)| {
        let unit = unit.map_or(String::new(), |unit| format!("unit: {unit}, "));
        let selector = selector.map_or(String::new(), |selector| format!("where: {selector}, "));
        let clear = clear.map_or(String::new(), |clear| format!(", clear: '{clear}'"));
        let hold = hold.map_or(String::new(), |hold| format!(", hold: {hold}"));
        format!("{{ id: r{id}, measurement: {measurement}, {unit}{selector}{levels}{clear}{hold}{escalate} }}")
    });
    written.boxed()
}

fn condition(grammar: Grammar) -> Text {
    let one = || comparison(grammar);
    prop_oneof![
        6 => one(),
        2 => (one(), one()).prop_map(|(one, other)| format!("{one} and {other}")),
        2 => (one(), one()).prop_map(|(one, other)| format!("{one} or {other}")),
        1 => one().prop_map(|one| format!("not ({one})")),
        1 => (one(), one(), one()).prop_map(|(a, b, c)| format!("({a} or {b}) and not ({c})")),
    ]
    .boxed()
}

fn comparison(grammar: Grammar) -> Text {
    let operator = || pick(&[">", ">=", "<", "<=", ">", ">=", "==", "!="]);
    let number = (-1..7_i32).prop_map(|five| (five * 5).to_string());
    let about_value = (expression(grammar), operator(), number)
        .prop_map(|(left, operator, right)| format!("{left} {operator} {right}"));
    let proof = prop_oneof![
        6 => Just(String::new()),
        2 => duration().prop_map(|lasting| format!(" for {lasting}")),
        2 => (1..4_u8).prop_map(|samples| format!(" in {samples} samples")),
        1 => (duration(), 1..4_u8).prop_map(|(lasting, samples)| format!(" for {lasting} in {samples} samples")),
    ];
    let unchanged = duration().prop_map(|width| format!("unchanged({width})"));
    let proven = (prop_oneof![12 => about_value, 1 => unchanged], proof)
        .prop_map(|(comparison, proof)| comparison + &proof);
    if grammar.age {
        prop_oneof![2 => proven, 1 => age(grammar)].boxed()
    } else {
        proven.boxed()
    }
}

fn age(grammar: Grammar) -> Text {
    let lasting = prop_oneof![3 => Just(String::new()), 1 => duration().prop_map(|lasting| format!(" for {lasting}"))];
    let operator = pick(&[">", ">=", ">", ">=", ">", "<", "<="]);
    let limit = prop_oneof![4 => duration(), u32::from(grammar.interval) => pick(&["interval", "2 * interval", "interval * 3"])];
    (operator, limit, any::<bool>(), lasting)
        .prop_map(
            |(operator, limit, first, lasting)| match (first, operator.as_str()) {
                (_, "<" | "<=") if !lasting.is_empty() => format!("age > {limit}{lasting}"),
                (true, operator) => format!("age {operator} {limit}{lasting}"),
                (false, ">") => format!("{limit} < age{lasting}"),
                (false, ">=") => format!("{limit} <= age{lasting}"),
                (false, "<") => format!("{limit} > age{lasting}"),
                (false, _) => format!("{limit} >= age{lasting}"),
            },
        )
        .boxed()
}

fn window(grammar: Grammar) -> Text {
    let functions = &[
        "min", "max", "first", "last", "rise", "fall", "change", "slope", "span", "sum", "count",
        "mean", "stddev",
    ];
    let measurement = prop_oneof![1 => Just(String::new()), 1 => prop::sample::select(grammar.measurements).prop_map(|word| format!("{word}, "))];
    (pick(functions), measurement, duration())
        .prop_map(|(function, measurement, width)| format!("{function}({measurement}{width})"))
        .boxed()
}

fn expression(grammar: Grammar) -> Text {
    let measurement = || prop::sample::select(grammar.measurements).prop_map(str::to_owned);
    let term = prop_oneof![4 => Just("value".to_owned()), 2 => measurement(), 3 => window(grammar)]
        .boxed();
    let mut term = prop_oneof![
        6 => term.clone(),
        1 => (term.clone(), pick(&["+", "-", "*", "/"]), term.clone()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        1 => term.prop_map(|term| format!("-{term} / 2 * 3")),
    ]
    .boxed();
    if grammar.remote {
        let remote = (0..3_usize, measurement())
            .prop_map(|(sensor, word)| format!("sensor(s{sensor}, {word})"));
        let difference = remote
            .clone()
            .prop_map(|remote| format!("value - {remote}"));
        term = prop_oneof![2 => term, 1 => remote, 1 => difference].boxed();
    }
    if grammar.groups {
        term = prop_oneof![1 => term, 2 => group(grammar)].boxed();
    }
    if grammar.baseline {
        let baseline = pick(&[
            "baseline(1d)",
            "baseline(2d)",
            "value - baseline(3d)",
            "baseline(h, 2d)",
            "forecast(1h, 2h)",
        ]);
        term = prop_oneof![1 => term, 1 => baseline].boxed();
    }
    term
}

fn group(grammar: Grammar) -> Text {
    let measurement = || prop::sample::select(grammar.measurements).prop_map(str::to_owned);
    let inner = pick(&[
        "value",
        "value",
        "rise(30m)",
        "sum(1h)",
        "mean(30m)",
        "max(1h)",
    ]);
    let aggregate = pick(&["min", "max", "mean", "sum"]);
    let distance = pick(&["100m", "2km", "80m"]);
    let parts = (
        measurement(),
        inner,
        aggregate,
        distance,
        pick(&["near", "zone", "count_near"]),
        0..6_u8,
    );
    parts
        .prop_map(
            |(measurement, inner, aggregate, distance, function, five)| match function.as_str() {
                "near" => format!("near({measurement}, {distance}, {aggregate}({inner}))"),
                "zone" => format!("zone({measurement}, {aggregate}({inner}))"),
                _ => format!(
                    "count_near({measurement}, {distance}, {inner} >= {})",
                    five * 5
                ),
            },
        )
        .boxed()
}

/// Some of the ways to derive a series; `d`, `e` and `f` are made by nobody else.
pub fn derived() -> impl Strategy<Value = Vec<String>> {
    let align = || pick(&["", ", align: 5m", ", align: 15m"]);
    let selector = || pick(&["", ", where: { kind: pit }", ", where: { zone: east }"]);
    let named = pick(&[
        "sensor(s0, m) + sensor(s1, m)",
        "sensor(s0, m) - sensor(s1, h) / sensor(s2, m)",
        "sensor(s0, m) * 2",
        "sensor(s0, m) / sensor(s0, h)",
        "(sensor(s0, m) + sensor(s1, h)) / 2",
        "-(sensor(s2, h) - sensor(s1, m)) * 3",
    ]);
    let own = pick(&["d", "m"]);
    let unit = || pick(&["", ", unit: m", ", unit: cm"]);
    let named = (named, align(), own, unit()).prop_map(|(value, align, own, unit)| {
        format!("{{ id: x0, measurement: {own}{unit}, value: '{value}'{align} }}")
    });
    let plain = pick(&["m - h", "h / m", "d + m", "d * 2", "(m + h) / h - -m"]);
    let windowed = pick(&[
        "m + max(h, 30m)",
        "sum(m, 1h)",
        "rise(h, 15m) - m",
        "slope(h, 15m) - m",
        "forecast(m, 30m, 1h) - h",
    ]);
    let each = prop_oneof![
        (plain, align()).prop_map(|(value, align)| format!("'{value}'{align}")),
        windowed.prop_map(|value| format!("'{value}'")),
    ];
    let each = (each, selector(), unit()).prop_map(|(value, selector, unit)| {
        format!("{{ id: x1, measurement: e{unit}, value: {value}{selector} }}")
    });
    let zones = (
        pick(&["sum", "mean", "min", "max"]),
        pick(&["m", "h", "e"]),
        selector(),
        align(),
        pick(&["", ", unit: cm"]),
    )
        .prop_map(|(aggregate, of, selector, align, unit)| {
            format!("{{ id: x2, measurement: f{unit}, zones: {aggregate}({of}){selector}{align} }}")
        });
    let daily = (
        pick(&["sum", "mean", "min", "max"]),
        pick(&["m", "h", "e"]),
        selector(),
        pick(&[
            "00:00 to 02:00",
            "01:30 to 03:00",
            "08:00 to 10:00",
            "20:00 to 24:00",
        ]),
    )
        .prop_map(|(aggregate, of, selector, hours)| {
            format!(
                "{{ id: x3, measurement: g, daily: '{aggregate}({of}) from {hours}'{selector} }}"
            )
        });
    (
        prop::option::of(named),
        prop::option::of(each),
        prop::option::of(zones),
        prop::option::of(daily),
    )
        .prop_map(|(named, each, zones, daily)| {
            [named, each, zones, daily].into_iter().flatten().collect()
        })
}
