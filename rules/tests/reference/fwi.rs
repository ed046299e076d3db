//! The Canadian Forest Fire Weather Index System, from Van Wagner 1987 with the constant 147.27723 that the
//! Canadian service uses today, and its day lengths by latitude. Written apart from the engine's own.

#[derive(Debug, Clone, Copy)]
pub struct Codes {
    pub ffmc: f64,
    pub dmc: f64,
    pub dc: f64,
}

/// Between the moisture and its code, as the Canadian service has it; Van Wagner 1987 rounds it to 147.2.
pub const MOISTURE: f64 = 147.27723;

/// Takes the codes one day on; gives ISI, BUI and FWI. Weather: °C, %, km/h, mm; month from 1; `scale` is
/// [`MOISTURE`] or another's.
pub fn day(
    codes: &mut Codes,
    weather: [f64; 4],
    month: i8,
    latitude: Option<f64>,
    scale: f64,
) -> [f64; 3] {
    let [temperature, humidity, wind, rain] = weather;
    let latitude = latitude.unwrap_or(45.0);
    codes.ffmc = fine_fuel(codes.ffmc, weather, scale);
    codes.dmc = duff(
        codes.dmc,
        temperature,
        humidity,
        rain,
        duff_day_length(month, latitude),
    );
    codes.dc = drought(
        codes.dc,
        temperature,
        rain,
        drought_day_length(month, latitude),
    );
    let moisture = scale * (101.0 - codes.ffmc) / (59.5 + codes.ffmc);
    let fine = 91.9 * (-0.1386 * moisture).exp() * (1.0 + moisture.powf(5.31) / 4.93e7);
    let isi = 0.208 * (0.05039 * wind).exp() * fine;
    let bui = buildup(codes.dmc, codes.dc);
    [isi, bui, index(isi, bui)]
}

fn fine_fuel(before: f64, [temperature, humidity, wind, rain]: [f64; 4], scale: f64) -> f64 {
    let mut moisture = scale * (101.0 - before) / (59.5 + before);
    if rain > 0.5 {
        let net = rain - 0.5;
        let wet = 42.5 * net * (-100.0 / (251.0 - moisture)).exp() * (1.0 - (-6.93 / net).exp());
        let soaked = if moisture > 150.0 {
            0.0015 * (moisture - 150.0).powi(2) * net.sqrt()
        } else {
            0.0
        };
        moisture = (moisture + wet + soaked).min(250.0);
    }
    let common = 0.18 * (21.1 - temperature) * (1.0 - (-0.115 * humidity).exp());
    let steep = ((humidity - 100.0) / 10.0).exp();
    let drying = 0.942 * humidity.powf(0.679) + 11.0 * steep + common;
    let wetting = 0.618 * humidity.powf(0.753) + 10.0 * steep + common;
    let rate = |part: f64| {
        let still = 0.424 * (1.0 - part.powf(1.7)) + 0.0694 * wind.sqrt() * (1.0 - part.powi(8));
        still * 0.581 * (0.0365 * temperature).exp()
    };
    if moisture > drying {
        moisture = drying + (moisture - drying) * 10_f64.powf(-rate(humidity / 100.0));
    } else if moisture < wetting {
        moisture = wetting - (wetting - moisture) * 10_f64.powf(-rate((100.0 - humidity) / 100.0));
    }
    (59.5 * (250.0 - moisture) / (scale + moisture)).clamp(0.0, 101.0)
}

fn duff(before: f64, temperature: f64, humidity: f64, rain: f64, day_length: f64) -> f64 {
    let mut code = before;
    if rain > 1.5 {
        let net = 0.92 * rain - 1.27;
        let moisture = 20.0 + (5.6348 - before / 43.43).exp();
        let slope = if before <= 33.0 {
            100.0 / (0.5 + 0.3 * before)
        } else if before <= 65.0 {
            14.0 - 1.3 * before.ln()
        } else {
            6.2 * before.ln() - 17.2
        };
        let wetted = moisture + 1_000.0 * net / (48.77 + slope * net);
        code = (244.72 - 43.43 * (wetted - 20.0).ln()).max(0.0);
    }
    let warmth = temperature.max(-1.1);
    code + 100.0 * 1.894e-6 * (warmth + 1.1) * (100.0 - humidity) * day_length
}

fn drought(before: f64, temperature: f64, rain: f64, day_length: f64) -> f64 {
    let mut code = before;
    if rain > 2.8 {
        let net = 0.83 * rain - 1.27;
        let moisture = 800.0 * (-before / 400.0).exp() + 3.937 * net;
        code = (400.0 * (800.0 / moisture).ln()).max(0.0);
    }
    let evaporation = 0.36 * (temperature.max(-2.8) + 2.8) + day_length;
    code + 0.5 * evaporation.max(0.0)
}

fn buildup(dmc: f64, dc: f64) -> f64 {
    if dmc == 0.0 && dc == 0.0 {
        return 0.0;
    }
    let both = 0.8 * dmc * dc / (dmc + 0.4 * dc);
    if dmc <= 0.4 * dc {
        both
    } else {
        (dmc - (1.0 - 0.8 * dc / (dmc + 0.4 * dc)) * (0.92 + (0.0114 * dmc).powf(1.7))).max(0.0)
    }
}

fn index(isi: f64, bui: f64) -> f64 {
    let depth = if bui <= 80.0 {
        0.626 * bui.powf(0.809) + 2.0
    } else {
        1_000.0 / (25.0 + 108.64 * (-0.023 * bui).exp())
    };
    let intensity = 0.1 * isi * depth;
    if intensity > 1.0 {
        (2.72 * (0.434 * intensity.ln()).powf(0.647)).exp()
    } else {
        intensity
    }
}

/// Hours, as the Canadian service divides the latitudes.
fn duff_day_length(month: i8, latitude: f64) -> f64 {
    let table: [f64; 12] = if latitude > 30.0 {
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
    table[month as usize - 1]
}

fn drought_day_length(month: i8, latitude: f64) -> f64 {
    let north = [
        -1.6, -1.6, -1.6, 0.9, 3.8, 5.8, 6.4, 5.0, 2.4, 0.4, -1.6, -1.6,
    ];
    let south = [
        6.4, 5.0, 2.4, 0.4, -1.6, -1.6, -1.6, -1.6, -1.6, 0.9, 3.8, 5.8,
    ];
    if latitude > 20.0 {
        north[month as usize - 1]
    } else if latitude > -20.0 {
        1.4
    } else {
        south[month as usize - 1]
    }
}

#[test]
fn the_published_day() {
    let mut codes = Codes {
        ffmc: 85.0,
        dmc: 6.0,
        dc: 15.0,
    };
    let [isi, bui, fwi] = day(&mut codes, [17.0, 42.0, 25.0, 0.0], 4, Some(45.0), 147.2);
    let near =
        |got: f64, wanted: f64, by: f64| assert!((got - wanted).abs() < by, "{got} {wanted}");
    near(codes.ffmc, 87.692_980, 1e-5);
    near(codes.dmc, 8.545_051, 1e-5);
    near(codes.dc, 19.014, 1e-5);
    near(isi, 10.853_661, 1e-5);
    near(bui, 8.490_427, 1e-5);
    near(fwi, 10.096_371, 1e-5);
}
