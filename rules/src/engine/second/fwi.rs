//! The Canadian Forest Fire Weather Index as pure equations: Van Wagner & Pickett 1985 (Forestry Technical
//! Report 33) and Van Wagner 1987 (Report 35); their equation numbers stand beside them. Weather is that of
//! local noon; no state but the three codes of the day before.

/// Relates the fine fuel code to moisture: 250 x 59.5 / 101, as current practice (cffdrs) has it; the report of
/// 1987 rounds it to 147.2, which changes the index by up to 1.6 %.
const FF: f64 = 147.27723;

/// Moisture codes that carry over from day to day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Codes {
    /// Fine fuel moisture code, 0 to 101.
    pub ffmc: f64,
    /// Duff moisture code.
    pub dmc: f64,
    /// Drought code.
    pub dc: f64,
}

/// Weather at noon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weather {
    /// In Cel.
    pub temperature: f64,
    /// Relative, in %.
    pub humidity: f64,
    /// In km/h.
    pub wind: f64,
    /// Of the last 24 h, in mm.
    pub rain: f64,
    /// From 1.
    pub month: usize,
    /// In degrees, for the length of the day.
    pub latitude: f64,
}

/// What a day comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Indices {
    pub codes: Codes,
    /// Initial spread index.
    pub isi: f64,
    /// Build-up index.
    pub bui: f64,
    /// Fire weather index.
    pub fwi: f64,
}

/// Weather that cannot be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Impossible {
    /// Temperature, humidity, wind or rain, from 0; 4 if each may be but not all together.
    pub input: usize,
    pub value: f64,
    pub why: &'static str,
}

/// The codes and indices of a day, from the codes of the day before.
///
/// # Errors
/// If the weather is impossible; a result is always finite.
pub(super) fn indices(yesterday: Codes, weather: Weather) -> Result<Indices, Impossible> {
    check(weather)?;
    let codes = Codes {
        ffmc: fine_fuel(yesterday.ffmc, weather, FF),
        dmc: duff(yesterday.dmc, weather),
        dc: drought(yesterday.dc, weather),
    };
    let isi = spread(codes.ffmc, weather.wind, FF);
    let bui = build_up(codes.dmc, codes.dc);
    let fwi = fire_weather(isi, bui);
    let all = [codes.ffmc, codes.dmc, codes.dc, isi, bui, fwi];
    if all.iter().all(|value| value.is_finite()) {
        Ok(Indices {
            codes,
            isi,
            bui,
            fwi,
        })
    } else {
        let why = "the equations have no result for such weather";
        let value = weather.temperature;
        Err(Impossible {
            input: 4,
            value,
            why,
        })
    }
}

fn check(weather: Weather) -> Result<(), Impossible> {
    let inputs = [
        weather.temperature,
        weather.humidity,
        weather.wind,
        weather.rain,
    ];
    for (input, value) in inputs.into_iter().enumerate() {
        let why = match input {
            _ if !value.is_finite() => "not a finite number",
            1 if value < 0.0 => "relative humidity below 0 %",
            1 if value > 100.0 => "relative humidity above 100 %",
            2 if value < 0.0 => "negative wind speed",
            3 if value < 0.0 => "negative rain",
            _ => continue,
        };
        return Err(Impossible { input, value, why });
    }
    Ok(())
}

fn fine_fuel(before: f64, weather: Weather, ff: f64) -> f64 {
    let (t, h, w) = (weather.temperature, weather.humidity, weather.wind);
    let mut m = ff * (101.0 - before) / (59.5 + before); // 1
    if weather.rain > 0.5 {
        let rain = weather.rain - 0.5; // 2
        let soaked = 42.5 * rain * (-100.0 / (251.0 - m)).exp() * (1.0 - (-6.93 / rain).exp()); // 3a
        let more = if m > 150.0 {
            0.0015 * (m - 150.0).powi(2) * rain.sqrt() // 3b
        } else {
            0.0
        };
        m = (m + soaked + more).min(250.0);
    }
    let warmth = 0.18 * (21.1 - t) * (1.0 - (-0.115 * h).exp());
    let drying = 0.942 * h.powf(0.679) + 11.0 * ((h - 100.0) / 10.0).exp() + warmth; // 4
    let wetting = 0.618 * h.powf(0.753) + 10.0 * ((h - 100.0) / 10.0).exp() + warmth; // 5
    // 6 and 7
    let rate = |share: f64| {
        let still = 0.424 * (1.0 - share.powf(1.7));
        let moved = 0.0694 * w.sqrt() * (1.0 - share.powi(8));
        (still + moved) * 0.581 * (0.0365 * t).exp()
    };
    let m = if m > drying {
        drying + (m - drying) * 10_f64.powf(-rate(h / 100.0)) // 8
    } else if m < wetting {
        wetting - (wetting - m) * 10_f64.powf(-rate((100.0 - h) / 100.0)) // 9
    } else {
        m
    };
    (59.5 * (250.0 - m) / (ff + m)).clamp(0.0, 101.0) // 10
}

