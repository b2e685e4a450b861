//! The names that an expression may read, with their types.

use super::names::{self, FIRST_LOCAL, RESERVED, Slot};
use super::{Finding, Type};
use crate::record::Text;

/// Names in scope. Cheap enough to clone for a branch that adds its own.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    names: Vec<(Text, Slot, Type)>,
    locals: u16,
}

impl Scope {
    /// A scope without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a name of the language; its type is replaced where it was there.
    pub fn with(mut self, slot: Slot, ty: Type) -> Self {
        self.set(slot, ty);
        self
    }

    /// Gives a name of the language, or a local, another type (`data` after `validate`).
    ///
    /// # Panics
    /// When the slot is of a local that was not declared here.
    pub fn set(&mut self, slot: Slot, ty: Type) {
        match self.names.iter_mut().find(|(_, known, _)| *known == slot) {
            Some((_, _, known)) => *known = ty,
            None => {
                let name = names::name(slot).expect("a slot of the language, or a local of this scope");
                self.names.push((name.into(), slot, ty));
            }
        }
    }

    /// Adds a local, whose name was [`checked`](Self::check_name), and returns its slot: locals are numbered from
    /// [`FIRST_LOCAL`] in the order declared.
    pub fn local(&mut self, name: &str, ty: Type) -> Slot {
        let slot = Slot(FIRST_LOCAL.0 + self.locals);
        self.locals = self.locals.checked_add(1).expect("fewer locals than nodes of a file, which are bounded");
        self.names.push((name.into(), slot, ty));
        slot
    }

    /// What speaks against a new local of that name: no identifier (E114), a reserved word (E310), or it hides a name in
    /// scope (E309).
    pub fn check_name(&self, name: &str) -> Option<Finding> {
        let whole = 0..name.len();
        let mut letters = name.bytes();
        let starts = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
        if !starts || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_') {
            let message = format!("`{name}` cannot be a name in expressions");
            return Some(Finding::new("E114", whole, message).hint("letters, digits and `_`, no digit first"));
        }
        if RESERVED.contains(&name) {
            return Some(Finding::new("E310", whole, format!("`{name}` is a reserved word of expressions")));
        }
        self.find(name)
            .map(|_| Finding::new("E309", whole, format!("`{name}` hides a name in scope")).hint("choose another name"))
    }

    /// Slot and type of a name in scope.
    pub fn find(&self, name: &str) -> Option<(Slot, &Type)> {
        self.names.iter().rev().find(|(known, _, _)| known == name).map(|(_, slot, ty)| (*slot, ty))
    }

    /// All names in scope.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _, _)| name.as_str())
    }
}
