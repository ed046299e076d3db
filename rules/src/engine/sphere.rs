//! Distances on the earth, and things found again by where they stand. Knows nothing of sensors and rules.

use std::collections::BTreeMap;

/// Mean radius of the earth in metres (IUGG).
const EARTH_M: f64 = 6_371_008.8;
/// A chord on the unit sphere, 64 cm on the earth: far more than rounding can move a point or a distance.
const MARGIN: f64 = 1e-7;

/// A point on the unit sphere.
type Point = [f64; 3];

/// Things that stand at a latitude and longitude, ready to be asked for those within one distance. Space is cut
/// into cubes as wide as that distance, so that only neighbouring ones are looked into.
#[derive(Debug, Clone)]
pub(super) struct Grid<K> {
    metres: f64,
    /// The distance as a straight line through the earth.
    chord: f64,
    cells: BTreeMap<[i32; 3], Vec<Spot<K>>>,
}

#[derive(Debug, Clone)]
struct Spot<K> {
    at: Point,
    /// Latitude and longitude in degrees.
    place: (f64, f64),
    what: K,
}

impl<K: Copy + PartialEq> Grid<K> {
    /// Nothing yet; to be asked for what lies within `metres`.
    pub(super) fn new(metres: f64) -> Grid<K> {
        let half = (metres / EARTH_M / 2.0).min(std::f64::consts::FRAC_PI_2);
        Grid {
            metres,
            chord: 2.0 * half.sin(),
            cells: BTreeMap::new(),
        }
    }

    /// Puts `what` at a latitude and longitude in degrees.
    pub(super) fn insert(&mut self, place: (f64, f64), what: K) {
        let at = on_sphere(place);
        let spots = self.cells.entry(self.cell(at)).or_default();
        spots.push(Spot { at, place, what });
    }

    /// Takes `what` away from where it was put.
    pub(super) fn remove(&mut self, place: (f64, f64), what: K) {
        let cell = self.cell(on_sphere(place));
        if let Some(spots) = self.cells.get_mut(&cell) {
            spots.retain(|spot| spot.what != what);
            if spots.is_empty() {
                self.cells.remove(&cell);
            }
        }
    }

    /// Everything within the distance of `place`, in no order that means anything.
    pub(super) fn around(&self, place: (f64, f64), mut visit: impl FnMut(K)) {
        let here = on_sphere(place);
        let [x, y, z] = self.cell(here);
        // only where the line is about as long as the distance, the arc decides
        let surely = (self.chord > MARGIN).then(|| (self.chord - MARGIN).powi(2));
        let at_most = (self.chord + MARGIN).powi(2);
        for (x, y) in (x - 1..=x + 1).flat_map(|x| (y - 1..=y + 1).map(move |y| (x, y))) {
            for spot in self
                .cells
                .range([x, y, z - 1]..=[x, y, z + 1])
                .flat_map(|(_, spots)| spots)
            {
                let line = line_squared(here, spot.at);
                let within = surely.is_some_and(|surely| line <= surely)
                    || (line <= at_most && distance_m(place, spot.place) <= self.metres);
                if within {
                    visit(spot.what);
                }
            }
        }
    }

    fn cell(&self, at: Point) -> [i32; 3] {
        at.map(|along| (along / (self.chord + 2.0 * MARGIN)).floor() as i32)
    }
}

fn line_squared(one: Point, two: Point) -> f64 {
    let [x, y, z] = std::array::from_fn(|axis| one[axis] - two[axis]);
    x * x + y * y + z * z
}

fn on_sphere((latitude, longitude): (f64, f64)) -> Point {
    let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
    let (height, ring) = latitude.sin_cos();
    let (y, x) = longitude.sin_cos();
    [ring * x, ring * y, height]
}

/// Metres between two points given by latitude and longitude in degrees (haversine).
fn distance_m(one: (f64, f64), two: (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let across = one.0.to_radians().cos() * two.0.to_radians().cos() * half(one.1, two.1);
    2.0 * EARTH_M * (half(one.0, two.0) + across).sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A point, in a town or anywhere on the globe, poles and date line among them.
    fn place() -> impl Strategy<Value = (f64, f64)> {
        let town = (39.9..40.1_f64, 116.0..116.2_f64);
        let globe = (-90.0..=90.0_f64, -180.0..=180.0_f64);
        let edges = (
            prop::sample::select(vec![-90.0, -89.999, 0.0, 89.999, 90.0]),
            prop::sample::select(vec![-180.0, -179.999, 0.0, 179.999, 180.0]),
        );
        prop_oneof![6 => town, 2 => globe, 1 => edges]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_grid_finds_what_the_distance_says(
            places in prop::collection::vec(place(), 1..60),
            metres in prop_oneof![1.0..20_000.0_f64, 0.001..10.0_f64, 1e5..=2e7_f64],
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            between in any::<Option<(prop::sample::Index, prop::sample::Index)>>(),
        ) {
            // exactly as far as two of them are from one another
            let of_two = between.map(|(one, two)| distance_m(*one.get(&places), *two.get(&places)));
            let metres = of_two.filter(|metres| *metres > 0.0).unwrap_or(metres);
            let mut grid = Grid::new(metres);
            for (number, place) in places.iter().enumerate() {
                grid.insert(*place, number);
            }
            let gone: Vec<usize> = gone.iter().map(|gone| gone.index(places.len())).collect();
            for number in &gone {
                grid.remove(places[*number], *number);
            }
            for here in &places {
                let mut found = Vec::new();
                grid.around(*here, |number| found.push(number));
                found.sort_unstable();
                let near = |number: &usize| !gone.contains(number) && distance_m(*here, places[*number]) <= metres;
                let wanted: Vec<usize> = (0..places.len()).filter(near).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
