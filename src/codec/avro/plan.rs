//! How values of a writer's schema become values of a reader's.

use super::shape::Named;
use super::{DEPTH_MAX, Field, Logical, Schema, Shape};
use crate::record::{Text, Value};
use rustc_hash::FxHashMap;

/// Most operations of a plan.
const OPS_MAX: usize = 50_000;

/// Reads what one schema wrote as another one has it; made once, run for each record.
#[derive(Debug)]
pub struct Plan {
    pub(super) ops: Vec<Op>,
    pub(super) root: usize,
}

/// What is done with the bytes at hand; parts are indexes.
#[derive(Debug)]
pub(super) enum Op {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    /// An integer where the reader has a double.
    Widened,
    Bytes,
    Text,
    Fixed(usize),
    /// By place: the symbol, if the reader knows it or has one for all others.
    Enum(Vec<Option<Text>>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(RecordOp),
    /// What the bytes carry, and what it means.
    Logical(Logical, usize),
    /// What the reader has no place for: whoever writes it cannot be read.
    Unreadable(String),
}

/// A record.
#[derive(Debug)]
pub(super) struct RecordOp {
    /// The reader's fields in the order of their names, with what they are where the writer has none.
    pub(super) template: Vec<(Text, Value)>,
    /// The writer's fields in its order, each with its place in the template; `None`: read and dropped.
    pub(super) fields: Vec<(usize, Option<usize>)>,
}

impl Plan {
    /// Compares two schemas. `Err` says why nothing that `writer` wrote can be read; what cannot be read of some values only is
    /// found with those.
    pub fn new(writer: &Schema, reader: &Schema) -> Result<Self, String> {
        let mut making = Making { writer, reader, ops: Vec::new(), known: FxHashMap::default(), alone: FxHashMap::default() };
        let root = making.pair(writer.root(), reader.root(), 0)?;
        match &making.ops[root] {
            Op::Unreadable(why) => Err(why.clone()),
            _ => Ok(Self { ops: making.ops, root }),
        }
    }

    /// Values as their writer meant them.
    pub fn of_writer(writer: &Schema) -> Result<Self, String> {
        Self::new(writer, writer)
    }
}

struct Making<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
    ops: Vec<Op>,
    /// Pairs that have been compared, or are being: a type may contain itself.
    known: FxHashMap<(usize, usize), usize>,
    /// The same of what is only passed over.
    alone: FxHashMap<usize, usize>,
}

