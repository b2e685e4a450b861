//! Names of `expr` until that room is there.

/// A compiled expression.
#[derive(Clone, Debug, Default)]
pub struct Program;
/// A compiled template.
#[derive(Clone, Debug, Default)]
pub struct Template;
/// Where a frame keeps a value.
pub type Slot = usize;
/// The type of an expression.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Type;
