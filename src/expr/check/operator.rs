//! Operators: which kinds they take, and what they give.

use super::path::facts;
use super::{Checker, Typed};
use crate::expr::ast::{Ast, Compare, Node, Operator, Span};
use crate::expr::code::{Code, Op};
use crate::expr::functions::Kinds;
use crate::expr::{Finding, Type};
use crate::record::Value;

impl Checker<'_> {
    /// An operand that must be a truth value.
    pub(super) fn condition(&mut self, ast: &Ast, what: &str) -> Code {
        let typed = self.expr(ast);
        if !typed.ty.meets(&Type::Bool) {
            let finding = self.report("E305", ast.span, format!("`{what}` takes bool, this is {}", typed.ty));
            hint_optional(finding, &typed.ty);
        }
        typed.code
    }

    /// `&&` and `||`: a term may rely on what the ones before it asked.
    pub(super) fn junction(&mut self, terms: &[Ast], and: bool, span: Span) -> Typed {
        let known = self.facts.len();
        let what = if and { "&&" } else { "||" };
        let mut codes = Vec::with_capacity(terms.len());
        for term in terms {
            codes.push(self.condition(term, what));
            facts(term, and, &mut self.facts);
        }
        self.facts.truncate(known);
        let codes = codes.into();
        Typed { ty: Type::Bool, code: Code::new(if and { Op::And(codes) } else { Op::Or(codes) }, span) }
    }

    pub(super) fn conditional(&mut self, when: &Ast, then: &Ast, other: &Ast, span: Span) -> Typed {
        let condition = self.condition(when, "?:");
        let known = self.facts.len();
        facts(when, true, &mut self.facts);
        let then_typed = self.expr(then);
        self.facts.truncate(known);
        facts(when, false, &mut self.facts);
        let other_typed = self.expr(other);
        self.facts.truncate(known);
        let (a, b) = (&then_typed.ty, &other_typed.ty);
        let ty = match (a.is_optional(), b.is_optional()) {
            (true, false) if *b == Type::Null => a.clone(),
            (false, true) if *a == Type::Null => b.clone(),
            (true, false) | (false, true) => {
                let finding = self.report("E305", span, format!("one branch is {a}, the other {b}"));
                hint_optional(finding, if a.is_optional() { a } else { b });
                return self.wrong(span);
            }
            _ => a.join(b),
        };
        Typed { ty, code: Code::new(Op::Conditional(Box::new([condition, then_typed.code, other_typed.code])), span) }
    }

    pub(super) fn negate(&mut self, of: &Ast, span: Span) -> Typed {
        let typed = self.expr(of);
        if !Kinds::of(&typed.ty).meets(Kinds::NUMBER) {
            let finding = self.report("E305", span, format!("`-` takes a number, this is {}", typed.ty));
            hint_optional(finding, &typed.ty);
            return self.wrong(span);
        }
        Typed { ty: number(&typed.ty), code: Code::new(Op::Negate(Box::new(typed.code)), span) }
    }

    pub(super) fn compare(&mut self, compare: Compare, a: &Ast, b: &Ast, span: Span) -> Typed {
        let (a_typed, b_typed) = (self.expr(a), self.expr(b));
        let (left, right) = (&a_typed.ty, &b_typed.ty);
        let what = compare.text();
        if let Some(optional) = [left, right].into_iter().find(|ty| ty.is_optional()) {
            let finding = self.report("E305", span, format!("`{what}` between {left} and {right}"));
            hint_optional(finding, optional);
            return self.wrong(span);
        }
        match compare {
            Compare::Equal | Compare::NotEqual => {
                if !left.meets(right) {
                    let always = if compare == Compare::Equal { "false" } else { "true" };
                    self.report("W305", span, format!("always {always}: {left} never equals {right}"));
                }
            }
            Compare::In => {
                let wanted = Kinds::LIST.or(Kinds::MAP);
                if !Kinds::of(right).meets(wanted) {
                    self.report("E305", span, format!("`in` takes a list or a map, this is {right}")).hint =
                        (*right == Type::String).then(|| "a part of a text is found by `.contains(…)`".to_owned());
                    return self.wrong(span);
                }
                let among = match right {
                    Type::List(element) => (**element).clone(),
                    Type::Map(_) | Type::Object(_) => Type::String,
                    _ => Type::Any,
                };
                if !left.meets(&among) {
                    self.report("W305", span, format!("always false: {left} is never among {among}"));
                }
            }
            _ => {
                let comparable = Kinds::SCALAR;
                let (l, r) = (Kinds::of(left), Kinds::of(right));
                if !l.meets(comparable) || !r.meets(comparable) || !left.meets(right) {
                    self.report("E305", span, format!("`{what}` has no meaning for {left} and {right}"));
                    return self.wrong(span);
                }
            }
        }
        Typed { ty: Type::Bool, code: Code::new(Op::Compare(compare, Box::new([a_typed.code, b_typed.code])), span) }
    }

    /// `a + b - c`, from the left.
    pub(super) fn arithmetic(&mut self, first: &Ast, rest: &[(Operator, Ast)], span: Span) -> Typed {
        let typed = self.expr(first);
        let mut ty = typed.ty;
        let mut declared = is_declared(first, &ty);
        let mut codes = Vec::with_capacity(rest.len());
        let mut failed = false;
        for (operator, operand) in rest {
            let so_far = first.span.to(operand.span);
            let right = self.expr(operand);
            let right_declared = is_declared(operand, &right.ty);
            let divides = matches!(operator, Operator::Divide | Operator::Remainder);
            let may_be_ints = Kinds::INT.meets(Kinds::of(&ty)) && Kinds::INT.meets(Kinds::of(&right.ty));
            if divides && matches!(right.code.as_const(), Some(Value::Int(0) | Value::Double(0.0))) {
                self.report("E311", so_far, "always fails: division by zero (DIVIDE_BY_ZERO)");
                failed = true;
            } else if *operator == Operator::Divide && may_be_ints && !declared && !right_declared {
                self.report("W303", so_far, "of two ints `/` drops the fraction").hint =
                    Some("write `double(…)` for a fraction, or `int(…)` to say that it is meant".into());
            }
            ty = match arithmetic_type(*operator, &ty, &right.ty) {
                Some(result) => result,
                None => {
                    let message = format!("`{}` has no meaning for {ty} and {}", operator.text(), right.ty);
                    let optional = if ty.is_optional() { ty.clone() } else { right.ty.clone() };
                    let text = *operator == Operator::Add && (ty == Type::String || right.ty == Type::String);
                    let finding = self.report("E305", so_far, message);
                    if text && !optional.is_optional() {
                        finding.hint = Some("write `string(…)` to append it as text".into());
                    }
                    hint_optional(finding, &optional);
                    failed = true;
                    Type::Any
                }
            };
            declared |= right_declared;
            codes.push((*operator, right.code));
        }
        if failed {
            return self.wrong(span);
        }
        Typed { ty, code: Code::new(Op::Arithmetic(Box::new(typed.code), codes.into()), span) }
    }
}

