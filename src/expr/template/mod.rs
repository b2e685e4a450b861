//! Templates: YAML values whose strings may compute (`language.md` §2).
//!
//! A template is compiled once, its constant parts into values; evaluating it gives a value of the JSON model, so that what
//! is written is what was checked: moments, lengths of time and bytes are text, doubles are finite.

mod source;

use super::code::Val;
use super::error::{EvalError, Kind, Res, fail};
use super::eval::{Names, measure};
use super::fuel::{Fuel, RESULT_BYTES_MAX};
use super::functions::string_of;
use super::program::{Fields, Read};
use super::{Finding, Program, Scope, Type};
use crate::record::{Map, Text, Value, duration_text, timestamp_text};
use base64::Engine as _;

/// A template as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplateSource {
    /// A scalar that is no text.
    Literal(Value),
    /// A text, which may compute.
    Text {
        /// The scalar, as YAML gave it.
        text: String,
        /// The caller's number of it, which findings and errors bring back.
        place: u32,
    },
    /// A list.
    List(Vec<TemplateSource>),
    /// A map. Keys are literal.
    Map(Vec<(Text, TemplateSource)>),
}

/// A finding in a scalar of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The number that the source gave the scalar.
    pub place: u32,
    /// What is wrong there.
    pub finding: Finding,
}

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    part: Part,
    reads: Vec<Read>,
}

#[derive(Debug)]
enum Part {
    Const(Value),
    Program(Program, u32),
    Text(Vec<Piece>, u32),
    List(Vec<Part>),
    /// Sorted by key.
    Map(Vec<(Text, Part)>),
}

/// A piece of a text.
#[derive(Debug)]
enum Piece {
    Literal(String),
    Program(Program),
}

impl Template {
    /// Compiles a template: the template (`None` when a finding is an error), the type of what it gives (optional where it
    /// may give nothing), and all findings.
    pub fn compile(source: &TemplateSource, scope: &Scope) -> (Option<Template>, Type, Vec<Placed>) {
        source::compile(source, scope)
    }

    /// A template that gives a constant.
    pub fn constant(value: Value) -> Self {
        Self { part: Part::Const(value), reads: Vec::new() }
    }

    /// Evaluates. `None` when the whole is one expression that gave an empty optional.
    pub fn eval(&self, names: &dyn Names, fuel: &mut Fuel) -> Result<Option<Value>, EvalError> {
        if let Part::Const(value) = &self.part {
            return Ok(Some(value.clone()));
        }
        let mut left = RESULT_BYTES_MAX;
        self.part.eval(names, fuel, &mut left)
    }

    /// The names that it reads, each once.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// The value, where nothing in it computes.
    pub fn as_const(&self) -> Option<&Value> {
        match &self.part {
            Part::Const(value) => Some(value),
            _ => None,
        }
    }

    fn new(part: Part) -> Self {
        let mut reads = Vec::new();
        part.add_reads(&mut reads);
        Self { part, reads }
    }
}

impl Part {
    fn eval(&self, names: &dyn Names, fuel: &Fuel, left: &mut usize) -> Result<Option<Value>, EvalError> {
        Ok(Some(match self {
            Self::Const(value) => {
                taken(&Val::Ref(value), left).map_err(|error| *error)?;
                value.clone()
            }
            Self::Program(program, place) => {
                let value = program.run(names, fuel, |value| plain(value, left)).map_err(|error| at(error, *place))?;
                if program.is_optional() && value.is_null() {
                    return Ok(None);
                }
                value
            }
            Self::Text(pieces, place) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Program(program) => program
                            .run(names, fuel, |value| {
                                let filled = string_of(&value, fuel)?;
                                let filled = filled.as_str().expect("`string` gives text");
                                fuel.build(text.len() + filled.len())?;
                                text.push_str(filled);
                                Ok(())
                            })
                            .map_err(|error| at(error, *place))?,
                    }
                }
                let value = Val::Own(text.into());
                taken(&value, left).map_err(|error| at(*error, *place))?;
                value.into_owned()
            }
            Self::List(parts) => {
                let mut items = Vec::with_capacity(parts.len());
                for part in parts {
                    items.extend(part.eval(names, fuel, left)?);
                }
                Value::list(items)
            }
            Self::Map(parts) => {
                let mut entries = Vec::with_capacity(parts.len());
                for (key, part) in parts {
                    if let Some(value) = part.eval(names, fuel, left)? {
                        *left = left.saturating_sub(key.len() + 3);
                        entries.push((key.clone(), value));
                    }
                }
                Value::Map(Map::from_entries(entries))
            }
        }))
    }

    fn add_reads(&self, into: &mut Vec<Read>) {
        let mut add = |program: &Program| {
            for read in program.reads() {
                merge_read(into, read);
            }
        };
        match self {
            Self::Const(_) => {}
            Self::Program(program, _) => add(program),
            Self::Text(pieces, _) => {
                for piece in pieces {
                    if let Piece::Program(program) = piece {
                        add(program);
                    }
                }
            }
            Self::List(parts) => parts.iter().for_each(|part| part.add_reads(into)),
            Self::Map(parts) => parts.iter().for_each(|(_, part)| part.add_reads(into)),
        }
    }
}

fn merge_read(into: &mut Vec<Read>, read: &Read) {
    let Some(known) = into.iter_mut().find(|known| known.slot == read.slot) else {
        into.push(read.clone());
        return;
    };
    match (&mut known.fields, &read.fields) {
        (fields, Fields::All) => *fields = Fields::All,
        (Fields::All, _) => {}
        (Fields::Some(known), Fields::Some(more)) => {
            for field in more {
                if !known.contains(field) {
                    known.push(field.clone());
                }
            }
        }
    }
}

fn at(mut error: EvalError, place: u32) -> EvalError {
    error.place = Some(place);
    error
}

/// Counts a value against what is left of the result's size; is it made of JSON's kinds alone?
fn taken(value: &Val<'_>, left: &mut usize) -> Res<bool> {
    measure(value, left, 0)
}

/// The value in the JSON model.
fn plain(value: Val<'_>, left: &mut usize) -> Res<Value> {
    if taken(&value, left)? { Ok(value.into_owned()) } else { normal(&value) }
}

/// Rebuilds a value of bounded size without the kinds that JSON lacks.
fn normal(value: &Value) -> Res<Value> {
    Ok(match value {
        Value::Timestamp(moment) => timestamp_text(*moment).into(),
        Value::Duration(length) => duration_text(*length).into(),
        Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        Value::Double(number) if !number.is_finite() => {
            return fail(Kind::NotFinite, "NaN and infinities cannot be written");
        }
        Value::List(items) => Value::list(items.iter().map(normal).collect::<Res<_>>()?),
        Value::Map(map) => Value::Map(map.iter().map(|(key, value)| Ok((key.clone(), normal(value)?))).collect::<Res<_>>()?),
        other => other.clone(),
    })
}
