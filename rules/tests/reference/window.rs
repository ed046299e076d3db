//! Functions of a window, from their definitions, over all readings that were ever seen.

use citywatch_rules::ast::WindowFunction as F;

/// Readings as (event time in ms, value), in the order of their event times. `end` is the window's end.
/// `None` is unknown.
pub fn window(function: F, readings: &[(i64, f64)], width: i64, end: i64) -> Option<f64> {
    // of what was never heard nothing is known
    readings.first()?;
    let half_open = matches!(function, F::Sum | F::Count | F::Mean | F::Stddev);
    let held: Vec<(i64, f64)> = readings
        .iter()
        .copied()
        .filter(|(time, _)| {
            *time <= end
                && if half_open {
                    *time > end - width
                } else {
                    *time >= end - width
                }
        })
        .collect();
    let values: Vec<f64> = held.iter().map(|(_, value)| *value).collect();
    let (first, last) = (held.first().copied(), held.last().copied());
    let least = values.iter().copied().reduce(f64::min);
    let greatest = values.iter().copied().reduce(f64::max);
    let sum: f64 = values.iter().sum();
    let count = values.len() as f64;
    match function {
        F::Min => least,
        F::Max => greatest,
        F::First => first.map(|(_, value)| value),
        F::Last => last.map(|(_, value)| value),
        F::Rise => Some(last?.1 - least?),
        F::Fall => Some(greatest? - last?.1),
        F::Change => Some(last?.1 - first?.1),
        F::Span => Some((last?.0 - first?.0) as f64 / 1_000.0),
        F::Unchanged => Some(f64::from(u8::from(least? == greatest?))),
        F::Slope => slope(&held),
        F::Sum => (count > 0.0).then_some(sum),
        F::Count => Some(count),
        F::Mean => (count > 0.0).then_some(sum / count),
        F::Stddev => {
            let mean = sum / count;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (count > 0.0).then(|| (squares / count).sqrt())
        }
    }
}

/// Least squares, per hour; unknown below 3 readings.
fn slope(held: &[(i64, f64)]) -> Option<f64> {
    if held.len() < 3 {
        return None;
    }
    let hours = |time: i64| (time - held[0].0) as f64 / 3_600_000.0;
    let count = held.len() as f64;
    let mean_x = held.iter().map(|(time, _)| hours(*time)).sum::<f64>() / count;
    let mean_y = held.iter().map(|(_, value)| value).sum::<f64>() / count;
    let above: f64 = held
        .iter()
        .map(|(time, value)| (hours(*time) - mean_x) * (value - mean_y))
        .sum();
    let below: f64 = held
        .iter()
        .map(|(time, _)| (hours(*time) - mean_x).powi(2))
        .sum();
    Some(above / below)
}
