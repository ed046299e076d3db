//! Moments: points on the clock at which a comparison with `age` flips or is proven without any record.
//! Each fires in order before the first record whose clock is later, and its transition carries the moment.

use std::cmp::Reverse;

use citywatch_model::{Name, Time, Transition};

use super::core::Core;

/// A moment in the queue. The field order is the firing order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub time: Time,
    rule: Name,
    subject: Name,
    sensor: u32,
    slot: u32,
}

impl Core {
    /// Fires every moment before `clock`.
    #[inline]
    pub(super) fn fire_before(&mut self, clock: Time, out: &mut Vec<Transition>) {
        self.step += 1;
        while self.next_moment().is_some_and(|next| next < clock) {
            self.fire_next(out);
        }
    }

    /// Fires the next moment.
    pub(super) fn fire_next(&mut self, out: &mut Vec<Transition>) {
        if let Some(Reverse(moment)) = self.moments.pop() {
            self.fire(&moment, out);
            self.release_over(out);
        }
    }

    /// When the next moment is.
    #[inline]
    pub(super) fn next_moment(&self) -> Option<Time> {
        self.moments.peek().map(|Reverse(moment)| moment.time)
    }

    fn fire(&mut self, moment: &Moment, out: &mut Vec<Transition>) {
        let Some(place) = self.place_of(moment, moment.time) else {
            return;
        };
        let sensor = &mut self.sensors[moment.sensor as usize];
        let base = sensor.age_base(&sensor.bounds[place], self.resumed);
        let bound = &mut sensor.bounds[place];
        let Some(program) = &self.programs[moment.slot as usize] else {
            return;
        };
        let due = bound.due(program, base);
        let Some(watch) = &mut bound.watch else {
            return;
        };
        watch.scheduled = None;
        watch.again = watch.again.filter(|again| *again > moment.time);
        if due.is_some_and(|due| due <= moment.time) {
            watch.settled = moment.time;
            self.judge((moment.sensor, place), true, moment.time, out);
        }
        self.schedule(moment.sensor, place);
    }

    /// The place among the sensor's bounds, unless the moment is out of date.
    fn place_of(&self, moment: &Moment, time: Time) -> Option<usize> {
        let sensor = self
            .sensors
            .get(moment.sensor as usize)
            .filter(|sensor| sensor.id == moment.subject)?;
        sensor.bounds.iter().position(|bound| {
            bound.slot == moment.slot
                && bound
                    .watch
                    .as_ref()
                    .is_some_and(|watch| watch.scheduled == Some(time))
        })
    }

    /// Puts the next moment of a bound into the queue, unless one at or before it waits there already: that one
    /// will find out. A moment that readings put off again and again so costs nothing. One that would have been
    /// earlier, had the bound asked for it then, fires once the clock goes on.
    pub(super) fn schedule(&mut self, sensor_place: u32, bound_place: usize) {
        let sensor = &self.sensors[sensor_place as usize];
        let bound = &sensor.bounds[bound_place];
        let Some(program) = &self.programs[bound.slot as usize] else {
            return;
        };
        let Some(due) = bound.due(program, sensor.age_base(bound, self.resumed)) else {
            return;
        };
        let due = due.max(self.clock);
        let (rule, subject, slot) = (program.id, sensor.id, bound.slot);
        let Some(watch) = &mut self.sensors[sensor_place as usize].bounds[bound_place].watch else {
            return;
        };
        if watch.scheduled.is_none_or(|scheduled| scheduled > due) {
            watch.scheduled = Some(due);
            self.moments.push(Reverse(Moment {
                time: due,
                rule,
                subject,
                sensor: sensor_place,
                slot,
            }));
        }
    }

    /// Puts the moments into the queue that wait for a sensor.
    pub(super) fn queue_scheduled(&mut self, place: u32) {
        let sensor = &self.sensors[place as usize];
        for bound in &sensor.bounds {
            let scheduled = bound.watch.as_ref().and_then(|watch| watch.scheduled);
            if let (Some(time), Some(program)) = (scheduled, &self.programs[bound.slot as usize]) {
                self.moments.push(Reverse(Moment {
                    time,
                    rule: program.id,
                    subject: sensor.id,
                    sensor: place,
                    slot: bound.slot,
                }));
            }
        }
    }

    /// Silence is counted from now on, where no reading came at this very clock: a start, or a link that came up.
    pub(super) fn resume(&mut self) {
        self.resumed = self.clock;
        for place in 0..self.sensors.len() {
            for bound in 0..self.sensors[place].bounds.len() {
                let sensor = &mut self.sensors[place];
                let heard = sensor.age_base(&sensor.bounds[bound], self.resumed).heard;
                let state = &mut sensor.bounds[bound];
                if state.watch.is_some()
                    && !heard
                    && let Some(program) = &self.programs[state.slot as usize]
                {
                    state.forget_clocked(program);
                    self.schedule(place as u32, bound);
                }
            }
        }
    }
}
