//! Topologies from files, checked; or their findings, told.

use super::files::{self, Found};
use super::schemas::Subjects;
use super::{Problem, schemas};
use crate::change::Side;
use crate::codec::Document;
use crate::config::{Exit, Param};
use crate::topology::model::Topology;
use crate::topology::plan::Plan;
use crate::topology::{Definition, Diagnostic, Loaded, Severity, Sources, across, load, markdown, render};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A topology that can be run.
#[derive(Clone)]
pub(super) struct Checked {
    /// The file, as it was named.
    pub(super) file: Arc<str>,
    pub(super) topology: Arc<Topology>,
    pub(super) plan: Arc<Plan>,
    /// Its content, as it is recorded and compared.
    pub(super) definition: Arc<Definition>,
}

impl Checked {
    /// To be compared.
    pub(super) fn side(&self) -> Side<'_> {
        Side { topology: &self.topology, plan: &self.plan, definition: &self.definition }
    }

    /// The files that it names.
    pub(super) fn sources(&self) -> FolderSources {
        FolderSources { folder: Path::new(&*self.file).parent().unwrap_or(Path::new("")).to_owned() }
    }
}

/// Everything that was loaded, with what is found when all files are looked at together.
pub(super) struct Reading {
    pub(super) files: Vec<Loaded>,
    pub(super) findings: Vec<Diagnostic>,
    /// How many of the files are files; those behind them are within pages.
    alone: usize,
    /// Why a schema of the registry could not be asked for.
    unasked: Option<crate::registry::Error>,
}

impl Reading {
    /// Reads the files behind these paths.
    pub(super) fn of(paths: &[PathBuf], params: &[Param]) -> Result<Self, Problem> {
        Self::with(paths, params, None)
    }

    /// The same, with the schemas that a registry has.
    pub(super) fn with(paths: &[PathBuf], params: &[Param], registry: Option<&Subjects>) -> Result<Self, Problem> {
        let params = overrides(params);
        let mut files = Vec::new();
        for found in files::find(paths)? {
            let loaded = load(&found.name, &found.bytes, &params, &FileSources { folder: &found.folder, registry });
            if found.named || loaded.marked {
                files.push(loaded);
            }
        }
        if files.is_empty() {
            return Err(nothing());
        }
        Ok(Self { unasked: registry.and_then(Subjects::failure), ..Self::together(files) })
    }

    /// The same with the topologies within pages. Each of these stands alone: examples of one page do not send to each other.
    pub(super) fn of_found(found: &[Found], params: &[Param], registry: Option<&Subjects>) -> Result<Self, Problem> {
        let params = overrides(params);
        let (mut files, mut blocks) = (Vec::new(), Vec::new());
        for found in found {
            match found.page {
                true => blocks.extend(blocks_of(found, &String::from_utf8_lossy(&found.bytes), &params)),
                false => {
                    let loaded = load(&found.name, &found.bytes, &params, &FileSources { folder: &found.folder, registry });
                    files.extend((found.named || loaded.marked).then_some(loaded));
                }
            }
        }
        if files.is_empty() && blocks.is_empty() {
            return Err(nothing());
        }
        let mut reading = Self::together(files);
        for block in blocks {
            reading.findings.extend(block.findings.iter().cloned());
            reading.findings.extend(across(std::slice::from_ref(&block)));
            reading.files.push(block);
        }
        Ok(reading)
    }

    /// The files, without those within pages: what is to run, where that is an example.
    pub(super) fn alone(&self) -> &[Loaded] {
        &self.files[..self.alone]
    }

    /// How many files were read.
    pub(super) fn files_count(&self) -> usize {
        let names: std::collections::BTreeSet<&str> = self.files.iter().map(|file| &*file.file).collect();
        names.len()
    }

    /// Reads one file whose text and schemas are given.
    pub(super) fn of_text(found: &Found, params: &[Param], sources: &dyn Sources) -> Self {
        Self::together(vec![load(&found.name, &found.bytes, &overrides(params), sources)])
    }

