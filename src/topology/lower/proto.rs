//! Messages of `.proto` files, with what these import.
//!
//! An import is looked for beside the file that a topology names, and then in the folders above it, as far as the topology's path
//! names any; all files of a schema are imported by paths from there. What Protobuf brings along needs no file.

use super::Lower;
use crate::codec::proto::{FILES_MAX, TEXT_BYTES_MAX, imports};
use crate::codec::{Document, Language, Reference, Schema as Compiled};
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::Schema;
use crate::topology::proto;
use crate::topology::sources::Sources;
use crate::topology::yaml::Node;
use std::io::ErrorKind;
use std::sync::Arc;

impl Lower<'_> {
    pub(super) fn proto_schema(&mut self, node: &Node, path: &Text) -> Option<Schema> {
        let (file, message) = match path.split_once('#') {
            Some((file, message)) => (file, Some(message)),
            None => (path.as_str(), None),
        };
        let compiled = Gathering::of(self.sources, file).and_then(|gathered| {
            let name = file.rsplit('/').next().unwrap_or(file);
            let compiled = Compiled::compile_proto(name, gathered.document, message).map_err(|error| error.to_string())?;
            Ok((compiled, gathered.texts))
        });
        match compiled {
            Ok((compiled, texts)) => {
                let message = compiled.proto().expect("compiled as one");
                let (ty, written) = (proto::read_type(message), proto::written_type(message));
                let document = Arc::new(proto::document(message));
                Some(Schema { document, compiled, ty, written, file: Some(path.clone()), subject: None, texts })
            }
            Err(error) => {
                self.say(node.range.clone(), finding("E212", format!("`{path}` is not a usable Protobuf schema: {error}")));
                None
            }
        }
    }
}

/// A file and what it imports.
struct Gathered {
    document: Document,
    /// All texts by the paths that they were read from.
    texts: Vec<(Text, Arc<str>)>,
}

struct Gathering<'s> {
    sources: &'s dyn Sources,
    /// Folders in which imports are looked for.
    folders: Vec<String>,
    references: Vec<Reference>,
    texts: Vec<(Text, Arc<str>)>,
    /// Files whose imports are being gathered, outermost first.
    open: Vec<String>,
    bytes_left: usize,
}

impl<'s> Gathering<'s> {
    fn of(sources: &'s dyn Sources, file: &str) -> Result<Gathered, String> {
        let name = file.rsplit('/').next().unwrap_or(file).to_owned();
        let mut gathering = Self {
            sources,
            folders: folders_of(file),
            references: Vec::new(),
            texts: Vec::new(),
            open: vec![name.clone()],
            bytes_left: TEXT_BYTES_MAX,
        };
        let text = gathering.read(file).map_err(|error| format!("it cannot be read: {error}"))?;
        let uses = gathering.imported(&name, &text)?;
        let document = Document { language: Language::Protobuf, text, references: gathering.references, uses };
        Ok(Gathered { document, texts: gathering.texts })
    }

    /// Gathers what a text imports; returns the places of that.
    fn imported(&mut self, name: &str, text: &str) -> Result<Vec<usize>, String> {
        let mut uses = Vec::new();
        for import in imports(name, text).map_err(|error| error.to_string())? {
            if let Some(place) = self.references.iter().position(|known| *known.name == *import) {
                uses.push(place);
                continue;
            }
            if self.open.contains(&import) {
                return Err(format!("{name}: `{import}` imports itself, by way of others"));
            }
            if self.references.len() + self.open.len() > FILES_MAX {
                return Err(format!("it imports more than {FILES_MAX} files"));
            }
            let text = self.import(name, &import)?;
            self.open.push(import.clone());
            let inner = self.imported(&import, &text)?;
            self.open.pop();
            let import: Arc<str> = import.into();
            self.references.push(Reference { name: import.clone(), subject: import, version: None, text, uses: inner });
            uses.push(self.references.len() - 1);
        }
        Ok(uses)
    }

