//! What in a bundle is lawful and yet mostly a slip: rules that no registered sensor feeds, sensors that no rule looks
//! at, names that the registry does not hold, whom plans do not reach, and sums of derived series that do not come in
//! their unit. Sensors may speak without being registered, so none of it is a mistake, and an empty registry says nothing.

use citywatch_alerting::ledger::Part;
use citywatch_model::{Mode, Name, name};
use citywatch_rules::ast::{Arithmetic, Derive, Expression, Method, Rule};

use super::{Bundle, Mistake, recipients, unwatched};
use crate::selection::selects;

/// Sensors that are named one by one; further ones are only counted.
const NAMED: usize = 5;

/// One hint for each of them, with its place.
pub fn hints(bundle: &Bundle) -> Vec<Mistake> {
    let mut hints = recipients::hints(bundle);
    for derive in &bundle.rules.derived {
        if let Some(message) = of_series(derive) {
            let place = bundle.place_of_series(derive.id.as_str());
            hints.push(hint(&place, &message));
        }
    }
    if bundle.registry.sensors.is_empty() {
        return hints;
    }
    hints.extend(of_sensors(bundle));
    let rules = bundle.rules.rules.iter();
    let rules = rules.filter(|rule| rule.info.mode != Mode::Off);
    for rule in rules {
        let messages = of_rule(bundle, rule);
        if messages.is_empty() {
            continue;
        }
        let place = bundle.place_of(rule.info.id.as_str());
        hints.extend(messages.iter().map(|message| hint(&place, message)));
    }
    hints
}

fn hint((file, line): &(String, Option<u32>), message: &str) -> Mistake {
    let hint = Mistake {
        line: *line,
        ..Mistake::of_file(file, message)
    };
    hint.written()
}

/// A series with a unit that adds something under a factor which does not come in that unit.
fn of_series(derive: &Derive) -> Option<String> {
    let (Method::Each { value, .. } | Method::Named { value, .. }) = &derive.method else {
        return None;
    };
    (!derive.unit.is_empty() && adds_as_sent(value, derive.measurement)).then(|| {
        format!(
            "the derived series `{}` adds under a factor, and there it adds in the unit that the sensors send, not in {}: derive the sum as a series with a unit, and this one from it",
            derive.id, derive.unit
        )
    })
}

/// Whether a sum of inputs none of which measures the same as the series is multiplied or divided by numbers alone; by
/// anything else, the result is of another kind than the sum.
fn adds_as_sent(value: &Expression, measurement: Name) -> bool {
    match value {
        Expression::Negate(inner) => adds_as_sent(inner, measurement),
        Expression::Arithmetic(left, Arithmetic::Add | Arithmetic::Subtract, right) => {
            adds_as_sent(left, measurement) || adds_as_sent(right, measurement)
        }
        Expression::Arithmetic(left, _, right) => match (measured(left), measured(right)) {
            (true, false) => is_sum_as_sent(left, measurement),
            (false, true) => is_sum_as_sent(right, measurement),
            _ => false,
        },
        _ => false,
    }
}

fn is_sum_as_sent(factor: &Expression, measurement: Name) -> bool {
    let addends = factor.addends();
    let measured: Vec<_> = addends.into_iter().filter(|part| measured(part)).collect();
    let own = |part: &&Expression| matches!(part, Expression::Remote(_, of) if *of == measurement);
    if measured.len() > 1 {
        !measured.iter().any(own)
    } else {
        adds_as_sent(factor, measurement)
    }
}

/// Whether it is made of readings, and not of numbers alone.
fn measured(expression: &Expression) -> bool {
    match expression {
        Expression::Number(_) => false,
        Expression::Negate(inner) => measured(inner),
        Expression::Arithmetic(left, _, right) => measured(left) || measured(right),
        _ => true,
    }
}

/// Without rules that is told once, and not of each sensor.
fn of_sensors(bundle: &Bundle) -> Option<Mistake> {
    let sensors = unwatched(bundle);
    if sensors.is_empty() || bundle.rules.rules.is_empty() {
        return None;
    }
    let named = sensors.iter().take(NAMED).map(|id| {
        let tags = bundle.registry.sensors.get(id).map(|sensor| &sensor.tags);
        let kind = tags.and_then(|tags| tags.get(&name("kind")));
        kind.map_or_else(|| id.to_string(), |kind| format!("{id} (kind {kind})"))
    });
    let named: Vec<String> = named.collect();
    let more = match sensors.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "no rule looks at {} {}{more}: nothing is ever raised there; compare kind, tags, zone and measurements with the `where` and `measurement` of the rules",
        if sensors.len() == 1 {
            "sensor"
        } else {
            "sensors"
        },
        named.join(", ")
    );
    let file = bundle.files.iter().find(|file| file.part == Part::Sensors);
    let shown = file.map_or("sensors", |file| file.shown.as_str());
    Some(Mistake::of_file(shown, &message))
}

fn of_rule(bundle: &Bundle, rule: &Rule) -> Vec<String> {
    let id = rule.info.id;
    let mut hints = Vec::new();
    let tagged = |tag: &'static str| {
        let entries = rule
            .selector
            .iter()
            .filter(move |(held, _)| held.as_str() == tag);
        entries.flat_map(|(_, wanted)| wanted.iter().copied())
    };
    let remote = rule.remote.iter().map(|(sensor, _)| *sensor);
    for sensor in tagged("sensor").chain(remote) {
        if !holds(bundle, sensor) {
            hints.push(format!(
                "rule `{id}` names the sensor `{sensor}`, which the registry does not hold"
            ));
        }
    }
    for zone in tagged("zone").filter(|zone| !is_zone(bundle, *zone)) {
        hints.push(format!(
            "rule `{id}` names the zone `{zone}`, which the registry does not hold"
        ));
    }
    if hints.is_empty() && !is_fed(bundle, rule) {
        hints.push(format!(
            "rule `{id}` selects no sensor of the registry: none measures {} and fits its `where`",
            rule.info.measurement
        ));
    }
    hints
}

/// Whether the registry or a derived series has this sensor; derived ones over zones bear the names of those.
fn holds(bundle: &Bundle, sensor: Name) -> bool {
    let named = |method: &Method| matches!(method, Method::Named { .. });
    bundle.registry.sensors.contains_key(&sensor)
        || bundle.zones.0.contains_key(&sensor)
        || (bundle.rules.derived.iter()).any(|derive| derive.id == sensor && named(&derive.method))
}

/// Without zones.yaml the sensors alone tell which zones there are.
fn is_zone(bundle: &Bundle, zone: Name) -> bool {
    let mut sensors = bundle.registry.sensors.values();
    bundle.zones.0.contains_key(&zone) || sensors.any(|sensor| sensor.zone == Some(zone))
}

/// Whether a selected sensor may measure what the rule is about: one whose measurements the registry does not say may
/// measure all. Of derived series the engine knows who has them.
fn is_fed(bundle: &Bundle, rule: &Rule) -> bool {
    let measurement = rule.info.measurement;
    let derived = &bundle.rules.derived;
    if derived
        .iter()
        .any(|derive| derive.makes().contains(&measurement))
    {
        return true;
    }
    bundle.registry.sensors.values().any(|sensor| {
        let measures = &sensor.measurements;
        (measures.is_empty() || measures.contains(&measurement))
            && selects(&rule.selector, sensor.id, &bundle.registry)
    })
}
