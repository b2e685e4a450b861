//! What is sent against the schema of its type, as far as types tell (E401–E403).
//!
//! Two readings of a schema are used: for the keys that a template writes out, the named fields are all there are; a value that
//! comes from elsewhere as a whole may have what JSON Schema allows.

use super::Lower;
use super::scalars::shortened;
use crate::codec::Language;
use crate::expr::{Object, Type};
use crate::record::{Text, Value};
use crate::topology::diagnostic::{Finding, finding};
use crate::topology::model::Schema;
use crate::topology::schema::{Unnamed, json_of, type_of};
use crate::topology::yaml::{Entry, Kind, Node, Scalar};
use serde_json::Value as Json;
use std::ops::Range;

/// What is compared: a type against both readings of a schema, and the schema itself as far as it is known at this place.
struct Fit<'t> {
    ty: &'t Type,
    named: &'t Type,
    allowed: &'t Type,
    schema: Option<&'t Json>,
    /// The document that references count in.
    root: &'t Json,
}

impl<'t> Fit<'t> {
    fn of(ty: &'t Type, schema: &'t Schema, allowed: &'t Type) -> Self {
        Self { ty, named: &schema.written, allowed, schema: Some(&schema.document), root: &schema.document }
    }

    /// The same for a part of the value.
    fn part(&self, ty: &'t Type, named: &'t Type, allowed: &'t Type, schema: Option<&'t Json>) -> Fit<'t> {
        Fit { ty, named, allowed, schema, root: self.root }
    }

    /// The schema of a part, behind its references; `None` where it is not written plainly.
    fn below(&self, keyword: &str, name: Option<&str>) -> Option<&'t Json> {
        let mut schema = self.schema?.get(keyword)?;
        if let Some(name) = name {
            schema = schema.get(name)?;
        }
        for _ in 0..8 {
            let Some(Json::String(target)) = schema.get("$ref") else { return Some(schema) };
            schema = self.root.pointer(target.strip_prefix('#')?)?;
        }
        None
    }
}

/// What a value may have that comes from elsewhere as a whole. Avro and Protobuf have no place for more than they name.
fn allowed_by(schema: &Schema) -> Type {
    match schema.compiled.language() {
        Language::Avro | Language::Protobuf => schema.written.clone(),
        Language::Json => type_of(&schema.document, Unnamed::Allowed),
    }
}

/// Where, and in what: for messages.
struct Place<'t> {
    at: Range<usize>,
    path: String,
    what: &'t str,
    /// What is said of it has this code, whatever it is.
    code: Option<&'static str>,
}

