//! Topology files and what they refer to, read from the file system with bounds.

use super::Problem;
use crate::config::Exit;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest topology file that is read; the language's own bound is the same.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Folders within folders.
const DEPTH_MAX: usize = 32;
/// Files looked at in one search.
const FILES_MAX: usize = 10_000;

/// A topology file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// As it is named in messages.
    pub(super) name: String,
    /// Where files that it names are looked for.
    pub(super) folder: PathBuf,
    /// Was it named on the command line? Else it was met in a folder and may be no topology at all.
    pub(super) named: bool,
    /// Is it a page that may hold topologies, in Markdown?
    pub(super) page: bool,
    /// Its bytes; one more than the bound where it is larger, so that the language refuses it.
    pub(super) bytes: Vec<u8>,
}

/// The YAML files behind these paths. Which of those in folders are topologies is told by whoever reads them.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Found>, Problem> {
    Search { pages: false, seen: 0, found: Vec::new() }.of(paths)
}

/// The YAML files behind these paths, and pages in Markdown.
pub(super) fn find_with_pages(paths: &[PathBuf]) -> Result<Vec<Found>, Problem> {
    Search { pages: true, seen: 0, found: Vec::new() }.of(paths)
}

struct Search {
    pages: bool,
    seen: usize,
    found: Vec<Found>,
}

impl Search {
    fn of(mut self, paths: &[PathBuf]) -> Result<Vec<Found>, Problem> {
        for path in paths {
            let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            if about.is_dir() {
                self.seen = 0;
                self.walk(path, 0)?;
            } else {
                self.found.push(read(path, true, self.pages && is_page(path))?);
            }
        }
        Ok(self.found)
    }

    fn walk(&mut self, folder: &Path, depth: usize) -> Result<(), Problem> {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| unreadable(folder, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            self.seen += 1;
            if self.seen > FILES_MAX || depth > DEPTH_MAX {
                let text =
                    format!("`{}` holds more than {FILES_MAX} files, or folders deeper than {DEPTH_MAX}", folder.display());
                return Err(Problem::new(Exit::Failed, text).hint("name the topology files one by one"));
            }
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            // Links to folders are not followed: they may lead in circles.
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() && !hidden && entry.file_name() != "target" {
                self.walk(&path, depth + 1)?;
            } else if !hidden && !kind.is_dir() {
                let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
                let page = self.pages && is_page(&path);
                if yaml || page {
                    self.found.push(read(&path, false, page)?);
                }
            }
        }
        Ok(())
    }
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md" || extension == "markdown")
}

fn read(path: &Path, named: bool, page: bool) -> Result<Found, Problem> {
    let bytes = match bounded(path, FILE_BYTES_MAX + 1) {
        Ok(bytes) => bytes,
        Err(error) => return Err(unreadable(path, &error)),
    };
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Found { name: path.display().to_string(), folder: folder.into(), named, page, bytes })
}

/// At most `limit` bytes of a regular file: what never ends (a device, a pipe) is refused before it is opened.
fn bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of a regular file, if it has at most `limit` bytes.
pub(super) fn whole(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    within(bounded(path, limit + 1)?, limit)
}

/// All that a file, a pipe or, for `-`, stdin gives, if that is at most `limit` bytes. It waits for what a pipe has not yet given.
pub(super) fn given(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    match path == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
        false => File::open(path)?.take(most).read_to_end(&mut bytes)?,
    };
    within(bytes, limit)
}

fn within(bytes: Vec<u8>, limit: usize) -> io::Result<Vec<u8>> {
    match bytes.len() > limit {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes"))),
        false => Ok(bytes),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Problem::new(exit, format!("`{}` cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        let found = find(paths).unwrap();
        found.iter().map(|found| Path::new(&found.name).file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_is_searched_for_yaml() {
        let folder = folder(&[
            ("a.yaml", "skald: 1"),
            ("deep/er/b.yml", ""),
            ("notes.txt", "skald: 1"),
            (".hidden/c.yaml", "skald: 1"),
            ("target/d.yaml", "skald: 1"),
        ]);
        assert_eq!(names(&[folder.path().into()]), ["a.yaml", "b.yml"]);
        let found = find(&[folder.path().join("notes.txt"), folder.path().into()]).unwrap();
        assert_eq!(found.iter().map(|found| found.named).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(found[2].folder, folder.path().join("deep/er"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let folder = folder(&[]);
        let problem = find(&[folder.path().join("nothing.yaml")]).unwrap_err();
        assert_eq!(problem.exit, Exit::NotFound, "{problem:?}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_large_files_and_circles_end() {
        assert!(find(&["/dev/zero".into()]).is_err());
        assert!(whole(Path::new("/dev/zero"), 10).is_err());
        let folder = folder(&[("big.yaml", &"x".repeat(FILE_BYTES_MAX + 100)), ("a.yaml", "skald: 1")]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
        assert_eq!(names(&[folder.path().into()]), ["a.yaml", "big.yaml"]);
        let found = find(&[folder.path().join("big.yaml")]).unwrap();
        assert_eq!(found[0].bytes.len(), FILE_BYTES_MAX + 1);
        assert!(whole(&folder.path().join("big.yaml"), 100).is_err());
        assert_eq!(whole(&folder.path().join("a.yaml"), 8).unwrap(), b"skald: 1");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_gives_what_is_written_into_it_up_to_the_bound() {
        let folder = folder(&[("a.json", "{}")]);
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let given_by = |text: &'static str, limit| {
            let writer = pipe.clone();
            // Opening a pipe waits for its other end.
            let writer = std::thread::spawn(move || fs::write(writer, text));
            let bytes = given(&pipe, limit);
            writer.join().unwrap().unwrap();
            bytes
        };
        assert_eq!(given_by("{\"a\":1}", 7).unwrap(), b"{\"a\":1}");
        assert_eq!(given_by("{\"a\":12}", 7).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(given(&folder.path().join("a.json"), 2).unwrap(), b"{}");
        assert!(given(Path::new("/dev/zero"), 100).is_err());
    }
}
