//! What a plain scalar is: the core schema, and the words that other readers take for something else.

use crate::record::Value;

/// The value of a plain scalar, and whether YAML 1.1 readers would take it for something else (W101); then what they read.
pub fn resolve(text: &str) -> (Value, Option<&'static str>) {
    match text {
        "" | "~" | "null" => return (Value::Null, None),
        "true" => return (Value::Bool(true), None),
        "false" => return (Value::Bool(false), None),
        _ => {}
    }
    if let Some(number) = integer(text).or_else(|| decimal(text)) {
        return (number, None);
    }
    (Value::from(text), misread(text))
}

fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    if let Some(hex) = digits.strip_prefix("0x") {
        let plain = digits.len() == text.len() && !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        return plain.then(|| i64::from_str_radix(hex, 16).ok()).flatten().map(Value::Int);
    }
    if !all_digits(digits) || leading_zero(digits) {
        return None;
    }
    let magnitude = digits.parse::<i128>().ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok().map(Value::Int)
}

fn decimal(text: &str) -> Option<Value> {
    let (_, unsigned) = sign(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_decimal = mantissa.contains('.') || exponent.is_some();
    let exponent_fits = exponent.is_none_or(|exponent| all_digits(sign(exponent).1));
    let mantissa_fits = digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0 && !leading_zero(whole);
    if !(is_decimal && exponent_fits && mantissa_fits) {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Double)
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn leading_zero(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0')
}

/// What YAML 1.1 readers take a text for.
fn misread(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    // All of its spellings are all lower, all upper, or capitalised.
    let spelt = text == lower || text == text.to_ascii_uppercase() || text.get(1..) == lower.get(1..);
    match lower.as_str() {
        "yes" | "on" | "true" | "y" if spelt => return Some("true"),
        "no" | "off" | "false" | "n" if spelt => return Some("false"),
        "null" if spelt => return Some("nothing"),
        _ => {}
    }
    let (_, unsigned) = sign(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some("a number");
    }
    let starts_with_digit = unsigned.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !starts_with_digit || text.len() > 64 {
        return None;
    }
    let hexadecimal = unsigned.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_'));
    let octal = unsigned.strip_prefix("0o").is_some_and(|octal| octal.bytes().all(|b| b.is_ascii_digit()));
    let binary = unsigned.strip_prefix("0b").is_some_and(|bits| bits.bytes().all(|b| matches!(b, b'0' | b'1' | b'_')));
    let grouped = unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'))
        && unsigned.bytes().filter(|byte| *byte == b'.').count() <= 1;
    let sexagesimal = unsigned.contains(':')
        && unsigned.split(':').enumerate().all(|(at, part)| all_digits(part) && (at == 0 || part.len() <= 2));
    (hexadecimal || octal || binary || grouped || sexagesimal).then_some("a number")
}
