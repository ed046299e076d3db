//! Whatever happens in a circle, what it says is what adding up anew would give, to the last bit.

use citywatch_model::name;
use proptest::prelude::*;

use super::*;
use crate::ast::Operator;
use crate::engine::profile::Profile;

const METRES: f64 = 300.0;
const STALE_MS: i64 = 20;

#[derive(Debug, Clone)]
enum Act {
    Join(u32),
    Ask(u32),
    Leave(u32),
    /// A new reading, late by so much, with this amount.
    Speak(u32, i64, Option<i32>),
    Pass(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let place = 0..12_u32;
    let act = prop_oneof![
        2 => place.clone().prop_map(Act::Join),
        2 => place.clone().prop_map(Act::Ask),
        1 => place.clone().prop_map(Act::Leave),
        12 => (place, 0..40_i64, prop::option::weighted(0.9, -3..4_i32))
            .prop_map(|(place, late, amount)| Act::Speak(place, late, amount)),
        2 => (1..15_i64).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 1..150)
}

/// Sensors about 100 m apart in a row, whose ids are not in the order of their places.
fn sensors() -> Vec<SensorState> {
    let sensor = |place: u32| {
        let mut profile = Profile::default();
        profile.details.place = Some((40.0 + f64::from(place) * 0.0009, 116.0));
        SensorState::new(name(&format!("s{}", place * 7 % 12)), profile, Time::MIN)
    };
    (0..12).map(sensor).collect()
}

/// The definition, over the shares of all members.
fn defined(
    shares: &[Option<Share>],
    sensors: &[SensorState],
    asker: u32,
    aggregate: Aggregate,
    clock: i64,
) -> (Option<u64>, Option<Time>) {
    let mut near: Vec<u32> = (0..12).filter(|place| *place != asker).collect();
    near.retain(|place| place.abs_diff(asker) <= 2);
    near.sort_by_key(|place| sensors[*place as usize].id);
    let mut taken = Taken::default();
    let mut newest = None;
    for share in near.iter().filter_map(|place| shares[*place as usize]) {
        newest = newest.max(share.newest);
        if let Some(amount) = share.at(clock) {
            taken.add(amount, aggregate);
        }
    }
    (taken.value(aggregate).map(f64::to_bits), newest)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_circle_says_what_adding_up_anew_would_say(
        acts in acts(),
        aggregate in prop::sample::select(vec![
            Aggregate::Min, Aggregate::Max, Aggregate::Mean, Aggregate::Sum, Aggregate::Count(Operator::Greater, 0.0),
        ]),
    ) {
        let sensors = sensors();
        let at = |place: u32| sensors[place as usize].profile.details.place.unwrap();
        let mut circle = Circle::new(0, METRES, aggregate);
        let mut shares: Vec<Option<Share>> = vec![None; 12];
        let mut asking = [false; 12];
        let mut clock = 1_000;
        for (act, step) in acts.into_iter().zip(1..) {
            match act {
                Act::Join(place) => {
                    circle.join_member(place, &sensors[place as usize], Share::default());
                    shares[place as usize].get_or_insert_default();
                }
                Act::Ask(place) => {
                    circle.join_asker(place, &sensors[place as usize]);
                    asking[place as usize] = true;
                }
                Act::Leave(place) => {
                    circle.leave(place, &sensors[place as usize]);
                    asking[place as usize] = false;
                }
                Act::Speak(place, late, amount) => {
                    if let Some(share) = &mut shares[place as usize] {
                        share.newest = share.newest.max(Some(Time::from_millis(clock - late)));
                        share.amount = amount.map(|amount| f64::from(amount) * 0.1);
                        (share.stale_ms, share.fresh) = (STALE_MS, step);
                        circle.update(place, at(place), *share, Time::from_millis(clock));
                        let mut told = Vec::new();
                        circle.askers(place, at(place), |asker| told.push(asker));
                        told.sort_unstable();
                        let near = |asker: &u32| *asker != place && asker.abs_diff(place) <= 2 && asking[*asker as usize];
                        prop_assert_eq!(told, (0..12).filter(near).collect::<Vec<_>>());
                    }
                }
                Act::Pass(millis) => clock += millis,
            }
            // not everybody asks every time
            for asker in (0..12).filter(|place| asking[*place as usize] && (u64::from(*place) + step) % 3 > 0) {
                let value = circle.value(asker, at(asker), (Time::from_millis(clock), step));
                let got = (value.value.map(f64::to_bits), value.newest);
                prop_assert_eq!(got, defined(&shares, &sensors, asker, aggregate, clock), "{} {}", asker, step);
            }
        }
    }
}
