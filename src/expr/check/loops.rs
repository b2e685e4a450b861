//! Comprehensions: a variable over the elements of a list or the keys of a map.

use super::{Checker, LOOPS_MAX, Typed};
use crate::expr::Type;
use crate::expr::ast::{Ast, Node, Span};
use crate::expr::code::{Code, Loop, LoopKind, Op};
use crate::expr::functions::{Kinds, element};
use crate::record::Text;

impl Checker<'_> {
    pub(super) fn comprehension(&mut self, name: &str, at: Span, target: &Ast, args: &[Ast], span: Span) -> Typed {
        let over = self.expr(target);
        let kind = match name {
            "all" => LoopKind::All,
            "exists" => LoopKind::Exists,
            "exists_one" | "existsOne" => LoopKind::ExistsOne,
            "filter" => LoopKind::Filter,
            "sortBy" => LoopKind::SortBy,
            _ => LoopKind::Map,
        };
        let (variable, filter, body) = match (kind, args) {
            (_, [variable, body]) => (variable, None, body),
            (LoopKind::Map, [variable, filter, body]) => (variable, Some(filter), body),
            _ => {
                let forms = if kind == LoopKind::Map {
                    "`.map(x, value)` or `.map(x, condition, value)`".to_owned()
                } else {
                    format!("`.{name}(x, …)`")
                };
                self.report("E304", span, format!("`.{name}` takes a variable and what to do with it: {forms}"));
                return self.wrong(span);
            }
        };
        let Node::Name(variable_name) = &variable.node else {
            self.report("E304", variable.span, format!("the first part of `.{name}` is the name of a variable"));
            return self.wrong(span);
        };
        if !Kinds::of(&over.ty).meets(Kinds::LIST.or(Kinds::MAP)) {
            let finding = self.report("E305", target.span, format!("`.{name}` goes over a list or a map, this is {}", over.ty));
            super::operator::hint_optional(finding, &over.ty);
            return self.wrong(span);
        }
        if self.variables.len() == LOOPS_MAX {
            self.report("E308", at, format!("comprehensions within each other go {LOOPS_MAX} deep at most")).hint =
                Some("give the inner list a name with `let`".into());
            return self.wrong(span);
        }
        self.check_variable(variable_name, variable.span);
        let each = match &over.ty {
            Type::Map(_) | Type::Object(_) => Type::String,
            other => element(other),
        };
        let place = self.variables.len() as u8;
        self.variables.push((variable_name.clone(), each.clone()));
        let known = self.facts.len();
        let filter = filter.map(|filter| {
            let code = self.condition(filter, "map");
            super::path::facts(filter, true, &mut self.facts);
            code
        });
        let (body_code, body_ty) = match kind {
            LoopKind::Map => {
                let typed = self.stored(body, false);
                (typed.code, typed.ty)
            }
            LoopKind::SortBy => {
                let typed = self.expr(body);
                if !Kinds::of(&typed.ty).meets(Kinds::SCALAR) {
                    self.report("E304", body.span, format!("there is no order of {}", typed.ty));
                }
                (typed.code, typed.ty)
            }
            _ => (self.condition(body, name), Type::Bool),
        };
        self.facts.truncate(known);
        self.forget(variable_name);
        self.variables.pop();
        let cost = 1 + body_code.cost() + filter.as_ref().map_or(0, Code::cost);
        let ty = match kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
            LoopKind::Map => Type::list(body_ty),
            LoopKind::Filter | LoopKind::SortBy => Type::list(each),
        };
        let inner = Loop { kind, over: over.code, variable: place, filter, body: body_code, cost };
        Typed { ty, code: Code::new(Op::Loop(Box::new(inner)), span) }
    }

    /// What was known of a variable holds within its loop only.
    fn forget(&mut self, variable: &Text) {
        self.facts.retain(|fact| fact.split('\0').next() != Some(variable.as_str()));
    }
}
