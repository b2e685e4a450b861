//! Parts of moments and lengths of time.

use super::{Function, Kinds, Style, function, text_of};
use crate::expr::Type;
use crate::expr::code::Val;
use crate::expr::error::{Kind, Res, fail};
use crate::expr::fuel::Fuel;
use crate::expr::ops;
use crate::record::Value;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Zoned};

const T: &[Kinds] = &[Kinds::TIMESTAMP, Kinds::STRING];
/// Of lengths of time these give the whole length in that unit.
const TD: &[Kinds] = &[Kinds::TIMESTAMP.or(Kinds::DURATION), Kinds::STRING];

macro_rules! part {
    ($name:literal, $params:expr, $of_moment:expr) => {
        function($name, Style::Member, $params, |_| Type::Int, |args, fuel| part($name, args, fuel, $of_moment, None))
            .optional(1)
    };
    ($name:literal, $params:expr, $of_moment:expr, $of_length:expr) => {
        function(
            $name,
            Style::Member,
            $params,
            |_| Type::Int,
            |args, fuel| part($name, args, fuel, $of_moment, Some($of_length)),
        )
        .optional(1)
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    part!("getFullYear", T, |moment| i64::from(moment.year())),
    part!("getMonth", T, |moment| i64::from(moment.month()) - 1),
    part!("getDate", T, |moment| i64::from(moment.day())),
    part!("getDayOfMonth", T, |moment| i64::from(moment.day()) - 1),
    part!("getDayOfWeek", T, |moment| i64::from(moment.weekday().to_sunday_zero_offset())),
    part!("getDayOfYear", T, |moment| i64::from(moment.day_of_year()) - 1),
    part!("getHours", TD, |moment| i64::from(moment.hour()), |length| length.as_hours()),
    part!("getMinutes", TD, |moment| i64::from(moment.minute()), |length| length.as_mins()),
    part!("getSeconds", TD, |moment| i64::from(moment.second()), |length| length.as_secs()),
    part!("getMilliseconds", TD, |moment| i64::from(moment.millisecond()), |length| {
        // A length is at most 64 bits of seconds; beyond 64 bits of milliseconds there is none that can be written.
        i64::try_from(length.as_millis()).unwrap_or(if length.is_negative() { i64::MIN } else { i64::MAX })
    }),
];

fn part(
    name: &str,
    args: &[Val<'_>],
    fuel: &Fuel,
    of_moment: fn(&Zoned) -> i64,
    of_length: Option<fn(&SignedDuration) -> i64>,
) -> Res<Value> {
    match (&*args[0], of_length, args.get(1)) {
        (Value::Timestamp(moment), _, zone_name) => {
            let zone = match zone_name {
                None => TimeZone::UTC,
                Some(name) => match zone(text_of("a time zone", name, fuel)?) {
                    Some(zone) => zone,
                    None => return fail(Kind::Conversion, "this string is no time zone"),
                },
            };
            Ok(Value::Int(of_moment(&moment.to_zoned(zone))))
        }
        (Value::Duration(length), Some(of_length), None) => Ok(Value::Int(of_length(length))),
        (other, _, _) => ops::no_overload(name, &[other]),
    }
}

/// A time zone by name (`Europe/Berlin`) or as a distance from UTC (`+02:00`, `-8:00`, `02:00`).
pub(in crate::expr) fn zone(name: &str) -> Option<TimeZone> {
    if let Some((hours, minutes)) = name.split_once(':') {
        let negative = hours.starts_with('-');
        let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok().filter(|hours| (0..=24).contains(hours))?;
        let minutes: i32 = minutes.parse().ok().filter(|minutes| (0..60).contains(minutes))?;
        let seconds = (hours * 60 + minutes) * 60;
        return Offset::from_seconds(if negative { -seconds } else { seconds }).ok().map(TimeZone::fixed);
    }
    if name.eq_ignore_ascii_case("UTC") {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).ok()
}
