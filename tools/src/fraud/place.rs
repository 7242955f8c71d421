//! Where a transaction was, and how far two places are apart.
//!
//! Distances are on a sphere, in whole metres, by the haversine formula; the earth's flattening is left
//! out, which is 0.5 % at most. Sines and arcs are sums of `+ - * /` and `sqrt`, which IEEE 754 fixes: a
//! mathematical library's differ from machine to machine in the last bit, and with it a decision could.

use std::f64::consts::{FRAC_PI_2, PI};

use pelton::record::Decimal;

/// The earth's mean radius.
const RADIUS_METRES: f64 = 6_371_008.8;
/// Degrees are kept in millionths, which are 11 cm at most.
const MICROS_A_DEGREE: f64 = 1e6;
const LATITUDE_MAX: i64 = 90_000_000;
const LONGITUDE_MAX: i64 = 180_000_000;

/// A place on the earth, in millionths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// To the north.
    pub latitude: i32,
    /// To the east.
    pub longitude: i32,
}

impl Place {
    /// The place of these degrees; `None` where one is missing, or is none.
    #[inline]
    #[must_use]
    pub fn of(latitude: Option<Decimal>, longitude: Option<Decimal>) -> Option<Self> {
        let within = |degrees: Decimal, max: i64| {
            i32::try_from(degrees.0).ok().filter(|_| (-max..=max).contains(&degrees.0))
        };
        Some(Self {
            latitude: within(latitude?, LATITUDE_MAX)?,
            longitude: within(longitude?, LONGITUDE_MAX)?,
        })
    }

    /// How far another place is, in metres.
    #[must_use]
    pub fn metres_to(self, other: Self) -> u32 {
        let radians = |micros: i32| f64::from(micros) / MICROS_A_DEGREE * (PI / 180.0);
        let [from, to] = [self.latitude, other.latitude].map(radians);
        let east = radians(self.longitude) - radians(other.longitude);
        let (up, across) = (half_chord(to - from), half_chord(east));
        let square = up * up + cosine(from) * cosine(to) * across * across;
        let metres = 2.0 * RADIUS_METRES * arc_sine(square.clamp(0.0, 1.0).sqrt());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most half of the earth's girth, and not below 0"
        )]
        let whole = metres.round() as u32;
        whole
    }
}

/// The sine of half an angle of up to a full turn, without its sign.
fn half_chord(angle: f64) -> f64 {
    let half = angle.abs() / 2.0;
    sine(if half > FRAC_PI_2 { PI - half } else { half })
}

/// Of an angle from -90 to 90 degrees.
fn cosine(angle: f64) -> f64 {
    sine(FRAC_PI_2 - angle.abs())
}

/// Of an angle from 0 to 90 degrees: the series, to the last bit that a float has.
fn sine(angle: f64) -> f64 {
    let square = angle * angle;
    let (mut term, mut sum, mut factor) = (angle, angle, 2.0);
    while factor < 24.0 {
        term = -term * square / (factor * (factor + 1.0));
        sum += term;
        factor += 2.0;
    }
    sum
}

/// Of a sine from 0 to 1, by the tangent of a quarter of the angle twice halved, where the series is
/// short.
fn arc_sine(sine: f64) -> f64 {
    let halved = |tangent: f64| tangent / (1.0 + (1.0 + tangent * tangent).sqrt());
    let tangent_of_half = sine / (1.0 + (1.0 - sine * sine).max(0.0).sqrt());
    8.0 * arc_tangent(halved(halved(tangent_of_half)))
}

/// Of a tangent from 0 to 0.2.
fn arc_tangent(tangent: f64) -> f64 {
    let square = tangent * tangent;
    let (mut power, mut sum, mut factor) = (tangent, tangent, 3.0);
    while factor < 26.0 {
        power = -power * square;
        sum += power / factor;
        factor += 2.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        let degrees = |degrees: f64| Some(Decimal::parse(degrees.to_string().as_bytes()).unwrap());
        Place::of(degrees(latitude), degrees(longitude)).unwrap()
    }

    #[test]
    fn distances_are_those_that_atlases_give() {
        let munich = place(48.137154, 11.576124);
        for (to, km) in [
            (munich, 0.0),
            (place(48.137154, 11.576125), 0.0),
            (place(52.520008, 13.404954), 504.3),
            (place(-33.868820, 151.209290), 16_328.8),
            (place(-48.137154, -168.423876), 20_015.1),
        ] {
            let metres = f64::from(munich.metres_to(to));
            assert!((metres / 1_000.0 - km).abs() < 1.0, "{to:?}: {metres} m");
        }
    }

    #[test]
    fn the_series_say_what_the_library_says() {
        for step in 0..=1_000 {
            let share = f64::from(step) / 1_000.0;
            assert!((sine(share * FRAC_PI_2) - (share * FRAC_PI_2).sin()).abs() < 1e-15);
            assert!((cosine(share * FRAC_PI_2) - (share * FRAC_PI_2).cos()).abs() < 1e-15);
            assert!((arc_sine(share) - share.asin()).abs() < 1e-14, "{share}");
        }
    }

    #[test]
    fn the_way_across_the_date_line_is_the_short_one() {
        let (west, east) = (place(0.0, 179.5), place(0.0, -179.5));
        assert_eq!(west.metres_to(east), east.metres_to(west));
        assert_eq!(west.metres_to(east), place(0.0, 0.0).metres_to(place(0.0, 1.0)));
    }

    #[test]
    fn what_is_no_place_is_none() {
        let degrees = |whole: i64| Some(Decimal(whole * 1_000_000));
        for (latitude, longitude) in [
            (None, degrees(1)),
            (degrees(1), None),
            (degrees(91), degrees(0)),
            (degrees(0), degrees(-181)),
            (degrees(100_000), degrees(0)),
        ] {
            assert_eq!(Place::of(latitude, longitude), None);
        }
        assert!(Place::of(degrees(-90), degrees(180)).is_some());
    }
}