impl Making<'_> {
    fn add(&mut self, op: Op) -> Result<usize, String> {
        if self.ops.len() >= OPS_MAX {
            return Err(format!("the two schemas differ in more than {OPS_MAX} ways"));
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    fn pair(&mut self, write: usize, read: usize, depth: usize) -> Result<usize, String> {
        if let Some(op) = self.known.get(&(write, read)) {
            return Ok(*op);
        }
        if depth > DEPTH_MAX {
            return Err(format!("types within each other more than {DEPTH_MAX} deep"));
        }
        // Its place is taken first, for those of its parts that lead back to it.
        let at = self.add(Op::Null)?;
        self.known.insert((write, read), at);
        self.ops[at] = self.compared(write, read, depth + 1)?;
        Ok(at)
    }

    fn compared(&mut self, write: usize, read: usize, depth: usize) -> Result<Op, String> {
        let (writer, reader) = (self.writer, self.reader);
        Ok(match (writer.shape(write), reader.shape(read)) {
            (Shape::Union(variants), _) => {
                let ops = variants.iter().map(|variant| self.pair(*variant, read, depth));
                Op::Union(ops.collect::<Result<_, _>>()?)
            }
            (theirs, Shape::Union(variants)) => {
                let exact = variants.iter().find(|variant| self.is_like(write, **variant, true));
                match exact.or_else(|| variants.iter().find(|variant| self.is_like(write, **variant, false))) {
                    Some(variant) => return self.compared(write, *variant, depth),
                    None => Op::Unreadable(format!("the reader's union has no variant for {}", called(theirs))),
                }
            }
            (Shape::Logical(theirs, inner), Shape::Logical(ours, other)) if theirs.is_same_kind(*ours) => {
                if let (Shape::Fixed(theirs, a), Shape::Fixed(ours, b)) = (writer.shape(*inner), reader.shape(*other))
                    && (a != b || !matches(theirs, ours))
                {
                    return Ok(Op::Unreadable(format!("`{}` and `{}` differ", theirs.full, ours.full)));
                }
                Op::Logical(*theirs, self.alone(*inner, depth)?)
            }
            (Shape::Logical(theirs @ Logical::Decimal { .. }, _), Shape::Logical(ours @ Logical::Decimal { .. }, _)) => {
                Op::Unreadable(format!("{theirs:?} where the reader has {ours:?}"))
            }
            // The meaning that one of them lacks is dropped, or added.
            (Shape::Logical(_, inner), _) => return self.compared(*inner, read, depth),
            (_, Shape::Logical(ours, other)) => {
                let carried = self.pair(write, *other, depth)?;
                match &self.ops[carried] {
                    Op::Unreadable(why) => Op::Unreadable(why.clone()),
                    _ => Op::Logical(*ours, carried),
                }
            }
            (Shape::Array(items), Shape::Array(wanted)) => Op::Array(self.pair(*items, *wanted, depth)?),
            (Shape::Map(values), Shape::Map(wanted)) => Op::Map(self.pair(*values, *wanted, depth)?),
            (Shape::Fixed(theirs, a), Shape::Fixed(ours, b)) if a == b && matches(theirs, ours) => Op::Fixed(*a),
            (Shape::Enum { name, symbols, .. }, Shape::Enum { name: ours, symbols: known, default }) if matches(name, ours) => {
                let known = |symbol: &Text| known.iter().find(|known| *known == symbol).or(default.as_ref()).cloned();
                Op::Enum(symbols.iter().map(known).collect())
            }
            (Shape::Record(name, fields), Shape::Record(ours, wanted)) if matches(name, ours) => {
                self.record(fields, ours, wanted, depth)?
            }
            (Shape::Int | Shape::Long, Shape::Float | Shape::Double) => Op::Widened,
            (Shape::Float, Shape::Double) => Op::Float,
            (Shape::Int, Shape::Long) => Op::Long,
            (Shape::Text, Shape::Bytes) => Op::Bytes,
            (Shape::Bytes, Shape::Text) => Op::Text,
            (theirs, ours) => simple(theirs, ours)
                .unwrap_or_else(|| Op::Unreadable(format!("{} where the reader has {}", called(theirs), called(ours)))),
        })
    }

    fn record(&mut self, fields: &[Field], ours: &Named, wanted: &[Field], depth: usize) -> Result<Op, String> {
        let mut template: Vec<(Text, Value)> = Vec::with_capacity(wanted.len());
        let mut pairs: Vec<Option<usize>> = vec![None; fields.len()];
        for (place, field) in wanted.iter().enumerate() {
            let by_name = fields.iter().position(|theirs| theirs.name == field.name);
            let by_alias = || fields.iter().position(|theirs| field.aliases.contains(&theirs.name));
            match by_name.or_else(by_alias) {
                Some(theirs) => pairs[theirs] = Some(place),
                None if field.default.is_none() => {
                    let why = format!("the writer has no field `{}` of `{}`, and it has no default", field.name, ours.full);
                    return Ok(Op::Unreadable(why));
                }
                None => {}
            }
            template.push((field.name.clone(), field.default.clone().unwrap_or_default()));
        }
        template.sort_by(|a, b| a.0.cmp(&b.0));
        let mut steps = Vec::with_capacity(fields.len());
        for (field, place) in fields.iter().zip(pairs) {
            steps.push(match place {
                None => (self.alone(field.shape, depth)?, None),
                Some(place) => {
                    let name = &wanted[place].name;
                    let slot = template.iter().position(|(known, _)| known == name).expect("each of its fields is in it");
                    let op = self.pair(field.shape, wanted[place].shape, depth)?;
                    if let Op::Unreadable(why) = &self.ops[op] {
                        return Ok(Op::Unreadable(format!("field `{name}` of `{}`: {why}", ours.full)));
                    }
                    (op, Some(slot))
                }
            });
        }
        Ok(Op::Record(RecordOp { template, fields: steps }))
    }

    /// The writer's shape as it is, to be passed over or to carry something.
    fn alone(&mut self, write: usize, depth: usize) -> Result<usize, String> {
        if let Some(op) = self.alone.get(&write) {
            return Ok(*op);
        }
        if depth > DEPTH_MAX {
            return Err(format!("types within each other more than {DEPTH_MAX} deep"));
        }
        let at = self.add(Op::Null)?;
        self.alone.insert(write, at);
        let writer = self.writer;
        let depth = depth + 1;
        self.ops[at] = match writer.shape(write) {
            Shape::Logical(_, inner) => return self.alias(at, write, *inner, depth),
            Shape::Array(items) => Op::Array(self.alone(*items, depth)?),
            Shape::Map(values) => Op::Map(self.alone(*values, depth)?),
            Shape::Union(variants) => {
                Op::Union(variants.iter().map(|variant| self.alone(*variant, depth)).collect::<Result<_, _>>()?)
            }
            Shape::Enum { symbols, .. } => Op::Enum(symbols.iter().map(|symbol| Some(symbol.clone())).collect()),
            Shape::Fixed(_, size) => Op::Fixed(*size),
            Shape::Record(_, fields) => {
                let fields = fields.iter().map(|field| Ok((self.alone(field.shape, depth)?, None)));
                Op::Record(RecordOp { template: Vec::new(), fields: fields.collect::<Result<_, String>>()? })
            }
            plain => simple(plain, plain).expect("what has no parts is like itself"),
        };
        Ok(at)
    }

    /// What carries a meaning nobody asks for.
    fn alias(&mut self, at: usize, write: usize, inner: usize, depth: usize) -> Result<usize, String> {
        debug_assert!(matches!(self.ops[at], Op::Null), "its place was taken and is not used");
        let op = self.alone(inner, depth)?;
        self.alone.insert(write, op);
        Ok(op)
    }

    /// Is the writer's type the reader's (`exact`), or one that becomes it? By the outside; parts may still differ.
    fn is_like(&self, write: usize, read: usize, exact: bool) -> bool {
        let (theirs, ours) = (self.writer.shape(write), self.reader.shape(read));
        match (theirs, ours) {
            (Shape::Logical(theirs, _), Shape::Logical(ours, _)) => theirs.is_same_kind(*ours),
            (Shape::Logical(_, inner), _) => !exact && self.is_like(*inner, read, false),
            (_, Shape::Logical(_, inner)) => !exact && self.is_like(write, *inner, false),
            (Shape::Array(_), Shape::Array(_)) | (Shape::Map(_), Shape::Map(_)) => true,
            (Shape::Fixed(theirs, a), Shape::Fixed(ours, b)) => a == b && matches(theirs, ours),
            (Shape::Enum { name: theirs, .. }, Shape::Enum { name: ours, .. })
            | (Shape::Record(theirs, _), Shape::Record(ours, _)) => {
                if exact {
                    theirs.full == ours.full
                } else {
                    matches(theirs, ours)
                }
            }
            (Shape::Int, Shape::Long | Shape::Float | Shape::Double)
            | (Shape::Long, Shape::Float | Shape::Double)
            | (Shape::Float, Shape::Double)
            | (Shape::Text, Shape::Bytes)
            | (Shape::Bytes, Shape::Text) => !exact,
            (theirs, ours) => simple(theirs, ours).is_some(),
        }
    }
}

/// Types without parts that are the same.
fn simple(theirs: &Shape, ours: &Shape) -> Option<Op> {
    Some(match (theirs, ours) {
        (Shape::Null, Shape::Null) => Op::Null,
        (Shape::Bool, Shape::Bool) => Op::Bool,
        (Shape::Int, Shape::Int) => Op::Int,
        (Shape::Long, Shape::Long) => Op::Long,
        (Shape::Float, Shape::Float) => Op::Float,
        (Shape::Double, Shape::Double) => Op::Double,
        (Shape::Bytes, Shape::Bytes) => Op::Bytes,
        (Shape::Text, Shape::Text) => Op::Text,
        _ => return None,
    })
}

/// Named types match by their names without namespace, or by a former name of the reader's.
fn matches(theirs: &Named, ours: &Named) -> bool {
    let short = |name: &Text| name.rsplit('.').next().unwrap_or_default().to_owned();
    short(&theirs.full) == short(&ours.full) || ours.aliases.contains(&theirs.full)
}

fn called(shape: &Shape) -> String {
    match shape.name() {
        Some(name) => format!("{} `{}`", shape.kind(), name.full),
        None => format!("`{}`", shape.kind()),
    }
}

impl Logical {
    /// Do they mean the same, whatever the unit? Decimals have one scale.
    fn is_same_kind(self, other: Self) -> bool {
        match (self, other) {
            (Self::Moment(_), Self::Moment(_)) | (Self::TimeOfDay(_), Self::TimeOfDay(_)) => true,
            // More digits than the reader's schema has are digits all the same.
            (Self::Decimal { scale: theirs, .. }, Self::Decimal { scale: ours, .. }) => theirs == ours,
            (a, b) => a == b,
        }
    }
}
