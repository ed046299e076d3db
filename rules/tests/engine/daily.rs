//! What is made by the clock: daily series and the fire weather index; and local time in `baseline`.

use crate::support::{check, check_sets, check_with, rule, sources_with};

const NIGHT: &str = "{ id: night, measurement: m, daily: mean(flow) from 02:00 to 04:00 }";
const OVER: &str = "levels: { blue: value >= 10 }";

#[test]
fn a_night_is_told_when_it_is_over() {
    check_with(
        &[NIGHT],
        OVER,
        "01:59 a flow=99 | 02:00 a flow=8 | 03:00 a flow=12 | 04:00 a flow=99 | 04:01 b x=1 | 26:00 a flow=3 | 28:30 b x=1",
        "04:00 a raise blue | 28:00 a clear blue",
    );
}

#[test]
fn a_record_at_that_very_clock_still_counts_and_a_later_one_does_not() {
    check_with(
        &[NIGHT],
        OVER,
        "02:00 a flow=8 | 04:00 a flow=12 @03:59 | 04:01 a flow=99 @03:00",
        "04:00 a raise blue",
    );
    check_with(
        &[NIGHT],
        OVER,
        "02:00 a flow=8 | 03:00 a flow=20 @02:00 | 05:00 tick",
        "",
    );
}

#[test]
fn the_end_of_the_clock_tells_it_too_and_nothing_comes_of_nothing() {
    let sets = [sources_with(&[NIGHT], &[rule(OVER)])];
    check_sets(&sets, "03:00 a flow=10", Some("03:59"), "");
    check_sets(
        &sets,
        "03:00 a flow=10",
        Some("04:00"),
        "04:00 a raise blue",
    );
    check_sets(&sets, "01:00 a flow=10", Some("28:00"), "");
}

#[test]
fn hours_are_those_of_the_zone() {
    check_with(
        &["{ id: night, measurement: m, daily: sum(flow) from 00:00 to 24:00 }"],
        OVER,
        "00:00 zones cell@Asia/Shanghai | 00:00 sensor a zone=cell | 15:59 a flow=4 | 15:59:59 a flow=6 | 16:00 a flow=1 | 41:00 tick",
        "16:00 a raise blue | 40:00 a clear blue",
    );
}

#[test]
fn units_and_selectors_hold_for_the_readings() {
    let night = "{ id: night, measurement: m, unit: m3/h, where: { kind: dma }, daily: max(flow) from 02:00 to 04:00 }";
    let counts = check_with(
        &[night],
        OVER,
        "00:00 sensor a kind=dma | 03:00 a flow=3[L/s] | 03:10 a flow=99[kPa] | 03:00 b flow=99 | 05:00 tick",
        "04:00 a raise blue",
    );
    assert_eq!(counts.unit_errors, 1);
    assert_eq!(counts.unit_newest[0].rule, "night");
}

#[test]
fn moments_of_several_sensors_are_one_step() {
    // at 04:00 both nights are there before anybody looks at the sum
    check_with(
        &[NIGHT],
        "levels: { blue: \"zone(m, sum(value)) >= 20\", red: \"zone(m, sum(value)) < 20\" }",
        "00:00 sensor a zone=z | 00:00 sensor b zone=z | 03:00 b flow=10 | 03:01 a flow=10 | 05:00 tick",
        "04:00 a raise blue | 04:00 b raise blue",
    );
}

#[test]
fn silence_of_a_daily_series_is_noticed() {
    check_with(
        &[NIGHT],
        "levels: { blue: age > 30h }",
        "03:00 a flow=10 | 27:00 a flow=10 | 60:00 tick",
        "58:00 a raise blue",
    );
}

const FWI: &str =
    "{ id: fire, measurement: m, fwi: { temperature: t, humidity: h, wind: w, rain: p } }";

