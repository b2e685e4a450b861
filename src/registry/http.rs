//! A registry over HTTP: the API of Confluent's, at any path.
//!
//! Every question has a time-out and its answer a bound. What may pass by itself (no connection, no answer in time, 408, 425, 429,
//! 5xx) is tried a few times with growing pauses; who has more patience asks again. A 404 counts as the registry's word only where
//! it comes with the registry's own error code: one of a wrong path or of a proxy says nothing about ids.

use super::protocol::{ErrorAnswer, FitAnswer, IdAnswer, PlaceAnswer, SchemaAnswer, SchemaRequest, segment, shortened};
use super::references::Parts;
use super::{Error, Place, Registry, Result, Version};
use crate::codec::{Document, SchemaId};
use crate::sync::lock;
use reqwest::{Method, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use std::sync::Mutex;
use std::time::Duration;

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Pauses before the tries after the first.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// A schema is the same however its text is laid out.
const NORMALIZED: &str = "?normalize=true";

/// Who asks.
#[derive(Clone, Default)]
pub enum Auth {
    /// Nobody.
    #[default]
    None,
    /// A user with a password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// Whoever has this token.
    Bearer(String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(***)",
            Self::Bearer(_) => "Bearer(***)",
        })
    }
}

/// Where a registry is, and how it is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its address with the path of its API, `http` or `https`, without credentials.
    pub url: String,
    /// Who asks.
    pub auth: Auth,
    /// Certificates in PEM that are trusted besides those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Longest time of one try.
    pub timeout: Duration,
}

impl Settings {
    /// The usual ones, at an address.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), auth: Auth::None, authorities: None, timeout: Duration::from_secs(5) }
    }
}

/// A registry over HTTP.
pub struct Http {
    base: Url,
    auth: Auth,
    client: reqwest::Client,
    /// Questions are asked one after another: there are few, and none is in a hurry.
    runtime: Mutex<tokio::runtime::Runtime>,
    parts: Parts,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Http({})", self.base)
    }
}

