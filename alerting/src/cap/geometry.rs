//! Polygons and circles as CAP writes them. What CAP cannot hold gives `None`; why, [`faults`] says.

use crate::warning::Shape;

type Point = (f64, f64);

/// `lat,lon lat,lon …`, closed, of at least four points with the last.
pub(super) fn polygon(shape: &Shape) -> Option<String> {
    let Shape::Polygon(points) = shape else {
        return None;
    };
    if !points.iter().all(on_earth) {
        return None;
    }
    let mut ring = points.clone();
    if ring.first() != ring.last() {
        ring.extend(points.first());
    }
    (ring.len() >= 4).then(|| ring.iter().map(pair).collect::<Vec<_>>().join(" "))
}

/// `lat,lon radius`, the radius in kilometres.
pub(super) fn circle(shape: &Shape) -> Option<String> {
    let Shape::Circle { center, radius_km } = shape else {
        return None;
    };
    let fits = on_earth(center) && radius_km.is_finite() && *radius_km >= 0.0;
    fits.then(|| format!("{} {}", pair(center), (radius_km * 1e3).round() / 1e3))
}

/// What is wrong with a shape, in sentences that go on after "the area ".
pub(super) fn faults(shape: &Shape) -> Vec<String> {
    match shape {
        Shape::Polygon(points) => polygon_faults(points),
        Shape::Circle { center, radius_km } => {
            let mut faults = Vec::new();
            if !on_earth(center) {
                faults.push(off_earth(center));
            }
            if !(radius_km.is_finite() && *radius_km >= 0.0) {
                faults.push(format!(
                    "has a circle of radius {radius_km}: write kilometres from 0 on"
                ));
            }
            faults
        }
    }
}

fn polygon_faults(points: &[Point]) -> Vec<String> {
    if let Some(point) = points.iter().find(|point| !on_earth(point)) {
        return vec![off_earth(point)];
    }
    let mut faults = Vec::new();
    if points.len() < 4 {
        faults.push(format!(
            "has a polygon of {} points: three corners and the first again are the least",
            points.len()
        ));
    } else if points.first() != points.last() {
        faults.push("has an open polygon: repeat the first point at the end".to_owned());
    } else if crosses_itself(points) {
        faults.push(
            "has a polygon that crosses itself: give its corners in order around it".to_owned(),
        );
    }
    faults
}

fn off_earth((lat, lon): &Point) -> String {
    format!(
        "has a point {lat},{lon} off the map: latitude is -90 to 90 and comes first, longitude -180 to 180"
    )
}

fn on_earth((lat, lon): &Point) -> bool {
    // comparisons with NaN are false
    lat.abs() <= 90.0 && lon.abs() <= 180.0
}

/// Six decimals are a tenth of a metre. Adding zero turns -0 into 0.
fn pair((lat, lon): &Point) -> String {
    let short = |degrees: &f64| (degrees * 1e6).round() / 1e6 + 0.0;
    format!("{},{}", short(lat), short(lon))
}

/// Whether any two sides of a closed ring that do not follow each other meet. Quadratic; zones have few corners.
fn crosses_itself(ring: &[Point]) -> bool {
    let sides: Vec<(Point, Point)> = ring.windows(2).map(|side| (side[0], side[1])).collect();
    let neighbours = |i: usize, j: usize| j == i + 1 || (i == 0 && j + 1 == sides.len());
    (0..sides.len())
        .any(|i| (i + 1..sides.len()).any(|j| !neighbours(i, j) && cross(sides[i], sides[j])))
}

/// Whether two sides cut each other at an inner point; ends that only touch do not count.
fn cross((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let turn = |p: Point, q: Point, r: Point| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    turn(a, b, c) * turn(a, b, d) < 0.0 && turn(c, d, a) * turn(c, d, b) < 0.0
}