#[test]
fn fire_weather_is_told_at_noon() {
    // 2000-01-01: day length 6.5, so less dries than in the published April
    check_with(
        &[FWI],
        "levels: { blue: value > 9.4 and value < 9.6 and ffmc > 87.6 and ffmc < 87.8 and dc > 17.763 and dc < 17.765 }",
        "00:00 sensor a at=46,10 | 11:00 a t=17,h=42,w=25 | 12:01 tick",
        "12:00 a raise blue",
    );
}

#[test]
fn codes_go_on_from_day_to_day_and_a_day_without_weather_is_skipped() {
    check_with(
        &[FWI],
        "levels: { blue: dc >= 17.7, yellow: dc >= 20.5, orange: dc >= 23.2 }",
        "00:00 sensor a at=46,10 stale=6h | 11:00 a t=17,h=42,w=25 | 35:00 a t=17,h=42 | 59:00 a t=17,h=42,w=25 | 83:00 a t=17,h=42,w=25 | 90:00 tick",
        "12:00 a raise blue | 60:00 a change yellow | 84:00 a change orange",
    );
}

#[test]
fn rain_is_that_of_the_day_before_noon() {
    let wet = "levels: { blue: ffmc < 60 }";
    check_with(
        &[FWI],
        wet,
        "00:00 sensor a at=46,10 | 10:00 a t=10,h=90,w=5,p=6 | 11:00 a p=6 | 12:01 tick",
        "12:00 a raise blue",
    );
    check_with(
        &[FWI],
        wet,
        "12:00 a p=90 @-12:00 | 12:00 a t=17,h=42,w=25 @11:59 | 12:00 a p=0 | 13:00 tick",
        "",
    );
}

#[test]
fn impossible_weather_is_counted_and_the_codes_stay() {
    let counts = check_with(
        &[FWI],
        "levels: { blue: dc >= 17.7, yellow: dc >= 20.5 }",
        "00:00 sensor a at=46,10 | 11:00 a t=17,h=142,w=25 | 35:00 a t=17,h=42,w=25 | 40:00 tick",
        "36:00 a raise blue",
    );
    assert_eq!(counts.weather_errors, 1);
    let error = &counts.weather_newest[0];
    assert_eq!(
        (
            error.series.as_str(),
            error.sensor.as_str(),
            error.measurement.as_str()
        ),
        ("fire", "a", "h")
    );
    assert_eq!(
        (error.value, error.why.as_str()),
        (142.0, "relative humidity above 100 %")
    );
}

#[test]
fn weather_converts_and_noon_is_local() {
    check_with(
        &[FWI],
        "levels: { blue: dc > 17.763 and dc < 17.765 }",
        "00:00 zones cell@Asia/Shanghai | 00:00 sensor a zone=cell at=46,120 | 03:00 a t=62.6[degF],h=0.42[1],w=25 | 05:00 tick",
        "04:00 a raise blue",
    );
}

#[test]
fn the_usual_at_this_hour() {
    check(
        "levels: { blue: value > baseline(2d) * 2 }",
        "08:10 a 10 | 08:50 a 20 | 09:10 a 99 | 32:05 a 30 | 32:10 a 31 | 33:00 a 99 | 56:30 a 35 | 80:30 a 80",
        // half of two days is enough; then the mean of all readings of both days
        "32:10 a raise blue | 33:00 a clear blue | 80:30 a raise blue",
    );
}

#[test]
fn the_usual_hour_is_local_and_late_readings_fill_it() {
    check(
        "levels: { blue: value > baseline(1d) + 5 }",
        "00:00 zones cell@Asia/Shanghai | 00:00 sensor a zone=cell | 15:30 a 10 | 16:30 a 50 | 20:00 a 10 @15:45 | 39:30 a 16 | 40:30 a 54",
        "39:30 a raise blue | 40:30 a clear blue",
    );
}

#[test]
fn the_usual_of_another_measurement() {
    check(
        "levels: { blue: \"value > baseline(h, 1d)\" }",
        "08:00 a m=1,h=5 | 32:00 a 6 | 32:01 a m=5,h=9",
        "32:00 a raise blue | 32:01 a clear blue",
    );
}
