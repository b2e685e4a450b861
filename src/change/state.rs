//! Can a state that was stored be read by a changed node?

use crate::expr::Type;

/// Fields whose stored values would not be of the new type: their path, what they were and what they are.
pub(super) fn conflicts(old: &Type, new: &Type) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    walk(old, new, &mut Vec::new(), &mut found);
    found
}

/// Fields that every new state has, and that stored ones may lack.
pub(super) fn lacking(old: &Type, new: &Type) -> Vec<String> {
    let mut found = Vec::new();
    lack(old, new, &mut Vec::new(), &mut found);
    found
}

fn lack(old: &Type, new: &Type, path: &mut Vec<String>, found: &mut Vec<String>) {
    match (old, new) {
        (Type::Object(before), Type::Object(after)) => {
            for (name, field) in after.fields.iter().filter(|(_, field)| field.required) {
                path.push(name.to_string());
                match before.fields.get(name) {
                    Some(known) if known.required => lack(&known.ty, &field.ty, path, found),
                    // Where others may be, this may be among them.
                    None if before.rest.is_some() => {}
                    _ => found.push(path.join(".")),
                }
                path.pop();
            }
        }
        (Type::List(before), Type::List(after)) | (Type::Map(before), Type::Map(after)) => {
            path.push("…".to_owned());
            lack(before, after, path, found);
            path.pop();
        }
        _ => {}
    }
}

fn walk(old: &Type, new: &Type, path: &mut Vec<String>, found: &mut Vec<(String, String, String)>) {
    match (old, new) {
        (Type::Object(before), Type::Object(after)) => {
            for (name, field) in &before.fields {
                let Some(other) = after.fields.get(name) else { continue };
                path.push(name.to_string());
                walk(&field.ty, &other.ty, path, found);
                path.pop();
            }
        }
        (Type::List(before), Type::List(after)) | (Type::Map(before), Type::Map(after)) => {
            path.push("…".to_owned());
            walk(before, after, path, found);
            path.pop();
        }
        // A number with a fraction is no integer; every integer is a number.
        (Type::Double, Type::Int) => found.push((path.join("."), old.to_string(), new.to_string())),
        // Null is what a field is before it has a value.
        (Type::Null, _) | (_, Type::Null) => {}
        (before, after) if before.meets(after) => {}
        _ => found.push((path.join("."), old.to_string(), new.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Object;

    #[test]
    fn a_stored_field_must_still_be_what_it_was() {
        let object = |fields: &[(&str, Type)]| {
            Type::from(fields.iter().fold(Object::closed(), |object, (name, ty)| object.with(name, ty.clone())))
        };
        let base = object(&[("n", Type::Int), ("items", Type::list(object(&[("sku", Type::String)])))]);
        for (new, expected) in [
            (base.clone(), vec![]),
            (object(&[("n", Type::Double)]), vec![]),
            (object(&[("n", Type::Any), ("more", Type::Bool)]), vec![]),
            (object(&[("n", Type::String)]), vec!["n"]),
            (object(&[("items", Type::list(object(&[("sku", Type::Int)])))]), vec!["items.….sku"]),
            (object(&[("items", Type::String)]), vec!["items"]),
        ] {
            let found: Vec<String> = conflicts(&base, &new).into_iter().map(|(path, ..)| path).collect();
            assert_eq!(found, expected, "{new:?}");
        }
        assert_eq!(conflicts(&Type::Double, &Type::Int).len(), 1);
    }

    #[test]
    fn a_field_that_is_always_there_must_have_been() {
        let object = |fields: &[(&str, Type)], rest: Option<Type>| {
            let object = fields.iter().fold(Object::closed(), |object, (name, ty)| object.with(name, ty.clone()));
            Type::from(Object { rest, ..object })
        };
        let inner = |fields: &[(&str, Type)]| object(&[("items", Type::list(object(fields, None)))], None);
        for (old, new, expected) in [
            (object(&[], None), object(&[("x", Type::Int)], None), vec!["x"]),
            (object(&[], Some(Type::Any)), object(&[("x", Type::Int)], None), vec![]),
            (object(&[("x", Type::Int)], None), object(&[("x", Type::Int)], None), vec![]),
            (object(&[("x", Type::Int)], None), object(&[], None), vec![]),
            (inner(&[]), inner(&[("sku", Type::String)]), vec!["items.….sku"]),
            (Type::Any, object(&[("x", Type::Int)], None), vec![]),
        ] {
            assert_eq!(lacking(&old, &new), expected, "{old:?} {new:?}");
        }
    }
}
