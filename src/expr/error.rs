//! What can go wrong while an expression runs.

use std::ops::Range;

/// Kind of a failed evaluation; its [`name`](Kind::name) stands in the details of an `EXPRESSION_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A field, key or value that is not there was read.
    MissingField,
    /// No meaning for operands of these kinds.
    NoOverload,
    /// A result beyond 64 bits, or a moment beyond the calendar.
    Overflow,
    /// Text that does not mean what it was converted to.
    Conversion,
    /// An index outside a list or a text.
    Index,
    /// More steps than allowed.
    Fuel,
    /// A result, or what was built on the way to it, is larger than allowed.
    TooLarge,
    /// An integer beyond 64 bits was read.
    NumberRange,
    /// NaN or an infinity was to be written.
    NotFinite,
    /// `min`, `max` or `avg` of nothing.
    Empty,
    /// Division by zero.
    DivideByZero,
}

impl Kind {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingField => "MISSING_FIELD",
            Self::NoOverload => "NO_OVERLOAD",
            Self::Overflow => "OVERFLOW",
            Self::Conversion => "CONVERSION",
            Self::Index => "INDEX",
            Self::Fuel => "FUEL",
            Self::TooLarge => "TOO_LARGE",
            Self::NumberRange => "NUMBER_RANGE",
            Self::NotFinite => "NOT_FINITE",
            Self::Empty => "EMPTY",
            Self::DivideByZero => "DIVIDE_BY_ZERO",
        }
    }
}

/// A failed evaluation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What kind of failure it is.
    pub kind: Kind,
    /// Lower case, no full stop; names fields and kinds, never contents of a payload.
    pub message: String,
    /// Bytes of the expression's text that failed.
    pub range: Range<usize>,
    /// Which scalar of a template the text is, as its source numbered them; `None` of a lone expression.
    pub place: Option<u32>,
}

impl EvalError {
    /// A failure whose place is not known yet.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), range: 0..0, place: None }
    }
}

/// Inside the room errors are boxed: a result is then as small as a value.
pub(super) type Res<T> = Result<T, Box<EvalError>>;

pub(super) fn fail<T>(kind: Kind, message: impl Into<String>) -> Res<T> {
    Err(Box::new(EvalError::new(kind, message)))
}
