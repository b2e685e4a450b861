//! How moments and lengths of time are written and read: one form everywhere (`language.md` §1, §2).

use jiff::{SignedDuration, Timestamp};

/// RFC 3339 in UTC, with as many fractional digits as are needed: `2026-11-21T08:00:00.25Z`.
pub fn timestamp_text(moment: Timestamp) -> String {
    moment.to_string()
}

/// The duration as Protobuf's JSON has it: seconds with an `s`, `90s`, `0.25s`, `-1.5s`.
pub fn duration_text(length: SignedDuration) -> String {
    let sign = if length.is_negative() { "-" } else { "" };
    let (seconds, nanos) = (length.as_secs().unsigned_abs(), length.subsec_nanos().unsigned_abs());
    if nanos == 0 {
        return format!("{sign}{seconds}s");
    }
    let digits = format!("{nanos:09}");
    format!("{sign}{seconds}.{}s", digits.trim_end_matches('0'))
}

/// Reads `100ms`, `30s`, `1.5h`, `1h30m`, `7d`, with an optional leading `-`: numbers with a unit (`d h m s ms us ns`), at
/// least one, each unit after a larger one.
///
/// `None` for anything else, a bare number and what does not fit 64 bits of nanoseconds included.
pub fn parse_duration(text: &str) -> Option<SignedDuration> {
    const UNITS: [(&str, i128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut nanos: i128 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() || next_unit == 0 {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let place = UNITS.iter().position(|(name, _)| *name == unit)?;
        if place < next_unit || number.is_empty() {
            return None;
        }
        next_unit = place + 1;
        nanos = nanos.checked_add(scaled(number, UNITS[place].1)?)?;
        rest = tail;
    }
    let nanos = i64::try_from(if negative { -nanos } else { nanos }).ok()?;
    Some(SignedDuration::from_nanos(nanos))
}

/// A decimal number times a unit of nanoseconds, exactly; `None` where a part of a nanosecond would be lost.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) || number.len() > 24 {
        return None;
    }
    let power = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let parts = fraction.checked_mul(unit)?;
    if parts % power != 0 {
        return None;
    }
    whole.parse::<i128>().ok()?.checked_mul(unit)?.checked_add(parts / power)
}