fn duff(before: f64, weather: Weather) -> f64 {
    let mut code = before;
    if weather.rain > 1.5 {
        let rain = 0.92 * weather.rain - 1.27; // 11
        let m = 20.0 + (5.6348 - before / 43.43).exp(); // 12
        // 13
        let slope = if before <= 33.0 {
            100.0 / (0.5 + 0.3 * before)
        } else if before <= 65.0 {
            14.0 - 1.3 * before.ln()
        } else {
            6.2 * before.ln() - 17.2
        };
        let m = m + 1_000.0 * rain / (48.77 + slope * rain); // 14
        code = (244.72 - 43.43 * (m - 20.0).ln()).max(0.0); // 15
    }
    let warmth = weather.temperature.max(-1.1) + 1.1;
    let hours = day_length(weather.latitude, weather.month);
    code + 1.894 * warmth * (100.0 - weather.humidity) * hours * 1e-4 // 16, 17
}

fn drought(before: f64, weather: Weather) -> f64 {
    let mut code = before;
    if weather.rain > 2.8 {
        let rain = 0.83 * weather.rain - 1.27; // 18
        let store = 800.0 * (-before / 400.0).exp() + 3.937 * rain; // 19, 20
        code = (400.0 * (800.0 / store).ln()).max(0.0); // 21
    }
    let warmth = 0.36 * (weather.temperature.max(-2.8) + 2.8);
    let loss = warmth + day_length_factor(weather.latitude, weather.month); // 22
    code + 0.5 * loss.max(0.0) // 23
}

fn spread(ffmc: f64, wind: f64, ff: f64) -> f64 {
    let m = ff * (101.0 - ffmc) / (59.5 + ffmc);
    let fuel = 91.9 * (-0.1386 * m).exp() * (1.0 + m.powf(5.31) / 4.93e7); // 25
    0.208 * (0.05039 * wind).exp() * fuel // 24, 26
}

fn build_up(dmc: f64, dc: f64) -> f64 {
    if dmc == 0.0 && dc == 0.0 {
        return 0.0;
    }
    let index = if dmc <= 0.4 * dc {
        0.8 * dmc * dc / (dmc + 0.4 * dc) // 27a
    } else {
        dmc - (1.0 - 0.8 * dc / (dmc + 0.4 * dc)) * (0.92 + (0.0114 * dmc).powf(1.7)) // 27b
    };
    index.max(0.0)
}

fn fire_weather(isi: f64, bui: f64) -> f64 {
    // 28
    let duff = if bui <= 80.0 {
        0.626 * bui.powf(0.809) + 2.0
    } else {
        1_000.0 / (25.0 + 108.64 * (-0.023 * bui).exp())
    };
    let index = 0.1 * isi * duff; // 29
    if index > 1.0 {
        (2.72 * (0.434 * index.ln()).powf(0.647)).exp() // 30
    } else {
        index
    }
}

/// Effective hours of daylight for the duff code: 46 N, 20 N, near the equator, 20 S, 40 S.
fn day_length(latitude: f64, month: usize) -> f64 {
    let months = if latitude > 30.0 {
        [
            6.5, 7.5, 9.0, 12.8, 13.9, 13.9, 12.4, 10.9, 9.4, 8.0, 7.0, 6.0,
        ]
    } else if latitude > 10.0 {
        [7.9, 8.4, 8.9, 9.5, 9.9, 10.2, 10.1, 9.7, 9.1, 8.6, 8.1, 7.8]
    } else if latitude > -10.0 {
        [9.0; 12]
    } else if latitude > -30.0 {
        [10.1, 9.6, 9.1, 8.5, 8.1, 7.8, 7.9, 8.3, 8.9, 9.4, 9.9, 10.2]
    } else {
        [
            11.5, 10.5, 9.2, 7.9, 6.8, 6.2, 6.5, 7.4, 8.7, 10.0, 11.2, 11.8,
        ]
    };
    months[(month.max(1) - 1).min(11)]
}