impl Lower<'_> {
    /// Does a payload fit the schema of its type? `node` is the template that it is written as.
    pub(super) fn fits(&mut self, node: Option<&Node>, ty: &Type, schema: &Schema, at: &Range<usize>, what: &str) {
        let allowed = allowed_by(schema);
        let place = Place { at: at.clone(), path: String::new(), what, code: None };
        self.fit(node, &Fit::of(ty, schema, &allowed), &place, true);
    }

    /// Do the fields that a `set` assigns fit the schema of the state? Others stay as they are.
    pub(super) fn fields_fit(&mut self, node: &Node, ty: &Type, schema: &Schema, what: &str) {
        let allowed = allowed_by(schema);
        let place = Place { at: node.range.clone(), path: String::new(), what, code: None };
        self.fit(Some(node), &Fit::of(ty, schema, &allowed), &place, false);
    }

    /// Does what an old value is made into fit its schema (E407)?
    pub(super) fn becomes(&mut self, node: &Node, ty: &Type, schema: &Schema, what: &str) {
        let allowed = allowed_by(schema);
        let place = Place { at: node.range.clone(), path: String::new(), what, code: Some("E407") };
        self.fit(Some(node), &Fit::of(ty, schema, &allowed), &place, true);
    }

    /// The same where the type was inferred.
    pub(super) fn becomes_type(&mut self, node: &Node, ty: &Type, wanted: &Type, what: &str) {
        let place = Place { at: node.range.clone(), path: String::new(), what, code: Some("E407") };
        self.compare(ty, wanted, &place, true);
    }

    fn fit(&mut self, node: Option<&Node>, fit: &Fit<'_>, place: &Place<'_>, whole: bool) {
        match (node.map(|node| &node.kind), fit.ty) {
            (Some(Kind::Map(entries)), Type::Object(given)) => self.fit_map(entries, given, fit, place, whole),
            (Some(Kind::List(items)), Type::List(element)) => {
                let (Type::List(named), Type::List(allowed)) = (fit.named, fit.allowed) else {
                    return self.compare(fit.ty, fit.allowed, place, whole);
                };
                for item in items {
                    let place =
                        Place { at: item.range.clone(), path: format!("{}[]", place.path), what: place.what, code: place.code };
                    self.fit(Some(item), &fit.part(element, named, allowed, fit.below("items", None)), &place, true);
                }
            }
            (Some(Kind::Scalar(scalar)), _) => {
                self.compare(fit.ty, fit.allowed, place, whole);
                self.choice(scalar, fit, place);
            }
            _ => self.compare(fit.ty, fit.allowed, place, whole),
        }
    }

    /// A literal where the schema lists the values there are.
    fn choice(&mut self, scalar: &Scalar, fit: &Fit<'_>, place: &Place<'_>) {
        let computes = scalar.text.starts_with('=') || scalar.text.contains(['{', '}', '$']);
        let schema = fit.schema.filter(|_| !matches!(scalar.value, Value::Str(_)) || !computes);
        let Some(schema) = schema else { return };
        let choices: &[Json] = match (schema.get("enum"), schema.get("const")) {
            (Some(Json::Array(choices)), _) => choices,
            (_, Some(only)) => std::slice::from_ref(only),
            _ => return,
        };
        let written = json_of(&scalar.value);
        let same = |choice: &Json| match (choice.as_f64(), written.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => *choice == written,
        };
        // A value of another type was told.
        if choices.iter().any(same) || !unwrapped(fit.ty).meets(fit.allowed) {
            return;
        }
        let found = place.finding("E403", format!("{} is not `{}`", place.named(), shortened(&scalar.text)));
        let word = |choice: &Json| choice.as_str().map_or(choice.to_string(), str::to_owned);
        let words: Vec<String> = choices.iter().map(word).collect();
        let found = match scalar.value {
            Value::Str(_) => found.meant(&scalar.text, words.iter().map(String::as_str)),
            // Of numbers none is meant more than another.
            _ => found.hint(format!("one of {}", words.join(", "))),
        };
        self.say(place.at.clone(), found);
    }

    fn fit_map(&mut self, entries: &[Entry], given: &Object, fit: &Fit<'_>, place: &Place<'_>, whole: bool) {
        let (named, allowed) = match (fit.named, fit.allowed) {
            (Type::Object(named), Type::Object(allowed)) => (named, allowed),
            // A map of one type: every entry is of it.
            (Type::Map(named), Type::Map(allowed)) => {
                for entry in entries {
                    let Some(field) = given.fields.get(entry.key.as_str()) else { continue };
                    let place = place.within(&entry.key, entry.node.range.clone());
                    self.fit(Some(&entry.node), &fit.part(&field.ty, named, allowed, None), &place, true);
                }
                return;
            }
            _ => return self.compare(fit.ty, fit.allowed, place, whole),
        };
        for entry in entries {
            let Some(field) = given.fields.get(entry.key.as_str()) else { continue };
            let inner = place.within(&entry.key, entry.node.range.clone());
            match (named.fields.get(entry.key.as_str()), allowed.fields.get(entry.key.as_str()), &named.rest) {
                (Some(named), Some(allowed), _) => {
                    if named.required && !field.required && whole {
                        self.maybe_missing(&inner);
                    }
                    let ty = unwrapped(&field.ty);
                    let schema = fit.below("properties", Some(&entry.key));
                    self.fit(Some(&entry.node), &fit.part(ty, &named.ty, &allowed.ty, schema), &inner, true);
                }
                (_, _, Some(rest)) => {
                    let ty = unwrapped(&field.ty);
                    self.fit(Some(&entry.node), &fit.part(ty, rest, rest, None), &inner, true);
                }
                _ => {
                    let message = format!("{} has no field `{}`", place.what, inner.path);
                    let found = inner.finding("E402", message).meant(&entry.key, named.fields.keys().map(Text::as_str));
                    self.say(entry.key_range.clone(), found);
                }
            }
        }
        let missing = named.fields.iter().filter(|(name, field)| field.required && !given.fields.contains_key(*name));
        for (name, _) in missing.filter(|_| whole && given.rest.is_none()) {
            self.missing(&place.within(name, place.at.clone()));
        }
    }

    /// A value that comes as a whole.
    fn compare(&mut self, ty: &Type, wanted: &Type, place: &Place<'_>, whole: bool) {
        match (unwrapped(ty), wanted) {
            (Type::Any, _) | (_, Type::Any) => {}
            // Written as text.
            (Type::Timestamp | Type::Duration | Type::Bytes, Type::String) => {}
            (Type::Object(given), Type::Object(wanted)) => self.compare_objects(given, wanted, place, whole),
            (Type::Object(given), Type::Map(wanted)) => {
                for (name, field) in &given.fields {
                    self.compare(&field.ty, wanted, &place.within(name, place.at.clone()), true);
                }
            }
            (Type::List(given), Type::List(wanted)) => {
                let place =
                    Place { at: place.at.clone(), path: format!("{}[]", place.path), what: place.what, code: place.code };
                self.compare(given, wanted, &place, true);
            }
            (given, wanted) if given.meets(wanted) => {}
            (given, wanted) => {
                let message = format!("{} wants {wanted}, this is {given}", place.named());
                self.say(place.at.clone(), place.finding("E403", message));
            }
        }
    }

    fn compare_objects(&mut self, given: &Object, wanted: &Object, place: &Place<'_>, whole: bool) {
        for (name, field) in &wanted.fields {
            let inner = place.within(name, place.at.clone());
            match given.fields.get(name) {
                Some(known) => {
                    if field.required && !known.required && whole {
                        self.maybe_missing(&inner);
                    }
                    self.compare(&known.ty, &field.ty, &inner, true);
                }
                None if field.required && whole && given.rest.is_none() => self.missing(&inner),
                None => {}
            }
        }
        if wanted.rest.is_none() {
            for name in given.fields.keys().filter(|name| !wanted.fields.contains_key(*name)) {
                let inner = place.within(name, place.at.clone());
                let found = inner.finding("E402", format!("{} has no field `{}`", place.what, inner.path));
                let hint = format!("leave it out: `omit(…, ['{name}'])`");
                self.say(inner.at, found.hint(hint));
            }
        }
    }

    fn missing(&mut self, place: &Place<'_>) {
        let message = format!("{} needs the field `{}`", place.what, place.path);
        self.say(place.at.clone(), place.finding("E401", message));
    }

    fn maybe_missing(&mut self, place: &Place<'_>) {
        let message = format!("{} needs the field `{}`, which may be missing here", place.what, place.path);
        self.say(place.at.clone(), place.finding("E401", message).hint("give a value for it: `.orValue(…)`"));
    }
}

impl<'t> Place<'t> {
    fn finding(&self, code: &'static str, message: String) -> Finding {
        finding(self.code.unwrap_or(code), message)
    }

    fn within(&self, name: &str, at: Range<usize>) -> Place<'t> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { at, path, what: self.what, code: self.code }
    }

    fn named(&self) -> String {
        if self.path.is_empty() { self.what.to_owned() } else { format!("`{}` of {}", self.path, self.what) }
    }
}

fn unwrapped(ty: &Type) -> &Type {
    match ty {
        Type::Optional(inner) => inner,
        ty => ty,
    }
}
