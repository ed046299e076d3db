//! In which order derived series are made, and which of them are made of each other. Owns the dependences
//! between series; reads no text.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::Name;

use crate::ast::{Derive, Method};

/// What a series makes or is made of: a measurement at a certain sensor, or at any.
type Need = (Option<Name>, Name);

/// The series, each after those that it is derived from and else by id; and rings of series that are derived
/// from each other, each once, as ids.
pub(super) fn ordered(series: Vec<Derive>) -> (Vec<Derive>, Vec<Vec<Name>>) {
    let mut waiting: BTreeMap<Name, Derive> = series
        .into_iter()
        .map(|derive| (derive.id, derive))
        .collect();
    let mut needs = dependences(&waiting);
    let (mut order, mut rings) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let free = needs.iter().find(|(_, needs)| needs.is_empty());
        let gone = match free {
            Some((id, _)) => vec![*id],
            None => {
                let ring = ring(&needs);
                rings.push(ring.clone());
                ring
            }
        };
        for id in &gone {
            needs.remove(id);
            order.extend(waiting.remove(id));
        }
        for needs in needs.values_mut() {
            needs.retain(|need| !gone.contains(need));
        }
    }
    (order, rings)
}

/// Every measurement that some series makes.
pub(super) fn made(series: &[Derive]) -> BTreeSet<Name> {
    series
        .iter()
        .flat_map(products)
        .map(|(_, measurement)| measurement)
        .collect()
}

/// Which series each series is made of, itself included.
fn dependences(series: &BTreeMap<Name, Derive>) -> BTreeMap<Name, BTreeSet<Name>> {
    let mut makers: BTreeMap<Name, Vec<(Name, Option<Name>)>> = BTreeMap::new();
    for derive in series.values() {
        for (sensor, measurement) in products(derive) {
            makers
                .entry(measurement)
                .or_default()
                .push((derive.id, sensor));
        }
    }
    let of = |derive: &Derive| {
        let mut all = BTreeSet::new();
        for (wanted, measurement) in inputs(derive) {
            let makers = makers.get(&measurement).into_iter().flatten();
            all.extend(
                makers
                    .filter(|(_, made)| meet(wanted, *made))
                    .map(|(id, _)| *id),
            );
        }
        all
    };
    series
        .values()
        .map(|derive| (derive.id, of(derive)))
        .collect()
}

/// Whether a series wanted at one sensor (or any) may be one made at another (or any).
fn meet(wanted: Option<Name>, made: Option<Name>) -> bool {
    match (wanted, made) {
        (Some(wanted), Some(made)) => wanted == made,
        (None, _) | (_, None) => true,
    }
}

fn inputs(derive: &Derive) -> Vec<Need> {
    match &derive.method {
        Method::Each { inputs, .. } => inputs.iter().map(|input| (None, *input)).collect(),
        Method::Named { inputs, .. } => inputs
            .iter()
            .map(|(sensor, input)| (Some(*sensor), *input))
            .collect(),
        Method::Zones { of, .. } | Method::Daily { of, .. } => vec![(None, *of)],
        Method::FireWeather(weather) => {
            let names = [
                weather.temperature,
                weather.humidity,
                weather.wind,
                weather.rain,
            ];
            names.map(|input| (None, input)).to_vec()
        }
    }
}

fn products(derive: &Derive) -> Vec<Need> {
    let sensor = match &derive.method {
        Method::Each { .. }
        | Method::Zones { .. }
        | Method::Daily { .. }
        | Method::FireWeather(_) => None,
        Method::Named { .. } => Some(derive.id),
    };
    let makes = derive.makes().into_iter();
    makes.map(|made| (sensor, made)).collect()
}

/// Some ring; each series in `needs` needs one that is there, so that every walk comes back.
fn ring(needs: &BTreeMap<Name, BTreeSet<Name>>) -> Vec<Name> {
    let mut path: Vec<Name> = Vec::new();
    let mut next = needs.keys().next().copied();
    while let Some(id) = next {
        if let Some(start) = path.iter().position(|known| *known == id) {
            return path.split_off(start);
        }
        path.push(id);
        next = needs.get(&id).and_then(|needs| needs.first().copied());
    }
    path
}