/// Adjustment of the drought code to the length of the day: north, near the equator, south.
fn day_length_factor(latitude: f64, month: usize) -> f64 {
    let months = if latitude > 20.0 {
        [
            -1.6, -1.6, -1.6, 0.9, 3.8, 5.8, 6.4, 5.0, 2.4, 0.4, -1.6, -1.6,
        ]
    } else if latitude > -20.0 {
        [1.4; 12]
    } else {
        [
            6.4, 5.0, 2.4, 0.4, -1.6, -1.6, -1.6, -1.6, -1.6, 0.9, 3.8, 5.8,
        ]
    };
    months[(month.max(1) - 1).min(11)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Codes = Codes {
        ffmc: 85.0,
        dmc: 6.0,
        dc: 15.0,
    };

    /// The first day of the test series of Van Wagner & Pickett 1985.
    const FIRST: Weather = Weather {
        temperature: 17.0,
        humidity: 42.0,
        wind: 25.0,
        rain: 0.0,
        month: 4,
        latitude: 46.0,
    };

    fn close(got: f64, wanted: f64, within: f64) {
        assert!((got - wanted).abs() <= within, "{got} is not {wanted}");
    }

    #[test]
    fn with_the_constant_of_1987_as_published() {
        let ffmc = fine_fuel(START.ffmc, FIRST, 147.2);
        close(ffmc, 87.692_980, 1e-6);
        let isi = spread(ffmc, FIRST.wind, 147.2);
        close(isi, 10.853_661, 1e-6);
        let bui = build_up(duff(START.dmc, FIRST), drought(START.dc, FIRST));
        close(fire_weather(isi, bui), 10.096_371, 1e-6);
    }

    #[test]
    fn with_the_constant_in_force() {
        let day = indices(START, FIRST).unwrap();
        close(day.codes.ffmc, 87.65, 0.005);
        close(day.codes.dmc, 8.545_051, 1e-6);
        close(day.codes.dc, 19.014, 1e-9);
        close(day.isi, 10.777, 1e-3);
        close(day.bui, 8.490_427, 1e-6);
        close(day.fwi, 10.04, 0.01);
    }

    /// The published series as rounded there to one decimal: weather, then the six results.
    #[test]
    fn the_first_days_of_the_published_series() {
        let days = [
            ([17.0, 42.0, 25.0, 0.0], [87.7, 8.5, 19.0, 10.9, 8.5, 10.1]),
            ([20.0, 21.0, 25.0, 2.4], [86.2, 10.4, 23.6, 8.8, 10.4, 9.3]),
            ([8.5, 40.0, 17.0, 0.0], [87.0, 11.8, 26.1, 6.5, 11.7, 7.6]),
            ([6.5, 25.0, 6.0, 0.0], [88.8, 13.2, 28.2, 4.9, 13.1, 6.2]),
            (
                [13.0, 34.0, 24.0, 0.0],
                [89.1, 15.4, 31.5, 12.6, 15.3, 14.8],
            ),
        ];
        let mut codes = START;
        for ([temperature, humidity, wind, rain], wanted) in days {
            let weather = Weather {
                temperature,
                humidity,
                wind,
                rain,
                ..FIRST
            };
            let day = indices(codes, weather).unwrap();
            codes = day.codes;
            let got = [codes.ffmc, codes.dmc, codes.dc, day.isi, day.bui, day.fwi];
            for (got, wanted) in got.into_iter().zip(wanted) {
                close(got, wanted, 0.15);
            }
        }
    }

    #[test]
    fn impossible_weather_is_named() {
        for (weather, input) in [
            (
                Weather {
                    humidity: -1.0,
                    ..FIRST
                },
                1,
            ),
            (
                Weather {
                    humidity: 100.5,
                    ..FIRST
                },
                1,
            ),
            (
                Weather {
                    wind: -0.1,
                    ..FIRST
                },
                2,
            ),
            (
                Weather {
                    rain: -3.0,
                    ..FIRST
                },
                3,
            ),
            (
                Weather {
                    temperature: f64::NAN,
                    ..FIRST
                },
                0,
            ),
        ] {
            assert_eq!(indices(START, weather).unwrap_err().input, input);
        }
    }

    #[test]
    fn the_south_has_its_summer_in_january() {
        let january = |latitude| {
            let weather = Weather {
                month: 1,
                latitude,
                ..FIRST
            };
            indices(START, weather).unwrap().codes
        };
        assert!(january(-35.0).dc > january(46.0).dc && january(-35.0).dmc > january(46.0).dmc);
    }

    proptest! {
        #[test]
        fn any_possible_weather_gives_finite_results(
            days in prop::collection::vec((-60.0..60.0_f64, 0.0..=100.0_f64, 0.0..200.0_f64, 0.0..300.0_f64), 1..60),
            month in 1..=12_usize, latitude in -90.0..90.0_f64,
        ) {
            let mut codes = START;
            for (temperature, humidity, wind, rain) in days {
                let weather = Weather { temperature, humidity, wind, rain, month, latitude };
                let day = indices(codes, weather).unwrap();
                codes = day.codes;
                prop_assert!((0.0..=101.0).contains(&codes.ffmc) && codes.dmc >= 0.0 && codes.dc >= 0.0);
                prop_assert!(day.isi >= 0.0 && day.bui >= 0.0 && day.fwi >= 0.0);
            }
        }
    }
}