/// What came back.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Http {
    /// A client; nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| Error::Settings(format!("the address of the schema registry: {why}"));
        let mut base = Url::parse(&settings.url).map_err(|error| wrong(&error))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong(&"begin with `http://` or `https://`"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong(&"it has credentials in it, which belong elsewhere"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong(&"it ends with the path"));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            // Credentials go where they were meant to go.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("skald/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &settings.authorities {
            let failed = |why: &dyn std::fmt::Display| Error::Settings(format!("certificates for the schema registry: {why}"));
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| failed(&error))?;
            if certificates.is_empty() {
                return Err(failed(&"there is none in the file"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let broken = |why: String| Error::Settings(format!("the client of the schema registry: {why}"));
        let client = builder.build().map_err(|error| broken(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = Mutex::new(runtime.map_err(|error| broken(error.to_string()))?);
        Ok(Self { base, auth: settings.auth, client, runtime, parts: Parts::default() })
    }

    fn ask(&self, method: &Method, path: &str, body: Option<&SchemaRequest<'_>>) -> Result<Answer> {
        let mut pauses = PAUSES.iter();
        loop {
            let failed = match self.ask_once(method, path, body) {
                Err(error @ Error::Unreachable(_)) => error,
                done => return done,
            };
            match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(failed),
            }
        }
    }

    fn ask_once(&self, method: &Method, path: &str, body: Option<&SchemaRequest<'_>>) -> Result<Answer> {
        let url = self.base.join(path).map_err(|error| Error::Settings(error.to_string()))?;
        let mut request = self
            .client
            .request(method.clone(), url)
            .header(header::ACCEPT, "application/vnd.schemaregistry.v1+json, application/json");
        request = match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password)),
            Auth::Bearer(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let asked = async {
            let mut response = request.send().await?;
            let mut answer = Answer { status: response.status(), body: Vec::new() };
            while let Some(chunk) = response.chunk().await? {
                answer.body.extend_from_slice(&chunk);
                if answer.body.len() > ANSWER_BYTES_MAX {
                    break;
                }
            }
            Ok::<_, reqwest::Error>(answer)
        };
        let answer = lock(&self.runtime).block_on(asked).map_err(|error| Error::Unreachable(chain(&error.without_url())))?;
        if answer.body.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unusable(format!("it is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        match answer.status {
            status if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) => {
                Err(Error::Unreachable(answer.said()))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Denied(answer.said())),
            _ => Ok(answer),
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T> {
        self.ask(&Method::GET, path, None)?.read(what)
    }

    fn document(&self, answer: SchemaAnswer) -> Result<Document> {
        let language = answer.language()?;
        let (references, uses) = self.parts.gather(answer.references.as_deref().unwrap_or_default(), &|subject, version| {
            let path = format!("subjects/{}/versions/{version}", segment(subject));
            self.get(&path, &format!("version {version} of `{}`", shortened(subject)))
        })?;
        Ok(Document { language, text: answer.schema.into(), references, uses })
    }
}

impl Answer {
    fn error(&self) -> Option<ErrorAnswer> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The status, and what the registry said to it.
    fn said(&self) -> String {
        match self.error().and_then(|error| error.message) {
            Some(message) => format!("{}: {}", self.status, shortened(&message)),
            None => self.status.to_string(),
        }
    }

    /// Is it the registry's word that there is no such thing?
    fn is_absent(&self) -> bool {
        // 40401 subject, 40402 version, 40403 schema; some give the status alone.
        let known = |error: ErrorAnswer| matches!(error.error_code, 404 | 40401..=40409);
        self.status == StatusCode::NOT_FOUND && self.error().is_some_and(known)
    }

    fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        if self.status.is_success() {
            return serde_json::from_slice(&self.body).map_err(|error| Error::Unusable(format!("for {what}: {error}")));
        }
        match self.is_absent() {
            true => Err(Error::Absent(what.to_owned())),
            false => Err(Error::Unusable(format!("for {what}: {}", self.said()))),
        }
    }
}

impl Registry for Http {
    fn schema(&self, id: SchemaId) -> Result<Document> {
        let path = match id {
            SchemaId::Number(id) => format!("schemas/ids/{id}"),
            SchemaId::Guid(guid) => format!("schemas/guids/{guid}"),
        };
        let answer = self.get(&path, &format!("schema {id}"))?;
        self.document(answer)
    }

    fn version(&self, subject: &str, version: Option<u32>) -> Result<Version> {
        let version = version.map_or_else(|| "latest".to_owned(), |version| version.to_string());
        let what = format!("version `{version}` of subject `{subject}`");
        let answer: SchemaAnswer = self.get(&format!("subjects/{}/versions/{version}", segment(subject)), &what)?;
        let (Some(id), Some(version)) = (answer.id, answer.version) else {
            return Err(Error::Unusable(format!("for {what}: it has no id or no version")));
        };
        Ok(Version { id, version, document: self.document(answer)? })
    }

    fn find(&self, subject: &str, document: &Document) -> Result<Option<Place>> {
        let answer =
            self.ask(&Method::POST, &format!("subjects/{}{NORMALIZED}", segment(subject)), Some(&SchemaRequest::of(document)))?;
        match answer.read::<PlaceAnswer>(&format!("schema of subject `{subject}`")) {
            Ok(PlaceAnswer { id, version }) => Ok(Some(Place { id, version })),
            Err(Error::Absent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn register(&self, subject: &str, document: &Document) -> Result<u32> {
        let path = format!("subjects/{}/versions{NORMALIZED}", segment(subject));
        let answer = self.ask(&Method::POST, &path, Some(&SchemaRequest::of(document)))?;
        if answer.status == StatusCode::CONFLICT {
            return Err(Error::Incompatible { subject: subject.to_owned(), reasons: vec![answer.said()] });
        }
        Ok(answer.read::<IdAnswer>(&format!("schema that `{subject}` takes"))?.id)
    }

    fn objections(&self, subject: &str, document: &Document) -> Result<Vec<String>> {
        let path = format!("compatibility/subjects/{}/versions/latest?verbose=true", segment(subject));
        let answer = self.ask(&Method::POST, &path, Some(&SchemaRequest::of(document)))?;
        let fit: FitAnswer = match answer.read(&format!("subject `{subject}`")) {
            Err(Error::Absent(_)) => return Ok(Vec::new()),
            fit => fit?,
        };
        if fit.is_compatible {
            return Ok(Vec::new());
        }
        let mut said = fit.messages.unwrap_or_default();
        said.extend(fit.reason);
        let said: Vec<String> = said.iter().take(5).map(|message| shortened(message)).collect();
        Ok(if said.is_empty() { vec!["the registry says no more".to_owned()] } else { said })
    }
}

/// An error with its causes; `reqwest` keeps what went wrong in those.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    shortened(&text)
}
