use citywatch_model::{Name, Time};
use proptest::prelude::*;

use super::*;

const FUNCTIONS: [WindowFunction; 14] = [
    WindowFunction::Min,
    WindowFunction::Max,
    WindowFunction::First,
    WindowFunction::Last,
    WindowFunction::Rise,
    WindowFunction::Fall,
    WindowFunction::Change,
    WindowFunction::Slope,
    WindowFunction::Span,
    WindowFunction::Unchanged,
    WindowFunction::Sum,
    WindowFunction::Count,
    WindowFunction::Mean,
    WindowFunction::Stddev,
];

/// The definition, over all readings ever.
fn defined(function: WindowFunction, width: i64, t: i64, readings: &[(i64, f64)]) -> Option<f64> {
    let inside = |time: i64| {
        time <= t
            && if half_open(function) {
                time > t - width
            } else {
                time >= t - width
            }
    };
    let held: Vec<(i64, f64)> = readings
        .iter()
        .copied()
        .filter(|(time, _)| inside(*time))
        .collect();
    let n = held.len() as f64;
    if function == WindowFunction::Count {
        return Some(n);
    }
    let (first, last) = (*held.first()?, *held.last()?);
    let values = || held.iter().map(|(_, value)| *value);
    let least = values().fold(f64::INFINITY, f64::min);
    let greatest = values().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values().sum();
    let squares = |mean: f64| values().map(|value| (value - mean).powi(2)).sum::<f64>();
    Some(match function {
        WindowFunction::Min => least,
        WindowFunction::Max => greatest,
        WindowFunction::First => first.1,
        WindowFunction::Last => last.1,
        WindowFunction::Rise => last.1 - least,
        WindowFunction::Fall => greatest - last.1,
        WindowFunction::Change => last.1 - first.1,
        WindowFunction::Span => (last.0 - first.0) as f64 / 1_000.0,
        WindowFunction::Unchanged => f64::from(least == greatest),
        WindowFunction::Sum => sum,
        WindowFunction::Mean => sum / n,
        WindowFunction::Stddev => (squares(sum / n) / n).sqrt(),
        WindowFunction::Slope if held.len() < 3 => return None,
        WindowFunction::Slope => {
            let mean_x = held.iter().map(|(time, _)| *time as f64).sum::<f64>() / n;
            let xy = held
                .iter()
                .map(|(time, value)| (*time as f64 - mean_x) * (value - sum / n))
                .sum::<f64>();
            let xx = held
                .iter()
                .map(|(time, _)| (*time as f64 - mean_x).powi(2))
                .sum::<f64>();
            xy / xx * MS_PER_HOUR
        }
        WindowFunction::Count => n,
    })
}

#[test]
fn what_has_left_leaves_no_rest() {
    for outlier in [7.0, 0.25, -1e9, 1e200, -1e308] {
        let mut series = Series::new(Name::default(), Name::default());
        series.keep(10_000);
        let functions = [
            WindowFunction::Sum,
            WindowFunction::Stddev,
            WindowFunction::Slope,
        ];
        let mut windows = functions.map(|function| Window::new(function, 10_000));
        for (second, value) in [1.1, outlier, 0.1, outlier, 0.1, 0.1, 0.1]
            .into_iter()
            .enumerate()
        {
            let time = second as i64 * 3_000;
            series.push(Time::from_millis(time), value);
            windows
                .iter_mut()
                .for_each(|window| window.advance(&series, time));
            series.trim();
        }
        let end = 20_000;
        let values = windows.each_mut().map(|window| {
            window.advance(&series, end);
            window.value
        });
        assert_eq!(values, [Some(0.3), Some(0.0), Some(0.0)], "{outlier}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Steps of event time in seconds (negative: a late reading), values and how far `t` runs ahead.
    #[test]
    fn windows_are_what_their_definition_says(
        width in 1..200_i64,
        steps in prop::collection::vec((prop_oneof![5 => 1..40_i64, 1 => -150..0_i64], -3..4_i32, 0..3_i64), 1..200),
    ) {
        let width = width * 1_000;
        let mut series = Series::new(Name::default(), Name::default());
        series.keep(width);
        let mut windows: Vec<Window> = FUNCTIONS.iter().map(|function| Window::new(*function, width)).collect();
        let mut readings: Vec<(i64, f64)> = Vec::new();
        let mut newest = 1_700_000_000_000_i64;
        let mut t = newest;
        for (step, value, ahead) in steps {
            let (time, value) = (newest + step * 1_000, f64::from(value) * 1.1 + 1_000.0);
            if readings.iter().any(|(taken, _)| *taken == time) {
                continue;
            }
            if step < 0 && !readings.is_empty() {
                series.fill(Time::from_millis(time), value);
            } else {
                newest = time;
                series.push(Time::from_millis(time), value);
            }
            let place = readings.partition_point(|(before, _)| *before < time);
            readings.insert(place, (time, value));
            if time < newest {
                continue;
            }
            t = t.max(newest + ahead * 50_000);
            for (window, function) in windows.iter_mut().zip(FUNCTIONS) {
                window.advance(&series, t);
                let (got, wanted) = (window.value, defined(function, width, t, &readings));
                let close = match (got, wanted) {
                    (Some(got), Some(wanted)) => (got - wanted).abs() < 1e-6,
                    (got, wanted) => got == wanted,
                };
                prop_assert!(close, "{function:?} {got:?} {wanted:?}");
            }
            series.trim();
        }
    }
}
