//! Runs the built binary in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A folder with files, gone at the end.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skald"));
    command.current_dir(folder.path()).args(arguments).stdin(Stdio::null());
    // What the developer has set must not decide what a test sees.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SKALD_")) {
        command.env_remove(name);
    }
    command
}

/// The same with text on stdin.
pub(crate) fn skald_reading(folder: &Folder, arguments: &[&str], stdin: &str) -> Run {
    let path = folder.path().join(".stdin");
    std::fs::write(&path, stdin).unwrap();
    let output = command(folder, arguments).stdin(std::fs::File::open(path).unwrap()).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn skald(folder: &Folder, arguments: &[&str]) -> Run {
    skald_with(folder, arguments, &[])
}

pub(crate) fn skald_with(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let output = command(folder, arguments).envs(environment.iter().copied()).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A run that goes on. Killed when dropped, so that a failed test leaves nothing behind.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: String,
}

pub(crate) fn start(folder: &Folder, arguments: &[&str]) -> Running {
    let mut child = command(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (send, lines) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    Running { child, lines, seen: String::new() }
}

impl Running {
    /// The first line of stderr that has this part.
    pub(crate) fn wait_for_line(&mut self, part: &str, limit: Duration) -> String {
        loop {
            let line = self.lines.recv_timeout(limit).unwrap_or_else(|_| panic!("no line with `{part}` in:\n{}", self.seen));
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for a condition, as long as the process lives.
    pub(crate) fn until(&mut self, limit: Duration, mut holds: impl FnMut() -> bool) {
        let pause = Duration::from_millis(20);
        for _ in 0..limit.as_millis() / pause.as_millis() {
            if holds() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", self.seen);
            std::thread::sleep(pause);
        }
        panic!("the condition did not come true:\n{}", self.seen);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub(crate) fn wait(mut self) -> Run {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let rest: Vec<String> = self.lines.iter().collect();
        let err = std::mem::take(&mut self.seen) + &rest.join("\n");
        Run { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of a GET; 0 where nobody answers.
pub(crate) fn http(address: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, String::new()) };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
        return (0, String::new());
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}