    fn together(files: Vec<Loaded>) -> Self {
        let mut findings: Vec<Diagnostic> = files.iter().flat_map(|file| file.findings.iter().cloned()).collect();
        findings.extend(across(&files));
        Self { alone: files.len(), files, findings, unasked: None }
    }

    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|found| found.severity() == severity).count()
    }

    /// The findings for people.
    pub(super) fn text(&self, color: bool) -> String {
        render::text(
            &self.findings,
            |file| self.files.iter().find(|known| *known.file == *file).map(|known| &*known.text),
            color,
        )
    }

    /// The topologies, if there is no error; the findings go to stderr.
    pub(super) fn checked(self, color: bool) -> Result<Vec<Checked>, Problem> {
        // Nowhere to write to is nothing to write about.
        let _ = io::stderr().write_all(self.text(color).as_bytes());
        if let Some(error) = &self.unasked {
            return Err(schemas::failed(error));
        }
        let errors = self.count(Severity::Error);
        if errors > 0 {
            return Err(Problem::new(Exit::Findings, format!("{errors} findings in the topology files, nothing was started")));
        }
        let checked = self.files.into_iter().filter_map(|file| {
            let (topology, plan) = file.checked?;
            let definition = Arc::new(file.definition?);
            Some((file.file, topology, plan, definition))
        });
        let checked = checked.map(|(file, topology, plan, definition)| match unknown(&topology) {
            Some(why) => Err(Problem::new(Exit::Usage, why).hint("name it: `--schema-registry http://registry:8081`")),
            None => Ok(Checked { file, topology: Arc::new(topology), plan: Arc::new(plan), definition }),
        });
        let all: Vec<Checked> = checked.collect::<Result<_, _>>()?;
        for (at, one) in all.iter().enumerate() {
            if all[..at].iter().any(|other| other.plan.topology == one.plan.topology) {
                let text = format!("two files are the topology `{}`", one.plan.topology);
                return Err(Problem::new(Exit::Failed, text).hint("a topology is one file; give each its own name"));
            }
        }
        Ok(all)
    }
}

/// Why a topology is not to be run of whose schemas some were not looked up.
pub(super) fn unknown(topology: &Topology) -> Option<String> {
    let (name, at) = topology.unknown.first()?;
    Some(format!("{}:{}: the schema `{name}` is in a schema registry, and none is named", at.file, at.line))
}

/// What is found in another text of a file; nothing in one that is no topology.
pub(super) fn findings_of(found: &Found, text: &str, params: &[Param]) -> Vec<Diagnostic> {
    let params = overrides(params);
    let loaded = match found.page {
        true => blocks_of(found, text, &params),
        false => vec![load(&found.name, text.as_bytes(), &params, &FileSources { folder: &found.folder, registry: None })],
    };
    let topologies = loaded.into_iter().filter(|loaded| found.named || found.page || loaded.marked);
    topologies.flat_map(|loaded| loaded.findings).collect()
}

/// The topologies of a page, with places in it.
fn blocks_of(found: &Found, page: &str, params: &[(String, String)]) -> Vec<Loaded> {
    let sources = FileSources { folder: &found.folder, registry: None };
    let text: Arc<str> = page.into();
    let read = |block| {
        let mut loaded = load(&found.name, markdown::alone(page, &block).as_bytes(), params, &sources);
        loaded.text = text.clone();
        loaded
    };
    markdown::blocks(page).into_iter().map(read).collect()
}

fn nothing() -> Problem {
    Problem::new(Exit::NotFound, "there is no topology file in these folders")
        .hint("topology files end in `.yaml` or `.yml` and begin with `skald: 1`")
}

fn overrides(params: &[Param]) -> Vec<(String, String)> {
    params.iter().map(|param| (param.name.clone(), param.value.clone())).collect()
}

/// The same of a folder that is kept.
pub(super) struct FolderSources {
    folder: PathBuf,
}

impl Sources for FolderSources {
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        FileSources { folder: &self.folder, registry: None }.schema(path, limit)
    }

    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        FileSources { folder: &self.folder, registry: None }.secret(path, limit)
    }

    fn variable(&self, name: &str) -> Option<String> {
        FileSources { folder: &self.folder, registry: None }.variable(name)
    }
}

/// Schemas and secrets from the file system, names relative to the folder of the topology file; variables of this process.
pub(super) struct FileSources<'a> {
    pub(super) folder: &'a Path,
    pub(super) registry: Option<&'a Subjects>,
}

impl Sources for FileSources<'_> {
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        files::whole(&self.folder.join(path), limit)
    }

    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        files::whole(&self.folder.join(path), limit)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn registered(&self, subject: &str, version: Option<u32>) -> Result<Option<Document>, String> {
        self.registry.map(|registry| registry.document(subject, version)).transpose()
    }
}
