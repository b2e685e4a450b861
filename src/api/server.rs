//! The accept loop, on an OS thread of its own with a current-thread runtime.
//!
//! `axum::serve` installs no timer, so a client that sends its head byte by byte would be put up with for ever (`pitfalls.md`
//! S11). Here every connection has a timer for the head, a timer for the answer and a bounded life, and there is a cap on how
//! many there are; over it a connection is closed before anything is read.

use super::{Problem, Settings, Surface, routes};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// After a failed accept (no file descriptors left) there is a pause, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// At the end, answers under way may take so long.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// A running server. Stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens: with port 0 the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody may be listening any more when the thread has ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic there was logged where it happened; the process ends with the code of the engine.
            let _ = thread.join();
        }
    }
}

/// Binds the address and serves until the server is dropped.
pub fn start(settings: Settings, surface: Surface) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(settings.listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (stop, stopped) = watch::channel(false);
    let router = guarded(routes::router(Arc::new(surface)), &settings, address);
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, router, &settings, stopped).await,
                Err(error) => tracing::error!(%error, "the HTTP endpoints cannot be served"),
            }
        });
        // Whoever waits for the cluster for an answer that nobody waits for any more is left behind.
        runtime.shutdown_timeout(STOP_DEADLINE);
    })?;
    Ok(Server { address, stop, thread: Some(thread) })
}

async fn accept(listener: TcpListener, router: Router, settings: &Settings, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Over the cap: closed here by dropping it, before anything is read.
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let connection = serve(stream, router.clone(), settings.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let all = u32::try_from(settings.connections_max).unwrap_or(u32::MAX);
    // What is still open after the deadline is cut when the runtime is dropped.
    let _ = tokio::time::timeout(STOP_DEADLINE, places.acquire_many(all)).await;
}

async fn serve(stream: TcpStream, router: Router, settings: Settings, mut stopped: watch::Receiver<bool>) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_headers(64)
        .max_buf_size(32 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is the client's affair: nothing to log.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(settings.connection_timeout) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(STOP_DEADLINE, connection).await;
}

fn guarded(router: Router, settings: &Settings, address: SocketAddr) -> Router {
    let (request_timeout, body_bytes_max) = (settings.request_timeout, settings.body_bytes_max);
    let loopback = address.ip().is_loopback();
    router.layer(from_fn(move |request: Request, next: Next| async move {
        if loopback && !names_loopback(request.headers()) {
            return Problem::Host.into_response();
        }
        if !loopback && request.method() == Method::POST {
            return Problem::NoActs.into_response();
        }
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > body_bytes_max) {
            return Problem::BodyTooLarge.into_response();
        }
        let answer: Result<Response, _> = tokio::time::timeout(request_timeout, next.run(request)).await;
        answer.unwrap_or_else(|_| Problem::Timeout.into_response())
    }))
}

/// Is the request for this machine by name? A page from elsewhere whose name was made to point at the loopback address says its
/// own name here.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
