//! How one rule at one sensor is kept. Which series it reads follows from its program.

use super::{Bound, Watch};
use crate::engine::baseline::Recall;
use crate::engine::program::Program;
use crate::engine::series::Series;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure, kept};
use crate::engine::window::Window;

kept!(Watch {
    floor,
    settled,
    scheduled,
    again
});

impl Bound {
    /// All but its slot.
    pub(in crate::engine) fn write(&self, program: &Program, series: &[Series], to: &mut Writer) {
        let input = |input: usize| {
            let place = self.inputs.get(input).copied().flatten();
            place.map(|place| &series[usize::from(place)])
        };
        self.level.write(to);
        self.amount().write(to);
        for (window, spec) in self.windows.iter().zip(&program.windows) {
            window.write(input(spec.input), to);
        }
        let recalls = self.aside.iter().flat_map(|aside| &aside.baselines);
        for (recall, spec) in recalls.zip(&program.baselines) {
            let series = input(spec.input);
            recall.write(series.and_then(|series| series.baseline.as_deref()), to);
        }
        self.proofs.write(to);
        self.falls.write(to);
        self.watch.write(to);
    }

    /// `bound` as it came into force over `series`, with the state that it had.
    pub(in crate::engine) fn read(
        mut bound: Bound,
        program: &Program,
        series: &[Series],
        from: &mut Reader<'_>,
    ) -> Result<Bound, Damaged> {
        let input = |input: usize| {
            let (measurement, unit) = *program.inputs.get(input)?;
            let mut series = series.iter();
            series.find(|series| series.measurement == measurement && series.unit == unit)
        };
        bound.level = Kept::read(from)?;
        let amount: Option<f64> = Kept::read(from)?;
        for (window, spec) in bound.windows.iter_mut().zip(&program.windows) {
            *window = Window::read(spec, input(spec.input), from)?;
        }
        ensure(
            amount.is_none() || bound.aside.is_some(),
            "a rule that computes nothing has an amount",
        )?;
        if let Some(aside) = &mut bound.aside {
            aside.amount = amount;
            for recall in &mut aside.baselines {
                *recall = Recall::read(from)?;
            }
        }
        let (proofs, falls) = (bound.proofs.len(), bound.falls.len());
        bound.proofs = Kept::read(from)?;
        bound.falls = Kept::read(from)?;
        let watched = bound.watch.is_some();
        bound.watch = Kept::read(from)?;
        ensure(
            (bound.proofs.len(), bound.falls.len()) == (proofs, falls)
                && bound.watch.is_some() == watched,
            "a rule has other proofs than it needs",
        )?;
        Ok(bound)
    }
}
