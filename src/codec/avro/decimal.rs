//! Decimals: two's complement bytes, most significant first, from and to digits with a point.

use crate::record::Text;

/// Most digits of a decimal.
pub(super) const DIGITS_MAX: usize = 300;
/// Bytes that so many digits need at most.
const BYTES_MAX: usize = 128;
/// Digits are made nine at a time.
const CHUNK: u64 = 1_000_000_000;

/// The digits of an unscaled number; `None` for one that is larger than any decimal.
pub(super) fn text(bytes: &[u8], scale: usize) -> Option<Text> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let skipped = bytes.iter().take_while(|byte| **byte == if negative { 0xff } else { 0 }).count();
    if bytes.len() - skipped > BYTES_MAX {
        return None;
    }
    // The magnitude; of a negative number the complement plus one, with the sign's byte for what the one carries into.
    let mut magnitude = vec![0; 1];
    magnitude.extend(bytes[skipped..].iter().map(|byte| if negative { !byte } else { *byte }));
    if negative {
        for byte in magnitude.iter_mut().rev() {
            let (sum, carried) = byte.overflowing_add(1);
            *byte = sum;
            if !carried {
                break;
            }
        }
    }
    let mut chunks = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u64;
        for byte in &mut magnitude {
            let part = rest << 8 | u64::from(*byte);
            *byte = u8::try_from(part / CHUNK).expect("the rest is below the divisor");
            rest = part % CHUNK;
        }
        chunks.push(rest);
    }
    let mut digits = String::new();
    for (place, chunk) in chunks.iter().rev().enumerate() {
        digits += &if place == 0 { chunk.to_string() } else { format!("{chunk:09}") };
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if negative { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }.into())
}

/// A number as text with exactly `scale` digits behind the point; `None` where digits would be lost or there are too many.
pub(super) fn scaled(text: &str, precision: usize, scale: usize) -> Option<Text> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || rest.ends_with('.') || rest.len() > 2 * DIGITS_MAX {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if fraction.len() > scale || whole.len() + scale > precision {
        return None;
    }
    let is_zero = whole.is_empty() && fraction.is_empty();
    let (sign, whole) = (if is_zero { "" } else { sign }, if whole.is_empty() { "0" } else { whole });
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0<scale$}") }.into())
}

/// The bytes of what [`scaled`] gave: as few as there can be, or as many as a `fixed` has; `None` where it does not fit there.
pub(super) fn bytes(text: &str, size: Option<usize>) -> Option<Vec<u8>> {
    let negative = text.starts_with('-');
    // Little-endian.
    let mut number: Vec<u8> = vec![0];
    for digit in text.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut number {
            let part = u32::from(*byte) * 10 + carry;
            *byte = (part & 0xff) as u8;
            carry = part >> 8;
        }
        if carry > 0 {
            number.push(u8::try_from(carry).expect("below ten"));
        }
    }
    number.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut number {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let filling = if negative { 0xff } else { 0 };
    let is_spare = |number: &[u8]| match number {
        [.., below, top] => *top == filling && (below & 0x80 != 0) == negative,
        _ => false,
    };
    while is_spare(&number) {
        number.pop();
    }
    if let Some(size) = size {
        if number.len() > size {
            return None;
        }
        number.resize(size, filling);
    }
    number.reverse();
    Some(number)
}
