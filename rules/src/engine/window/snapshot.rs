//! How a window is kept: relative to the readings that its series keeps, and not at all where it would be filled
//! anew at its next turn anyway.

use citywatch_model::Time;

use super::{State, Sums, Window};
use crate::engine::program::WindowSpec;
use crate::engine::series::Series;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure, kept};

/// No window loses as many readings before it is summed afresh.
const MOST_DEPARTURES: u64 = 1 << 48;

kept!(Sums {
    origin,
    x,
    y,
    xx,
    xy,
    yy,
    peak,
    departures
});

impl Window {
    /// `series` is what it looks at.
    pub(in crate::engine) fn write(&self, series: Option<&Series>, to: &mut Writer) {
        let current =
            series.filter(|series| series.revision == self.revision && series.start() <= self.head);
        current.is_some().write(to);
        let Some(series) = current else { return };
        let start = series.start();
        (self.head - start).write(to);
        (self.next - start).write(to);
        match &self.state {
            State::Ends => {}
            State::Changed(number) => number.saturating_sub(start).write(to),
            State::Extreme(queue) => {
                (queue.len() as u64).write(to);
                queue.iter().for_each(|number| (number - start).write(to));
            }
            State::Sums(sums) => sums.write(to),
        }
    }

    /// `series` numbers its readings from 0.
    pub(in crate::engine) fn read(
        spec: &WindowSpec,
        series: Option<&Series>,
        from: &mut Reader<'_>,
    ) -> Result<Window, Damaged> {
        let mut window = Window::new(spec.function, spec.width_ms);
        if !bool::read(from)? {
            return Ok(window);
        }
        let series = series.ok_or_else(|| Damaged("a window has no series".to_owned()))?;
        (window.head, window.next) = <(u64, u64)>::read(from)?;
        window.revision = series.revision;
        let (head, next) = (window.head, window.next);
        ensure(
            head <= next && next <= series.end(),
            "a window reaches beyond its series",
        )?;
        match &mut window.state {
            State::Ends => {}
            State::Changed(number) => *number = u64::read(from)?,
            State::Extreme(queue) => {
                *queue = Kept::read(from)?;
                let inside = queue.iter().all(|number| (head..next).contains(number));
                let sorted = queue.iter().zip(queue.iter().skip(1));
                ensure(
                    inside && sorted.into_iter().all(|(one, two)| one < two),
                    "a window holds readings that it does not have",
                )?;
            }
            State::Sums(sums) => {
                *sums = Kept::read(from)?;
                let origin = sums.origin.0;
                ensure(
                    Time::from_millis(origin).millis() == origin
                        && sums.departures < MOST_DEPARTURES,
                    "the sums of a window cannot be",
                )?;
            }
        }
        Ok(window)
    }
}
