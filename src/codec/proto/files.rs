//! From the texts of `.proto` files to descriptors.
//!
//! `protox` reads the texts and judges them. What it is given is bounded before: bytes, files, and brackets within each other.

use super::shape::Schema;
use crate::codec::{Document, Error, Result};
use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto};
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use std::collections::BTreeMap;

/// Most bytes of a schema, its imports included.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most files that a schema imports, those of imports included.
pub const FILES_MAX: usize = 100;
/// Most brackets within each other; of messages alone the compiler allows half as many.
const NESTING_MAX: usize = 64;

/// Most ranges of numbers that a message or an enum sets aside: the compiler compares each with each of its fields.
const RANGES_MAX: usize = 1_000;

/// A `.proto` file with all that it imports, compiled.
pub struct Files {
    pool: DescriptorPool,
    main: String,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({})", self.main)
    }
}

/// Texts by the names that they are imported by.
struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => {
                let file = File::from_source(name, text)?;
                let descriptor = file.file_descriptor_proto();
                if has_many_ranges(&descriptor.message_type, &descriptor.enum_type) {
                    let why = format!("{name}: a message or an enum reserves more than {RANGES_MAX} ranges");
                    return Err(protox::Error::new(why));
                }
                Ok(file)
            }
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn has_many_ranges(messages: &[DescriptorProto], enums: &[EnumDescriptorProto]) -> bool {
    let many = |message: &DescriptorProto| {
        message.reserved_range.len() + message.extension_range.len() > RANGES_MAX
            || has_many_ranges(&message.nested_type, &message.enum_type)
    };
    messages.iter().any(many) || enums.iter().any(|one| one.reserved_range.len() > RANGES_MAX)
}

impl Files {
    /// Compiles a text; `imports` are those that it imports, and those imports in turn, by the names that they are imported by.
    /// What Protobuf itself brings along need not be among them.
    pub fn compile(name: &str, text: &str, imports: &[(&str, &str)]) -> Result<Self> {
        let bytes = text.len() + imports.iter().map(|(_, text)| text.len()).sum::<usize>();
        if bytes > TEXT_BYTES_MAX || imports.len() > FILES_MAX {
            let reason = format!("it has more than {TEXT_BYTES_MAX} bytes or {FILES_MAX} files with its imports");
            return Err(Error::Schema { reason });
        }
        let mut main = name.to_owned();
        while imports.iter().any(|(name, _)| *name == main) {
            main.insert(0, '_');
        }
        let mut texts = BTreeMap::new();
        for (name, text) in imports.iter().chain([&(main.as_str(), text)]) {
            shallow(name, text)?;
            texts.insert((*name).to_owned(), (*text).to_owned());
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(GoogleFileResolver::new());
        resolver.add(Texts(texts));
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.open_file(&main).map_err(|error| failed(&error))?;
        Ok(Self { pool: compiler.descriptor_pool(), main })
    }

    pub(super) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    pub(super) fn file(&self) -> FileDescriptor {
        self.pool.get_file_by_name(&self.main).expect("it was compiled")
    }

    /// Compiles a schema with what it refers to; `name` is what it is called in messages.
    pub fn of(name: &str, document: &Document) -> Result<Self> {
        let imports: Vec<(&str, &str)> =
            document.references.iter().map(|reference| (&*reference.name, &*reference.text)).collect();
        Self::compile(name, &document.text, &imports)
    }

    /// The message of a name, with its package or within that of the file; without a name the only message of the file.
    pub fn message(&self, name: Option<&str>) -> Result<Schema> {
        let file = self.file();
        let found = match name {
            Some(name) => {
                let inner = format!("{}.{name}", file.package_name());
                let found = self.pool.get_message_by_name(&inner).or_else(|| self.pool.get_message_by_name(name));
                // Those of imports have their place in other files.
                let found = found.filter(|message| message.parent_file() == file && !message.is_map_entry());
                found.ok_or_else(|| format!("it has no message `{name}`"))
            }
            None => match file.messages().collect::<Vec<_>>().as_slice() {
                [only] => Ok(only.clone()),
                all => {
                    let names: Vec<&str> = all.iter().take(8).map(MessageDescriptor::name).collect();
                    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    Err(format!("it does not say which message is meant, and has {names}: write `file.proto#Message`"))
                }
            },
        };
        Schema::of(&found.map_err(|reason| Error::Schema { reason })?)
    }

    /// The message at a place of the file ([`super::index`]).
    pub fn at(&self, places: &[usize]) -> Result<Schema> {
        let file = self.file();
        let mut found: Option<MessageDescriptor> = None;
        for place in places {
            let inner = match &found {
                None => file.messages().nth(*place),
                Some(outer) => siblings(outer.child_messages()).nth(*place),
            };
            let missing = || Error::Schema { reason: format!("it has no message at place {place} of {places:?}") };
            found = Some(inner.ok_or_else(missing)?);
        }
        Schema::of(&found.ok_or_else(|| Error::Schema { reason: "no message is named".into() })?)
    }
}

/// Messages as they are counted: what maps are made of is none that somebody wrote.
pub(super) fn siblings(messages: impl Iterator<Item = MessageDescriptor>) -> impl Iterator<Item = MessageDescriptor> {
    messages.filter(|message| !message.is_map_entry())
}

/// What a text imports, without what Protobuf itself brings along.
pub fn imports(name: &str, text: &str) -> Result<Vec<String>> {
    shallow(name, text)?;
    let file = File::from_source(name, text).map_err(|error| failed(&error))?;
    let known = GoogleFileResolver::new();
    let foreign = file.file_descriptor_proto().dependency.iter().filter(|import| known.open_file(import).is_err());
    Ok(foreign.cloned().collect())
}

/// The form for debugging is the one that says where; of a text that ends too early it leaves out the file.
fn failed(error: &protox::Error) -> Error {
    let reason = format!("{error:?}");
    match error.file().filter(|file| !reason.contains(*file)) {
        None => Error::Schema { reason },
        Some(file) => Error::Schema { reason: format!("{file}: {reason}") },
    }
}

/// Are brackets nested no deeper than a compiler may go down into them? Those in strings and comments do not count.
fn shallow(name: &str, text: &str) -> Result<()> {
    let mut depth = 0_usize;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' | b'<' | b'(' => depth += 1,
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            quote @ (b'"' | b'\'') => {
                while let Some(byte) = bytes.next().filter(|byte| *byte != quote && *byte != b'\n') {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            b'/' if bytes.peek() == Some(&b'/') => drop(bytes.by_ref().find(|byte| *byte == b'\n')),
            b'/' if bytes.peek() == Some(&b'*') => {
                let mut before = 0;
                bytes.next();
                while let Some(byte) = bytes.next().filter(|byte| (before, *byte) != (b'*', b'/')) {
                    before = byte;
                }
            }
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(Error::Schema { reason: format!("{name}: brackets more than {NESTING_MAX} deep") });
        }
    }
    Ok(())
}
