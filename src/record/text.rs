//! How moments and lengths of time are written and read: one form everywhere (`language.md` §1, §2).

use jiff::{SignedDuration, Timestamp};

/// RFC 3339 in UTC, with as many fractional digits as are needed: `2026-11-21T08:00:00.25Z`.
pub fn timestamp_text(moment: Timestamp) -> String {
    // Years of four digits, which is what there is, are written here: each message has one, and `jiff` takes its time.
    let (seconds, nanos) = (moment.as_second(), moment.subsec_nanosecond());
    if nanos < 0 || !(YEAR_0..YEAR_10000).contains(&seconds) {
        return moment.to_string();
    }
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let mut digits = *b"0000-00-00T00:00:00Z";
    let mut put = |at: usize, number: i64| {
        digits[at] += (number / 10) as u8;
        digits[at + 1] += (number % 10) as u8;
    };
    put(0, year / 100);
    put(2, year % 100);
    put(5, month);
    put(8, day);
    put(11, second / 3_600);
    put(14, second / 60 % 60);
    put(17, second % 60);
    let mut text = String::with_capacity(30);
    text.push_str(std::str::from_utf8(&digits).expect("digits and what stands between them"));
    if nanos > 0 {
        text.pop();
        let (mut digits, mut rest) = (*b".000000000", nanos);
        for digit in digits[1..10].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        let digits = std::str::from_utf8(&digits).expect("a point and digits");
        text.push_str(digits.trim_end_matches('0'));
        text.push('Z');
    }
    text
}

/// Reads an RFC 3339 timestamp, of any offset.
pub fn read_timestamp(text: &str) -> Option<Timestamp> {
    read_utc(text.as_bytes()).or_else(|| text.parse().ok())
}

/// The form that [`timestamp_text`] writes, with seconds below 60; `None` for all others.
fn read_utc(text: &[u8]) -> Option<Timestamp> {
    let (date, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let number = |from: usize, to: usize| {
        date[from..to].iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    if [date[4], date[7], date[10], date[13], date[16]] != *b"--T::" {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day);
    // A day that its month has not would come back as one of the next.
    if civil(days) != (year, month, day) {
        return None;
    }
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0_i32, |sum, byte| sum * 10 + i32::from(byte - b'0'));
            number * 10_i32.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    Timestamp::new(days * DAY + hour * 3_600 + minute * 60 + second, nanos).ok()
}

/// Seconds of a day.
const DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z in seconds since 1970.
const YEAR_0: i64 = -62_167_219_200;
/// 10000-01-01T00:00:00Z likewise.
const YEAR_10000: i64 = 253_402_300_800;

/// Year, month and day of a day counted from 1970, in the proleptic Gregorian calendar: by eras of 400 years that begin in
/// March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day of a date, counted from 1970: the way back.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + day_of_era - 719_468
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