    fn import(&mut self, name: &str, import: &str) -> Result<Arc<str>, String> {
        // Within the folders: whoever writes a schema does not say what else is read on this machine.
        if import.contains('\\') || import.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("{name}: the import `{import}` is no plain path"));
        }
        for folder in self.folders.clone() {
            match self.read(&format!("{folder}{import}")) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{name}: the import `{import}` cannot be read: {error}")),
                Ok(text) => return Ok(text),
            }
        }
        let folders: Vec<String> = self.folders.iter().map(|folder| format!("`{folder}{import}`")).collect();
        Err(format!("{name}: the import `{import}` is not there: neither {}", folders.join(" nor ")))
    }

    fn read(&mut self, path: &str) -> std::io::Result<Arc<str>> {
        let bytes = self.sources.schema(path, self.bytes_left)?;
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        let text = String::from_utf8(bytes).map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "not UTF-8"))?;
        let text: Arc<str> = text.into();
        self.texts.push((path.into(), text.clone()));
        Ok(text)
    }
}

/// The folder of a file and those above it that its path names, each with its slash.
fn folders_of(file: &str) -> Vec<String> {
    let mut folders = Vec::new();
    let mut path = file;
    while let Some((folder, _)) = path.rsplit_once('/') {
        folders.push(format!("{folder}/"));
        if folder.is_empty() || folder == ".." || folder.ends_with("/..") {
            return folders;
        }
        path = folder;
    }
    folders.push(String::new());
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io;

    struct Given(BTreeMap<&'static str, &'static str>);

    impl Sources for Given {
        fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
            let text = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
            if text.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text.as_bytes().to_vec()) }
        }
        fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn gathered(files: &[(&'static str, &'static str)], file: &str) -> Result<String, String> {
        let gathered = Gathering::of(&Given(files.iter().copied().collect()), file)?;
        let reference = |reference: &Reference| format!("{}{:?}", reference.name, reference.uses);
        let references: Vec<String> = gathered.document.references.iter().map(reference).collect();
        Ok(format!("{} -> {:?}", references.join(" "), gathered.document.uses))
    }

    #[test]
    fn imports_come_each_once_and_before_those_that_need_them() {
        let files = [
            (
                "../s/shop/order.proto",
                "syntax = \"proto3\"; import \"a.proto\"; import \"shop/b.proto\"; import \"google/protobuf/any.proto\";",
            ),
            ("../s/shop/a.proto", "import \"shop/b.proto\"; import \"c.proto\";"),
            ("../s/shop/b.proto", ""),
            ("../c.proto", ""),
        ];
        assert_eq!(
            gathered(&files, "../s/shop/order.proto").as_deref(),
            Ok("shop/b.proto[] c.proto[] a.proto[0, 1] -> [2, 0]")
        );
    }

    #[test]
    fn imports_that_cannot_be_gathered_are_told() {
        let own = "syntax = \"proto3\"; import \"o.proto\";";
        let out = "syntax = \"proto3\"; import \"../x.proto\";";
        let cases: [(&[(&'static str, &'static str)], &str); 5] = [
            (&[], "it cannot be read"),
            (&[("o.proto", own)], "`o.proto` imports itself"),
            (&[("o.proto", "import \"a\";"), ("a", "import \"b\";"), ("b", "import \"a\";")], "b: `a` imports itself"),
            (&[("o.proto", "import \"gone.proto\";")], "o.proto: the import `gone.proto` is not there: neither `gone.proto`"),
            (&[("o.proto", out), ("../x.proto", "")], "o.proto"),
        ];
        for (files, expected) in cases {
            let found = gathered(files, "o.proto").expect_err(expected);
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn folders_above_are_those_that_the_path_names() {
        let cases = [
            ("a.proto", vec![""]),
            ("x/y/a.proto", vec!["x/y/", "x/", ""]),
            ("../x/a.proto", vec!["../x/", "../"]),
            ("../../a.proto", vec!["../../"]),
            ("/x/a.proto", vec!["/x/", "/"]),
        ];
        for (file, expected) in cases {
            assert_eq!(folders_of(file), expected, "{file}");
        }
    }
}
