//! Functions of a sliding window over one series, amortised constant time a reading: a monotone queue for
//! extremes, running sums for the rest. Sums are summed afresh every time as many readings have left as the
//! window holds, and when those that left were far greater than what is held, so that errors neither grow nor
//! outlive their cause; the outcome depends on nothing but the sequence of readings.

mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::series::Series;
use super::truth::known;
use crate::ast::WindowFunction;

const MS_PER_HOUR: f64 = 3_600_000.0;
/// Windows smaller than this are not summed afresh after every departure.
const LEAST_DEPARTURES: u64 = 32;
/// Where squares about the mean are this small a part of squares once summed, the rest of those that have left is
/// no longer far below them.
const LOST: f64 = 1e-6;
/// Stands for as many departures as it takes.
const OVERFLOWED: u64 = u32::MAX as u64;

/// One window of one rule at one sensor.
#[derive(Debug)]
pub(super) struct Window {
    function: WindowFunction,
    width_ms: i64,
    /// Numbers of the first reading inside and of the one after the last.
    head: u64,
    next: u64,
    revision: u64,
    state: State,
    /// The function's value where the window stands.
    pub(super) value: Option<f64>,
}

#[derive(Debug)]
enum State {
    /// Head and tail say it all.
    Ends,
    /// Number of the newest reading that differs from the one before it.
    Changed(u64),
    /// Numbers of readings that may still become the extreme, the extreme first.
    Extreme(VecDeque<u64>),
    Sums(Box<Sums>),
}

/// Sums about an origin, so that long series and large offsets lose no digits.
#[derive(Debug, Default)]
struct Sums {
    origin: (i64, f64),
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
    /// The greatest that `yy` has been about this origin.
    peak: f64,
    departures: u64,
}

impl Sums {
    fn add(&mut self, (time, value): (i64, f64), sign: f64) {
        let x = (time - self.origin.0) as f64 / MS_PER_HOUR;
        let y = value - self.origin.1;
        self.x += sign * x;
        self.y += sign * y;
        self.xx += sign * x * x;
        self.xy += sign * x * y;
        self.yy += sign * y * y;
        self.peak = self.peak.max(self.yy);
    }

    /// Takes away the oldest reading.
    fn lose(&mut self, (time, value): (i64, f64)) {
        self.add((time, value), -1.0);
        let y = value - self.origin.1;
        // a square that was too great for a number is in the sums for ever, or the origin was too far from all
        let overflowed = (y * y).is_infinite() || time == self.origin.0;
        self.departures = if overflowed && !self.yy.is_finite() {
            OVERFLOWED
        } else {
            self.departures + 1
        };
    }

    /// Whether what has left is still to be seen in the sums over the `held` readings.
    fn are_worn(&self, held: u64) -> bool {
        let n = held as f64;
        let lost = n * self.yy - self.y * self.y < LOST * n * self.peak;
        self.departures >= held.max(LEAST_DEPARTURES) || self.departures > 0 && lost
    }
}

impl Window {
    pub(super) fn new(function: WindowFunction, width_ms: i64) -> Window {
        Window {
            function,
            width_ms,
            head: 0,
            next: 0,
            revision: 0,
            state: empty(function),
            value: None,
        }
    }

    /// Moves the window so that it ends at event time `t`, which never falls from one call to the next.
    pub(super) fn advance(&mut self, series: &Series, t: i64) {
        if self.revision != series.revision {
            self.revision = series.revision;
            self.head = series.start();
            self.next = series.start();
            self.state = empty(self.function);
        }
        while self.next < series.end() {
            self.enter(series);
        }
        let oldest = t.saturating_sub(self.width_ms);
        let half_open = half_open(self.function);
        while self.head < self.next {
            let (time, _) = series.get(self.head);
            if time > oldest || (time == oldest && !half_open) {
                break;
            }
            self.leave(series);
        }
        self.refresh(series);
        self.value = self.computed(series);
    }

