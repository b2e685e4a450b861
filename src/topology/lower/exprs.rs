//! Expressions and templates: compiled against their scope, with what is wrong put where it stands in the file.

use super::Lower;
use super::fields::Fields;
use crate::expr::{self, Expect, Placed, Scope, TemplateSource, Type};
use crate::record::Value;
use crate::topology::diagnostic::{Finding, finding};
use crate::topology::model::{Expr, Template};
use crate::topology::yaml::{self, Entry, Kind, Node, Style};
use std::ops::Range;
use std::sync::Arc;

/// What an expression must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Any,
    Bool,
    /// Text or an integer, which becomes text.
    Text,
    List,
}

/// Most that compiling one file may cost, in bytes of expressions and a fixed price for each.
const COST_MAX: usize = 512 << 10;
/// What an expression costs beside its length.
const COST_EACH: usize = 64;

impl Lower<'_> {
    /// May these expressions still be compiled? A file can repeat an expression by aliases, at no cost of its own.
    fn afford(&self, count: usize, bytes: usize) -> bool {
        let spent = self.spent.get().saturating_add(bytes).saturating_add(count.saturating_mul(COST_EACH));
        self.spent.set(spent);
        spent <= COST_MAX
    }

    fn compile(&self, text: &str, scope: &Scope, want: Want) -> Option<expr::Compiled> {
        self.afford(1, text.len()).then(|| compile(text, scope, want))
    }

    fn compile_template(&self, source: &TemplateSource, leaves: &[&Node], scope: &Scope) -> Option<Templated> {
        let texts = leaves.iter().filter_map(|leaf| leaf.scalar()).map(|scalar| scalar.text.as_str());
        let (count, bytes) =
            texts.fold((0, 0), |(count, bytes), text| (count + 1 + text.matches('{').count(), bytes + text.len()));
        self.afford(count, bytes).then(|| expr::Template::compile(source, scope))
    }

    fn overspend(&mut self, node: &Node) {
        if !std::mem::replace(&mut self.overspent, true) {
            let found = finding("E110", "the file has too many expressions").hint("split it into several topologies");
            self.say(node.range.clone(), found);
        }
    }

    /// An expression, and its type.
    pub(super) fn expr(&mut self, node: &Node, scope: &Scope, want: Want) -> Option<(Expr, Type)> {
        let (text, skipped) = self.expression_text(node)?;
        let Some(compiled) = self.compile(&text, scope, want) else {
            self.overspend(node);
            return None;
        };
        for problem in compiled.findings {
            let range = problem.range.start + skipped..problem.range.end + skipped;
            self.problem(node, range, problem);
        }
        let at = self.position(self.within(node, skipped));
        let program = compiled.program?;
        Some((Expr { program: Arc::new(program), text: text.into(), at }, compiled.ty))
    }

    pub(super) fn optional_expr(&mut self, fields: &Fields<'_>, name: &str, scope: &Scope, want: Want) -> Option<Expr> {
        let node = fields.get(name)?;
        self.expr(node, scope, want).map(|(expr, _)| expr)
    }

    /// What is wrong with an expression in a scope, with ranges in its scalar's text; nothing is said.
    pub(super) fn trial(&mut self, node: &Node, scope: &Scope) -> Vec<expr::Finding> {
        let Some((text, skipped)) = plain_text(node) else { return Vec::new() };
        let mut findings = self.compile(text, scope, Want::Text).map_or_else(Vec::new, |compiled| compiled.findings);
        for found in &mut findings {
            found.range = found.range.start + skipped..found.range.end + skipped;
        }
        findings
    }

    /// The `key` of a topic; findings of some codes were said in words of their own.
    pub(super) fn key_expr(&mut self, node: &Node, scope: &Scope, said: &[&str]) -> Option<Expr> {
        let (text, skipped) = self.expression_text(node)?;
        let Some(compiled) = self.compile(&text, scope, Want::Text) else {
            self.overspend(node);
            return None;
        };
        for problem in compiled.findings.into_iter().filter(|problem| !said.contains(&problem.code)) {
            let range = problem.range.start + skipped..problem.range.end + skipped;
            self.problem(node, range, problem);
        }
        let at = self.position(self.within(node, skipped));
        compiled.program.map(|program| Expr { program: Arc::new(program), text: text.into(), at })
    }

    /// Declares the names of a `let` for a trial; nothing is said.
    pub(super) fn trial_lets(&self, node: Option<&Node>, scope: &mut Scope) {
        for entry in node.and_then(Node::map).unwrap_or(&[]) {
            let ty = plain_text(&entry.node)
                .and_then(|(text, _)| self.compile(text, scope, Want::Any))
                .map_or(Type::Any, |compiled| compiled.ty);
            if scope.check_name(&entry.key).is_none() {
                scope.local(&entry.key, ty);
            }
        }
    }

    /// The type that an expression would have in a scope; nothing is said.
    pub(super) fn trial_type(&self, node: &Node, scope: &Scope) -> Type {
        let compiled = plain_text(node).and_then(|(text, _)| self.compile(text, scope, Want::Any));
        compiled.map_or(Type::Any, |compiled| compiled.ty)
    }

    /// The text of an expression without a leading `=`, and how many bytes were left out.
    fn expression_text(&mut self, node: &Node) -> Option<(String, usize)> {
        let Some((text, skipped)) = plain_text(node) else {
            let message = match node.kind {
                Kind::Map(_) => "a map",
                Kind::List(_) => "a list",
                Kind::Scalar(_) => "nothing",
            };
            let found = finding("E107", format!("{message} is not an expression"));
            let found = match node.kind {
                Kind::Scalar(_) => found,
                _ => found.hint("YAML reads text that begins with `{` or `[` as a map or list: quote it"),
            };
            self.say(node.range.clone(), found);
            return None;
        };
        if variable_at(text).is_some() {
            self.no_variables(node.range.clone(), "expressions");
            return None;
        }
        Some((text.replace("$${", "${"), skipped))
    }

    /// Where a byte of a scalar's text stands in the file.
    fn within(&self, node: &Node, offset: usize) -> usize {
        match &node.kind {
            // Long texts are refused; there is no use in walking them.
            Kind::Scalar(scalar) if scalar.text.len() <= 2 * expr::SOURCE_BYTES_MAX => {
                scalar.locate(&self.findings.source().text, &node.range, offset)
            }
            _ => node.range.start,
        }
    }

    /// A range of a scalar's text as a range of the file.
    fn range_within(&self, node: &Node, range: Range<usize>) -> Range<usize> {
        let start = self.within(node, range.start);
        let end = self.within(node, range.end).max(start);
        if start == end && range.start < range.end { start..start + 1 } else { start..end }
    }

    pub(super) fn place_at(&mut self, node: &Node, range: Range<usize>, found: Finding) {
        let range = self.range_within(node, range);
        self.say(range, found);
    }

    /// A finding of `expr` about a whole name.
    pub(super) fn place(&mut self, range: Range<usize>, problem: expr::Finding) {
        let mut found = finding(problem.code, problem.message);
        found.hint = problem.hint;
        self.say(range, found);
    }

    /// A finding of `expr` within a scalar.
    fn problem(&mut self, node: &Node, range: Range<usize>, problem: expr::Finding) {
        let mut found = finding(problem.code, problem.message);
        found.hint = problem.hint;
        if matches!(problem.code, "E307" | "W302")
            && let Some(scalar) = node.scalar()
            && let Some(known) = self.saga_field(&scalar.text, range.clone(), problem.code)
        {
            found = Finding { hint: known.hint.or(found.hint), ..known };
        }
        if problem.code == "E301" && self.comment_follows(node) {
            found.cause = Some("YAML reads ` #` as the beginning of a comment, and the text ends there".to_owned());
            found.hint = Some("quote the whole expression".to_owned());
            let text = &self.findings.source().text;
            let line = text[node.range.start..].lines().next().unwrap_or_default().trim_end();
            if yaml::is_expression(line.trim_start_matches('=')) {
                found.fix = Some((node.range.start..node.range.start + line.len(), yaml::in_quotes(line)));
            }
        }
        self.place_at(node, range, found);
    }

    /// W301 and W304, with what mends them where the types leave no doubt: a literal that is a field which the schema knows,
    /// a lone placeholder whose value is text anyway.
    fn meant_to_compute(&mut self, leaf: &Node, problem: expr::Finding, scope: &Scope) {
        let Some(scalar) = leaf.scalar() else { return };
        let placeholder = scalar.text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let expression = match problem.code {
            "W304" => placeholder.unwrap_or_default(),
            _ => &scalar.text,
        };
        let compiled = self.compile(expression, scope, Want::Any).filter(|compiled| compiled.findings.is_empty());
        let certain = compiled.is_some_and(|compiled| match problem.code {
            "W304" => compiled.ty == Type::String,
            _ => !matches!(compiled.ty, Type::Any | Type::Optional(_)),
        });
        let one_line = matches!(scalar.style, Style::Plain | Style::Single | Style::Double);
        let mut found = finding(problem.code, problem.message);
        found.hint = problem.hint;
        if certain && one_line {
            found = found.fix(leaf.range.clone(), yaml::computed(expression));
        }
        self.place_at(leaf, problem.range, found);
    }

    fn comment_follows(&self, node: &Node) -> bool {
        let plain = node.scalar().is_some_and(|scalar| scalar.style == Style::Plain);
        let rest = self.findings.source().text.get(node.range.end..).unwrap_or("");
        plain && rest.starts_with([' ', '\t']) && rest.trim_start_matches([' ', '\t']).starts_with('#')
    }
}

