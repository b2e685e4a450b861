//! What a worker tells at `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer.
const BYTES: u64 = 8 << 20;

/// The page of a worker on this machine; `None` where there is none yet.
pub(super) fn metrics(port: u16) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.set_write_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(BYTES).read_to_end(&mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

/// The sum of a metric over all its labels.
pub(super) fn sum(page: &str, name: &str) -> f64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        (rest.starts_with('{') || rest.starts_with(' ')).then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
    };
    page.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let page = "# HELP a_total x\na_total{t=\"x y\"} 3\na_total{t=\"z\"} 4.5\na_total_more{t=\"z\"} 100\nb 7\n";
        for (name, expected) in [("a_total", 7.5), ("b", 7.0), ("c", 0.0), ("a", 0.0)] {
            assert_eq!(sum(page, name), expected, "{name}");
        }
    }
}
