//! From bytes to values, by a plan.

use super::plan::{Op, RecordOp};
use super::{DEPTH_MAX, Plan};
use crate::codec::varint;
use crate::record::{Map, Text, Value};

/// Values that a record may ask for without bytes of its own: nulls, defaults, empty records.
const FREE_VALUES: usize = 100_000;
/// Further ones per byte.
const VALUES_PER_BYTE: usize = 8;

impl Plan {
    /// Reads one value, which all the bytes are of. The error says what is wrong, and at which byte, without content.
    pub fn read(&self, bytes: &[u8]) -> Result<Value, String> {
        let values = FREE_VALUES + VALUES_PER_BYTE * bytes.len();
        let mut reading = Reading { plan: self, bytes, at: 0, values };
        let value = reading.value(self.root, 0).map_err(|why| format!("byte {}: {why}", reading.at))?;
        match bytes.len() - reading.at {
            0 => Ok(value),
            left => Err(format!("byte {}: {left} bytes are left over", reading.at)),
        }
    }
}

struct Reading<'a> {
    plan: &'a Plan,
    bytes: &'a [u8],
    at: usize,
    /// How many more values may be made.
    values: usize,
}

impl<'a> Reading<'a> {
    fn value(&mut self, op: usize, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep"));
        }
        let plan = self.plan;
        Ok(match &plan.ops[op] {
            Op::Null => Value::Null,
            Op::Bool => Value::Bool(self.bool()?),
            Op::Int => Value::Int(self.int()?),
            Op::Long => Value::Int(self.long()?),
            Op::Widened => Value::Double(self.long()? as f64),
            Op::Float => Value::Double(f64::from(f32::from_le_bytes(self.array()?))),
            Op::Double => Value::Double(f64::from_le_bytes(self.array()?)),
            Op::Bytes => Value::Bytes(self.sized()?.into()),
            Op::Text => Value::Str(Text::new(self.text()?)),
            Op::Fixed(size) => Value::Bytes(self.take(*size)?.into()),
            Op::Enum(symbols) => Value::Str(self.symbol(symbols)?),
            Op::Array(items) => {
                let mut list = Vec::new();
                self.blocks(|reading| {
                    list.push(reading.value(*items, depth + 1)?);
                    Ok(())
                })?;
                Value::list(list)
            }
            Op::Map(values) => {
                let mut entries = Vec::new();
                self.blocks(|reading| {
                    let name = Text::new(reading.text()?);
                    entries.push((name, reading.value(*values, depth + 1)?));
                    Ok(())
                })?;
                Value::Map(Map::from_entries(entries))
            }
            Op::Union(variants) => {
                let variant = self.variant(variants)?;
                self.value(variant, depth + 1)?
            }
            Op::Record(record) => self.record(record, depth)?,
            Op::Logical(logical, carried) => {
                let carried = self.value(*carried, depth + 1)?;
                logical.read(&carried).ok_or_else(|| format!("no {}", logical.kind()))?
            }
            Op::Unreadable(why) => return Err(why.clone()),
        })
    }

    fn record(&mut self, record: &RecordOp, depth: usize) -> Result<Value, String> {
        self.spend(record.template.len())?;
        let mut entries = record.template.clone();
        for (op, slot) in &record.fields {
            match slot {
                Some(slot) => entries[*slot].1 = self.value(*op, depth + 1)?,
                None => self.pass(*op, depth + 1)?,
            }
        }
        // Sorted when the plan was made.
        Ok(Value::Map(Map::from_entries(entries)))
    }

    /// Passes over a value without making it.
    fn pass(&mut self, op: usize, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep"));
        }
        let plan = self.plan;
        match &plan.ops[op] {
            Op::Null => {}
            Op::Bool => drop(self.bool()?),
            Op::Int => drop(self.int()?),
            Op::Long | Op::Widened => drop(self.long()?),
            Op::Float => drop(self.take(4)?),
            Op::Double => drop(self.take(8)?),
            Op::Bytes | Op::Text => drop(self.sized()?),
            Op::Fixed(size) => drop(self.take(*size)?),
            Op::Enum(symbols) => drop(self.symbol(symbols)?),
            Op::Array(items) => self.blocks(|reading| reading.pass(*items, depth + 1))?,
            Op::Map(values) => self.blocks(|reading| {
                reading.sized()?;
                reading.pass(*values, depth + 1)
            })?,
            Op::Union(variants) => {
                let variant = self.variant(variants)?;
                self.pass(variant, depth + 1)?;
            }
            Op::Record(record) => {
                for (op, _) in &record.fields {
                    self.pass(*op, depth + 1)?;
                }
            }
            Op::Logical(_, carried) => self.pass(*carried, depth + 1)?,
            Op::Unreadable(why) => return Err(why.clone()),
        }
        Ok(())
    }

    /// The blocks of an array or a map. A negative count is followed by the block's size, which is of no use here.
    fn blocks(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        loop {
            let mut count = self.long()?;
            if count < 0 {
                count = count.checked_neg().ok_or("a block of too many items")?;
                if self.long()? < 0 {
                    return Err("a block of negative size".into());
                }
            }
            if count == 0 {
                return Ok(());
            }
            // Before the first: a count is one number, whatever it promises.
            self.spend(usize::try_from(count).map_err(|_| "a block of too many items")?)?;
            for _ in 0..count {
                each(self)?;
            }
        }
    }

    fn spend(&mut self, values: usize) -> Result<(), String> {
        self.values = self.values.checked_sub(values).ok_or("more values than a record of this size may have")?;
        Ok(())
    }

    fn variant(&mut self, variants: &[usize]) -> Result<usize, String> {
        let place = self.long()?;
        let variant = usize::try_from(place).ok().and_then(|place| variants.get(place)).copied();
        variant.ok_or_else(|| "a union has no such variant".into())
    }

    fn symbol(&mut self, symbols: &[Option<Text>]) -> Result<Text, String> {
        let place = self.int()?;
        let symbol = usize::try_from(place).ok().and_then(|place| symbols.get(place)).ok_or("an enum has no such symbol")?;
        symbol.clone().ok_or_else(|| "a symbol that the reader's enum does not have".into())
    }

    fn bool(&mut self) -> Result<bool, String> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("no boolean".into()),
        }
    }

    fn int(&mut self) -> Result<i64, String> {
        let number = self.long()?;
        if i32::try_from(number).is_ok() { Ok(number) } else { Err("an int of more than 32 bits".into()) }
    }

    fn long(&mut self) -> Result<i64, String> {
        varint::read(|| Ok(u8::from_le_bytes(self.array()?))).map(varint::unzigzag)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.sized()?).map_err(|_| "a string that is not UTF-8".into())
    }

    fn sized(&mut self) -> Result<&'a [u8], String> {
        let size = usize::try_from(self.long()?).map_err(|_| "a size that is negative")?;
        self.take(size)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or("the bytes end within a value")?;
        self.at += count;
        Ok(taken)
    }
}