pub(super) fn hint_optional(finding: &mut Finding, ty: &Type) {
    if ty.is_optional() {
        finding.hint = Some("add `.orValue(…)`".into());
    }
}

/// Is it said somewhere that this is an integer? A literal says nothing: `total / 2` is as often meant with a fraction.
fn is_declared(ast: &Ast, ty: &Type) -> bool {
    *ty == Type::Int
        && !matches!(ast.node, Node::Literal(_))
        && !matches!(&ast.node, Node::Negate(of) if matches!(of.node, Node::Literal(_)))
}

fn number(ty: &Type) -> Type {
    match ty {
        Type::Int | Type::Double => ty.clone(),
        _ => Type::Any,
    }
}

/// What an operator gives, `None` where it has no meaning.
fn arithmetic_type(operator: Operator, a: &Type, b: &Type) -> Option<Type> {
    use Type::{Any, Bytes, Double, Duration, Int, List, String, Timestamp};
    let result = match (a, b) {
        (Int, Int) => Int,
        (Double, Double | Int) | (Int, Double) => return (operator != Operator::Remainder).then_some(Double),
        // An unknown operand may be of any kind that goes with the other.
        (Any, Any) => Any,
        (Any, Int | Double) | (Int | Double, Any) => {
            let double = *a == Double || *b == Double;
            if operator == Operator::Remainder {
                return (!double).then_some(Int);
            }
            if double { Double } else { Any }
        }
        _ => match operator {
            Operator::Add => match (a, b) {
                (String, String | Any) | (Any, String) => String,
                (Bytes, Bytes | Any) | (Any, Bytes) => Bytes,
                (List(a), List(b)) => Type::list(a.join(b)),
                (List(_), Any) | (Any, List(_)) => Type::list(Any),
                (Timestamp, Duration | Any) | (Duration | Any, Timestamp) => Timestamp,
                (Duration, Duration) => Duration,
                (Duration, Any) | (Any, Duration) => Any,
                _ => return None,
            },
            Operator::Subtract => match (a, b) {
                (Timestamp, Timestamp) => Duration,
                (Timestamp | Any, Duration) => {
                    if *a == Any {
                        Any
                    } else {
                        Timestamp
                    }
                }
                (Timestamp, Any) => Any,
                (Any, Timestamp) => Duration,
                (Duration, Duration | Any) => Duration,
                _ => return None,
            },
            _ => return None,
        },
    };
    Some(result)
}
