//! Functions over maps.

use super::{Function, Kinds, Style, element, function, list_of};
use crate::expr::code::Val;
use crate::expr::error::Res;
use crate::expr::fuel::Fuel;
use crate::expr::ops::{self, map_of};
use crate::expr::{Object, Type};
use crate::record::{Map, Text, Value};

const M: Kinds = Kinds::MAP;

pub(super) const FUNCTIONS: &[Function] = &[
    function("merge", Style::Global, &[M], merged, merge).repeated(),
    // Which fields they leave is told by the checker where the names are constant.
    function("pick", Style::Global, &[M, Kinds::LIST], |types| Type::map(values_type(&types[0])), pick),
    function("omit", Style::Global, &[M, Kinds::LIST], |types| Type::map(values_type(&types[0])), omit),
    function("keys", Style::Global, &[M], |_| Type::list(Type::String), keys),
    function("values", Style::Global, &[M], |types| Type::list(values_type(&types[0])), values),
    function("entries", Style::Global, &[M], entries_type, entries),
    function("from_entries", Style::Global, &[Kinds::LIST], from_entries_type, from_entries),
];

fn values_type(ty: &Type) -> Type {
    match ty {
        Type::Map(value) => (**value).clone(),
        Type::Object(object) => object.values(),
        _ => Type::Any,
    }
}

/// Fields of the later hide those of the earlier.
fn merged(types: &[Type]) -> Type {
    let mut fields = Object::closed();
    for ty in types {
        match ty {
            Type::Object(object) => {
                for (name, field) in &object.fields {
                    let before = fields.fields.get(name);
                    let field = match before {
                        // A field that may be missing leaves the earlier one where it is.
                        Some(before) if !field.required => {
                            crate::expr::Field { ty: before.ty.join(&field.ty), required: before.required }
                        }
                        _ => field.clone(),
                    };
                    fields.fields.insert(name.clone(), field);
                }
                fields.rest = match (fields.rest.take(), &object.rest) {
                    (Some(a), Some(b)) => Some(a.join(b)),
                    (one, other) => one.or_else(|| other.clone()),
                };
            }
            Type::Map(value) => {
                for field in fields.fields.values_mut() {
                    field.ty = field.ty.join(value);
                }
                fields.rest = Some(fields.rest.map_or_else(|| (**value).clone(), |rest| rest.join(value)));
            }
            _ => return Type::map(Type::Any),
        }
    }
    fields.into()
}

fn entries_type(types: &[Type]) -> Type {
    Type::list(Object::closed().with("key", Type::String).with("value", values_type(&types[0])).into())
}

fn from_entries_type(types: &[Type]) -> Type {
    match element(&types[0]) {
        Type::Object(entry) => Type::map(entry.fields.get("value").map(|field| field.ty.clone()).unwrap_or_default()),
        _ => Type::map(Type::Any),
    }
}

fn merge(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let mut merged = map_of("merge", &args[0])?.clone();
    for map in &args[1..] {
        merged = merge_two(&merged, map_of("merge", map)?, fuel)?;
    }
    Ok(merged.into())
}

/// Both are sorted, so one walk over the two gives the sorted result.
fn merge_two(a: &Map, b: &Map, fuel: &Fuel) -> Res<Map> {
    fuel.build_elements(a.len() + b.len())?;
    let (mut a, mut b) = (a.entries().iter().peekable(), b.entries().iter().peekable());
    let mut entries = Vec::with_capacity(a.len() + b.len());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((left, _)), Some((right, _))) => left.as_str().cmp(right.as_str()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return Ok(Map::from_entries(entries)),
        };
        if order.is_le() {
            let earlier = a.next();
            if order.is_lt() {
                entries.extend(earlier.cloned());
            }
        }
        if order.is_ge() {
            entries.extend(b.next().cloned());
        }
    }
}

fn names<'v>(what: &str, list: &'v Value, fuel: &Fuel) -> Res<Vec<&'v Text>> {
    let mut names = Vec::new();
    for name in list_of(what, list, fuel)? {
        match name {
            Value::Str(name) => names.push(name),
            other => return ops::no_overload(what, &[other]),
        }
    }
    Ok(names)
}

fn pick(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let map = map_of("pick", &args[0])?;
    let names = names("pick", &args[1], fuel)?;
    fuel.build_elements(names.len())?;
    let there = names.into_iter().filter_map(|name| map.get(name).map(|value| (name.clone(), value.clone())));
    Ok(Value::Map(there.collect()))
}

fn omit(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let map = map_of("omit", &args[0])?;
    fuel.build_elements(map.len())?;
    let mut names = names("omit", &args[1], fuel)?;
    fuel.burn(names.len())?;
    names.sort_unstable();
    let kept = map.iter().filter(|(key, _)| names.binary_search(key).is_err());
    Ok(Value::Map(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))
}

fn keys(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let map = map_of("keys", &args[0])?;
    fuel.build_elements(map.len())?;
    Ok(Value::list(map.iter().map(|(key, _)| Value::Str(key.clone())).collect()))
}

fn values(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let map = map_of("values", &args[0])?;
    fuel.build_elements(map.len())?;
    Ok(Value::list(map.iter().map(|(_, value)| value.clone()).collect()))
}

fn entries(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let map = map_of("entries", &args[0])?;
    fuel.build_elements(map.len().saturating_mul(3))?;
    let entry = |(key, value): (&Text, &Value)| {
        Value::Map(Map::from_entries(vec![("key".into(), Value::Str(key.clone())), ("value".into(), value.clone())]))
    };
    Ok(Value::list(map.iter().map(entry).collect()))
}

fn from_entries(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let items = list_of("from_entries", &args[0], fuel)?;
    fuel.build_elements(items.len())?;
    let mut map = Vec::with_capacity(items.len());
    for item in items {
        match ops::field(item, "key")? {
            Value::Str(key) => map.push((key.clone(), ops::field(item, "value")?.clone())),
            other => return ops::no_overload("a key", &[other]),
        }
    }
    Ok(Value::Map(Map::from_entries(map)))
}
