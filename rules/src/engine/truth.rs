//! Three-valued truth and the arithmetic that comparisons rest on. Unknown is never taken for false.

/// False, unknown or true, in the order that makes `and` the least and `or` the greatest (Kleene).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    False,
    Unknown,
    True,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        if value { Truth::True } else { Truth::False }
    }
}

impl std::ops::Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

/// `value` to the nearest 1e-9, so that 10.1 - 7.1 >= 3 holds.
pub(super) fn rounded(value: f64) -> f64 {
    // from 2^22 on neighbouring doubles lie about 1e-9 apart: nothing is left to round
    if value.abs() < 4_194_304.0 {
        nearest(value * 1e9) / 1e9
    } else {
        value
    }
}

/// What `round` says of a number that fits into an `i64`, without the call that it is on machines whose
/// instruction for it the compiler may not count on.
fn nearest(value: f64) -> f64 {
    let whole = value as i64 as f64;
    let up = f64::from(u8::from((value - whole).abs() >= 0.5));
    (whole + up.copysign(value)).copysign(value)
}

/// A result of arithmetic: rounded, or unknown where it is not finite.
pub(super) fn known(value: f64) -> Option<f64> {
    value.is_finite().then(|| rounded(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kleene_tables() {
        use Truth::{False, True, Unknown};
        assert_eq!(
            (False.min(Unknown), True.min(Unknown), True.max(Unknown)),
            (False, Unknown, True)
        );
        assert_eq!((!False, !Unknown, !True), (True, Unknown, False));
    }

    #[test]
    fn the_nearest_whole_number_is_what_round_says() {
        let halves = (-40..40).map(|half| f64::from(half) / 2.0);
        let beside = halves.flat_map(|half| [half.next_down(), half, half.next_up()]);
        let far = [4_194_303.999_999_9e9, 2_251_799_813_685_248.5, 1e-300];
        for value in beside.chain(far).flat_map(|value| [value, -value]) {
            assert_eq!(nearest(value).to_bits(), value.round().to_bits(), "{value}");
        }
    }

    #[test]
    fn rounding_hides_binary_fractions_and_keeps_large_numbers() {
        assert_eq!(known(10.1 - 7.1), Some(3.0));
        assert_eq!(known(1e300), Some(1e300));
        assert_eq!(known(1.0 / 0.0), None);
        assert_eq!(known(f64::NAN), None);
    }
}
