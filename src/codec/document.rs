//! Schemas as a registry keeps them: a text in some language, and the texts that it refers to.

use std::sync::Arc;

/// What a schema is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Avro.
    Avro,
    /// JSON Schema.
    Json,
    /// Protobuf.
    Protobuf,
}

impl Language {
    /// As registries name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
}

/// A schema as a registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is written in.
    pub language: Language,
    /// Its text.
    pub text: Arc<str>,
    /// All schemas that it needs, each after those that it needs itself. There are no cycles.
    pub references: Vec<Reference>,
    /// Places in `references` of those that it names itself.
    pub uses: Vec<usize>,
}

/// A schema that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is called by those that refer to it: a full name in Avro, a URI in JSON Schema, the path of an import in Protobuf.
    pub name: Arc<str>,
    /// The subject that it is a version of.
    pub subject: Arc<str>,
    /// The version; `None` of one that was read from a file, which is found or registered before those that refer to it.
    pub version: Option<u32>,
    /// Its text.
    pub text: Arc<str>,
    /// Places, before its own, of those that it names itself.
    pub uses: Vec<usize>,
}

impl Document {
    /// A schema that stands alone.
    pub fn alone(language: Language, text: impl Into<Arc<str>>) -> Self {
        Self { language, text: text.into(), references: Vec::new(), uses: Vec::new() }
    }

    /// The texts of what it refers to, each once, each after those that it refers to itself.
    pub fn referred(&self) -> Vec<&str> {
        let is_first = |place: &usize| {
            let of = |reference: &Reference| (reference.subject.clone(), reference.version);
            let reference = &self.references[*place];
            !self.references[..*place].iter().any(|earlier| of(earlier) == of(reference))
        };
        (0..self.references.len()).filter(is_first).map(|place| &*self.references[place].text).collect()
    }

    /// What it refers to by itself.
    pub fn named(&self) -> impl Iterator<Item = &Reference> {
        self.uses.iter().filter_map(|place| self.references.get(*place))
    }

    /// A schema that it refers to, as one that stands by itself.
    pub fn part(&self, place: usize) -> Option<Self> {
        let root = self.references.get(place)?;
        let mut needed = vec![false; place];
        let mut open = root.uses.clone();
        while let Some(at) = open.pop() {
            // What stands at or behind it would be a cycle, and there are none.
            if at < place && !std::mem::replace(&mut needed[at], true) {
                open.extend(&self.references[at].uses);
            }
        }
        let kept: Vec<usize> = (0..place).filter(|at| needed[*at]).collect();
        let moved = |uses: &[usize]| uses.iter().filter_map(|at| kept.binary_search(at).ok()).collect();
        let reference = |at: &usize| Reference { uses: moved(&self.references[*at].uses), ..self.references[*at].clone() };
        let references = kept.iter().map(reference).collect();
        Some(Self { language: self.language, text: root.text.clone(), references, uses: moved(&root.uses) })
    }

    /// Bytes of all its texts.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.references.iter().map(|reference| reference.text.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(name: &str, uses: &[usize]) -> Reference {
        Reference { name: name.into(), subject: name.into(), version: Some(1), text: name.into(), uses: uses.into() }
    }

    #[test]
    fn a_part_takes_along_what_it_needs_and_no_more() {
        let references = vec![
            reference("a", &[]),
            reference("b", &[]),
            reference("c", &[1]),
            reference("d", &[0, 2]),
            Reference { name: "other".into(), ..reference("c", &[1]) },
        ];
        let all = Document { references, uses: vec![3, 4], ..Document::alone(Language::Avro, "e") };
        let told = |document: &Document| {
            let names = |references: Vec<&Reference>| references.iter().map(|one| &*one.name).collect::<Vec<_>>().join("");
            (names(document.references.iter().collect()), names(document.named().collect()))
        };
        assert_eq!(told(&all), ("abcdother".into(), "dother".into()));
        assert_eq!(all.referred(), ["a", "b", "c", "d"], "what has two names is there once");
        assert_eq!(told(&all.part(2).expect("it is there")), ("b".into(), "b".into()));
        assert_eq!(told(&all.part(3).expect("it is there")), ("abc".into(), "ac".into()));
        assert_eq!(all.part(5), None);
        assert_eq!(all.bytes(), "eabcdc".len());
    }
}