    fn enter(&mut self, series: &Series) {
        let number = self.next;
        let reading = series.get(number);
        match &mut self.state {
            State::Ends => {}
            State::Changed(changed) => {
                if number > self.head && series.get(number - 1).1 != reading.1 {
                    *changed = number;
                }
            }
            State::Extreme(queue) => {
                let least = matches!(self.function, WindowFunction::Min | WindowFunction::Rise);
                let beaten = |old: f64| {
                    if least {
                        old >= reading.1
                    } else {
                        old <= reading.1
                    }
                };
                while queue.back().is_some_and(|back| beaten(series.get(*back).1)) {
                    queue.pop_back();
                }
                queue.push_back(number);
            }
            State::Sums(sums) => {
                if self.head == number {
                    **sums = Sums {
                        origin: reading,
                        ..Sums::default()
                    };
                }
                sums.add(reading, 1.0);
            }
        }
        self.next += 1;
    }

    fn leave(&mut self, series: &Series) {
        match &mut self.state {
            State::Ends | State::Changed(_) => {}
            State::Extreme(queue) => {
                if queue.front() == Some(&self.head) {
                    queue.pop_front();
                }
            }
            State::Sums(sums) => sums.lose(series.get(self.head)),
        }
        self.head += 1;
    }

    fn refresh(&mut self, series: &Series) {
        let State::Sums(sums) = &mut self.state else {
            return;
        };
        let held = self.next - self.head;
        if held == 0 || !sums.are_worn(held) {
            return;
        }
        **sums = Sums {
            origin: series.get(self.head),
            ..Sums::default()
        };
        for number in self.head..self.next {
            sums.add(series.get(number), 1.0);
        }
    }

    /// The function's value. An empty window counts 0; everything else about it is unknown.
    fn computed(&self, series: &Series) -> Option<f64> {
        let held = self.next - self.head;
        if self.function == WindowFunction::Count {
            return series.newest.map(|_| held as f64);
        }
        if held == 0 {
            return None;
        }
        let first = series.get(self.head);
        let last = series.get(self.next - 1);
        match self.function {
            WindowFunction::First => Some(first.1),
            WindowFunction::Last => Some(last.1),
            WindowFunction::Change => known(last.1 - first.1),
            WindowFunction::Span => known((last.0 - first.0) as f64 / 1_000.0),
            WindowFunction::Count => Some(held as f64),
            WindowFunction::Min | WindowFunction::Max => self.extreme(series),
            WindowFunction::Rise => known(last.1 - self.extreme(series)?),
            WindowFunction::Fall => known(self.extreme(series)? - last.1),
            WindowFunction::Unchanged => Some(f64::from(self.unchanged())),
            WindowFunction::Sum
            | WindowFunction::Mean
            | WindowFunction::Stddev
            | WindowFunction::Slope => self.summed(held),
        }
    }

    fn extreme(&self, series: &Series) -> Option<f64> {
        let State::Extreme(queue) = &self.state else {
            return None;
        };
        queue.front().map(|number| series.get(*number).1)
    }

    fn unchanged(&self) -> bool {
        matches!(self.state, State::Changed(changed) if changed <= self.head)
    }

    fn summed(&self, held: u64) -> Option<f64> {
        let State::Sums(sums) = &self.state else {
            return None;
        };
        let n = held as f64;
        match self.function {
            WindowFunction::Sum => known(sums.origin.1 * n + sums.y),
            WindowFunction::Mean => known(sums.origin.1 + sums.y / n),
            // of the population, so that it is known from the first reading on
            WindowFunction::Stddev => known(((sums.yy - sums.y * sums.y / n) / n).max(0.0).sqrt()),
            _ if held < 3 => None,
            _ => known((n * sums.xy - sums.x * sums.y) / (n * sums.xx - sums.x * sums.x)),
        }
    }
}

/// Increments must count once, so windows that add up leave out their oldest end.
fn half_open(function: WindowFunction) -> bool {
    matches!(
        function,
        WindowFunction::Sum | WindowFunction::Count | WindowFunction::Mean | WindowFunction::Stddev
    )
}

fn empty(function: WindowFunction) -> State {
    match function {
        WindowFunction::First
        | WindowFunction::Last
        | WindowFunction::Change
        | WindowFunction::Span
        | WindowFunction::Count => State::Ends,
        WindowFunction::Unchanged => State::Changed(0),
        WindowFunction::Min | WindowFunction::Max | WindowFunction::Rise | WindowFunction::Fall => {
            State::Extreme(VecDeque::new())
        }
        WindowFunction::Sum
        | WindowFunction::Mean
        | WindowFunction::Stddev
        | WindowFunction::Slope => State::Sums(Box::default()),
    }
}