/// The text of a scalar as an expression; `None` for what is no scalar, or nothing.
fn plain_text(node: &Node) -> Option<(&str, usize)> {
    let scalar = node.scalar().filter(|_| !node.is_null())?;
    Some(match scalar.text.strip_prefix('=') {
        Some(text) => (text, 1),
        None => (&scalar.text, 0),
    })
}

/// Where a text refers to a variable, if it does. `$${` is a dollar and a brace.
fn variable_at(text: &str) -> Option<usize> {
    text.match_indices("${").map(|(at, _)| at).find(|at| !text[..*at].ends_with('$'))
}

fn compile(text: &str, scope: &Scope, want: Want) -> expr::Compiled {
    let expect = match want {
        Want::Any => Expect::Any,
        Want::Bool => Expect::Type(Type::Bool),
        Want::Text => Expect::Key,
        Want::List => Expect::Type(Type::list(Type::Any)),
    };
    expr::compile(text, scope, &expect)
}

impl Lower<'_> {
    /// A template, and the type of what it gives.
    pub(super) fn template(&mut self, node: &Node, scope: &Scope) -> Option<(Template, Type)> {
        let mut leaves = Vec::new();
        let source = template_source(node, &mut leaves);
        let mut whole = true;
        for leaf in &leaves {
            if leaf.scalar().is_some_and(|scalar| variable_at(&scalar.text).is_some()) {
                self.no_variables(leaf.range.clone(), "templates");
                whole = false;
            }
        }
        let Some((compiled, ty, problems)) = self.compile_template(&source, &leaves, scope) else {
            self.overspend(node);
            return None;
        };
        for Placed { place, finding } in problems {
            let Some(leaf) = leaves.get(place as usize) else { continue };
            match finding.code {
                "W301" | "W304" => self.meant_to_compute(leaf, finding, scope),
                _ => self.problem(leaf, finding.range.clone(), finding),
            }
        }
        let places = leaves.iter().map(|leaf| self.position(leaf.range.start)).collect();
        let template = Arc::new(compiled.filter(|_| whole)?);
        Some((Template { template, places, at: self.position(node.range.start) }, ty))
    }

    /// A template that gives text.
    pub(super) fn text_template(&mut self, node: &Node, scope: &Scope) -> Option<Template> {
        let (template, ty) = self.template(node, scope)?;
        if !ty.meets(&Type::String) {
            self.say(node.range.clone(), finding("E306", format!("this gives {ty}, here text is wanted")));
        }
        Some(template)
    }

    /// The type that a template would have in a scope; nothing is said.
    pub(super) fn trial_template(&self, node: &Node, scope: &Scope) -> Type {
        let mut leaves = Vec::new();
        let source = template_source(node, &mut leaves);
        self.compile_template(&source, &leaves, scope).map_or(Type::Any, |(_, ty, _)| ty)
    }

    /// The template `{}`.
    pub(super) fn empty_template(&mut self, at: usize) -> Template {
        let template = expr::Template::constant(Value::Map(crate::record::Map::new()));
        Template { template: Arc::new(template), places: Vec::new(), at: self.position(at) }
    }
}

/// What compiling a template gives.
type Templated = (Option<expr::Template>, Type, Vec<Placed>);

/// A tree as a template; its texts are numbered in the order of `leaves`.
fn template_source<'n>(node: &'n Node, leaves: &mut Vec<&'n Node>) -> TemplateSource {
    match &node.kind {
        Kind::Scalar(scalar) => match &scalar.value {
            Value::Str(_) => {
                leaves.push(node);
                let place = u32::try_from(leaves.len() - 1).expect("the nodes of a file are bounded");
                TemplateSource::Text { text: scalar.text.replace("$${", "${"), place }
            }
            value => TemplateSource::Literal(value.clone()),
        },
        Kind::List(items) => TemplateSource::List(items.iter().map(|item| template_source(item, leaves)).collect()),
        Kind::Map(entries) => {
            let field = |entry: &'n Entry, leaves: &mut Vec<&'n Node>| {
                (entry.key.as_str().into(), template_source(&entry.node, leaves))
            };
            TemplateSource::Map(entries.iter().map(|entry| field(entry, leaves)).collect())
        }
    }
}
