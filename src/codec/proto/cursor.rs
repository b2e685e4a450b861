//! The wire format: tags, numbers and lengths.

use super::DEPTH_MAX;
pub(super) use crate::codec::varint::{self, put as put_varint, unzigzag, zigzag};

/// How the bytes of a field are told from those of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Eight,
    Sized,
    Start,
    End,
    Four,
}

impl Wire {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Varint => 0,
            Self::Eight => 1,
            Self::Sized => 2,
            Self::Start => 3,
            Self::End => 4,
            Self::Four => 5,
        }
    }
}

/// A place in the bytes of a message, and where they end.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: bytes.len() }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// Reads a length and ends after so many bytes; returns where the bytes ended before ([`Cursor::widen`]).
    pub(super) fn narrow(&mut self) -> Result<usize, String> {
        let size = self.size()?;
        let outer = self.end;
        self.end = self.at + size;
        Ok(outer)
    }

    /// All that was narrowed to is read: goes on behind it.
    pub(super) fn widen(&mut self, outer: usize) {
        debug_assert_eq!(self.at, self.end, "what was narrowed to is read to its end");
        self.end = outer;
    }

    pub(super) fn tag(&mut self) -> Result<(u32, Wire), String> {
        let tag = u32::try_from(self.varint()?).map_err(|_| "a tag of more than 32 bits")?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Eight,
            2 => Wire::Sized,
            3 => Wire::Start,
            4 => Wire::End,
            5 => Wire::Four,
            other => return Err(format!("there is no wire type {other}")),
        };
        match tag >> 3 {
            0 => Err("a field has the number 0".into()),
            number => Ok((number, wire)),
        }
    }

    pub(super) fn varint(&mut self) -> Result<u64, String> {
        varint::read(|| Ok(u8::from_le_bytes(self.array()?)))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.sized()?).map_err(|_| "a string that is not UTF-8".into())
    }

    pub(super) fn sized(&mut self) -> Result<&'a [u8], String> {
        let size = self.size()?;
        self.take(size)
    }

    fn size(&mut self) -> Result<usize, String> {
        let size = usize::try_from(self.varint()?).map_err(|_| "a length beyond all bytes")?;
        if size <= self.end - self.at { Ok(size) } else { Err("the bytes end within a value".into()) }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes[self.at..self.end].get(..count).ok_or("the bytes end within a value")?;
        self.at += count;
        Ok(taken)
    }

    /// Passes over a field of which the tag was read.
    pub(super) fn pass(&mut self, number: u32, wire: Wire, depth: usize) -> Result<(), String> {
        match wire {
            Wire::Varint => drop(self.varint()?),
            Wire::Eight => drop(self.take(8)?),
            Wire::Four => drop(self.take(4)?),
            Wire::Sized => drop(self.sized()?),
            Wire::End => return Err("a group ends that did not begin".into()),
            Wire::Start if depth >= DEPTH_MAX => return Err(format!("nested more than {DEPTH_MAX} deep")),
            Wire::Start => loop {
                match self.tag()? {
                    (ended, Wire::End) if ended == number => break,
                    (inner, wire) => self.pass(inner, wire, depth + 1)?,
                }
            },
        }
        Ok(())
    }
}

pub(super) fn put_tag(number: u32, wire: Wire, out: &mut Vec<u8>) {
    put_varint(u64::from(number << 3 | wire.number()), out);
}

/// Appends what `content` appends behind its length, which is known only then: room for the usual single byte is made before.
pub(super) fn put_sized<E>(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let at = out.len();
    out.push(0);
    content(out)?;
    let size = out.len() - at - 1;
    if size < 0x80 {
        out[at] = size as u8;
        return Ok(());
    }
    let mut prefix = Vec::with_capacity(10);
    put_varint(size as u64, &mut prefix);
    out.splice(at..=at, prefix);
    Ok(())
}

/// Deepest message within messages that a schema can have.
const INDEX_MAX: usize = 64;

/// The way to a message in its file, as it stands in front of the message's bytes: places of messages within messages; and what
/// follows. A single 0 stands for the first message of the file.
pub fn index(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
    let mut cursor = Cursor::new(bytes);
    let mut next = || -> Result<usize, String> {
        let number = cursor.varint().map_err(|why| format!("the message's place in its file: {why}"))?;
        usize::try_from(unzigzag(number)).map_err(|_| "the message's place in its file is negative".into())
    };
    let places = match next()? {
        0 => vec![0],
        count if count > INDEX_MAX => return Err("the message's place in its file is too deep".into()),
        count => (0..count).map(|_| next()).collect::<Result<_, _>>()?,
    };
    let used = cursor.at();
    Ok((places, &bytes[used..]))
}

/// The same, written.
pub(super) fn index_bytes(places: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    if places == [0] {
        out.push(0);
        return out;
    }
    let mut put = |number: usize| put_varint(zigzag(i64::try_from(number).expect("places are few")), &mut out);
    put(places.len());
    places.iter().for_each(|place| put(*place));
    out
}
