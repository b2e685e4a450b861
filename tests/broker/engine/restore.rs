//! State that comes back: from the checkpoint on disk, from a stale one, and from nothing.

use super::totals::{Totals, total};
use super::{LONG, free_port, stop};
use crate::tools::wait_until;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

#[test]
fn state_restored_from_zero_from_a_checkpoint_and_from_a_stale_one_is_the_same() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    // The same worker each time; what differs is what its state directory holds.
    for directory in ["first", "first", "empty", "first"] {
        totals.send(1_500);
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut worker = totals.sample.worker_with(brokers, "only", directory, &["--listen", &listen]);
        totals.wait_for_all(&mut [&mut worker]);
        for (customer, history) in totals.expected() {
            let path = format!("/v1/aggregates/totals/{customer}");
            wait_until(&format!("`{path}` is answered with `{directory}`"), LONG, || {
                assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
                let Some((200, body)) = get(port, &path) else { return false };
                // The store is written right after the commit that the group's offsets tell of.
                Some(&total(&body["state"])) == history.last()
            });
        }
        stop(worker);
        totals.check();
    }
}

#[test]
fn a_store_that_is_damaged_on_disk_is_filled_anew_and_nothing_is_lost() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    for round in 0..3 {
        totals.send(1_500);
        let mut worker = totals.sample.worker_with(brokers, "only", "damaged", &[]);
        totals.wait_for_all(&mut [&mut worker]);
        totals.wait_for_updates(&mut [&mut worker]);
        let said = worker.output();
        assert_eq!(said.contains("the stores were damaged and set aside"), round > 0, "round {round}:\n{said}");
        stop(worker);
        let stores = totals.sample.folder.path().join(format!("state-damaged/topology-{}", totals.sample.topology));
        let damaged = damage(&stores);
        assert!(damaged > 0, "there is something to damage in {}", stores.display());
    }
    totals.check();
}

/// Flips the bits of a byte in the middle of every table below a folder; how many these are.
fn damage(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            count += damage(&path);
            continue;
        }
        if !folder.ends_with("tables") {
            continue;
        }
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 0xff;
            fs::write(&path, bytes).expect("a file of ours");
            count += 1;
        }
    }
    count
}

/// A GET; nothing where nobody answers yet.
pub(super) fn get(port: u16, path: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).ok()?))
}
