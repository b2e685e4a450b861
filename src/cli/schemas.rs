//! The schema registry that a command works with.

use super::Problem;
use super::load::Checked;
use crate::change::{Mark, TopicLine};
use crate::codec::{Document, Language};
use crate::config::{Credentials, Exit, SchemaRegistry, credentials_of};
use crate::node::{Book, TopicSchema, topic_schemas};
use crate::registry::{self, Auth, Error, Http, Lookups, Registry, Settings, Settled, Standing};
use crate::sync::lock;
use crate::topology::plan::Role;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Largest file of certificates or credentials.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Schemas of a registry by their subjects, each asked for once.
pub(super) struct Subjects {
    registry: Arc<dyn Registry>,
    known: Mutex<Known>,
}

/// By subject and version, or its latest.
type Known = BTreeMap<(String, Option<u32>), Result<Document, Error>>;

impl Subjects {
    /// Of the registry that the flags name.
    pub(super) fn of(registry: Option<&Arc<dyn Registry>>) -> Option<Self> {
        Some(Self { registry: registry?.clone(), known: Mutex::default() })
    }

    /// A version of a subject, or its latest.
    pub(super) fn document(&self, subject: &str, version: Option<u32>) -> Result<Document, String> {
        // One that does not answer is not asked again and again: every question takes its time.
        if let Some(error) = self.failure() {
            return Err(error.to_string());
        }
        let mut known = lock(&self.known);
        let asked = || self.registry.version(subject, version).map(|version| version.document);
        known.entry((subject.to_owned(), version)).or_insert_with(asked).clone().map_err(|error| error.to_string())
    }

    /// Why it could not be asked, if so. What it said about a subject is a finding in the file that names it.
    pub(super) fn failure(&self) -> Option<Error> {
        let is_away = |error: &&Error| matches!(error, Error::Unreachable(_) | Error::Denied(_));
        lock(&self.known).values().filter_map(|known| known.as_ref().err()).find(is_away).cloned()
    }
}

/// A registry that was named.
pub(super) struct Named {
    pub(super) registry: Arc<dyn Registry>,
    lookups: Arc<Lookups>,
}

/// A client of the registry that the flags name; nothing is asked yet.
pub(super) fn client(settings: Option<&SchemaRegistry>) -> Result<Option<Arc<dyn Registry>>, Problem> {
    let Some(settings) = settings else { return Ok(None) };
    let auth = match &settings.credentials {
        None => Auth::None,
        Some(Credentials::Given(auth)) => auth.clone(),
        Some(Credentials::File(path)) => {
            let text = String::from_utf8_lossy(&file(path)?).into_owned();
            credentials_of(&text).map_err(|why| Problem::new(Exit::Usage, format!("`{}`: {why}", path.display())))?
        }
    };
    let authorities = settings.authorities.as_deref().map(file).transpose()?;
    let settings = Settings { auth, authorities, ..Settings::at(settings.url.clone()) };
    let client = Http::new(settings).map_err(|error| Problem::of(Exit::Usage, &error))?;
    Ok(Some(Arc::new(client)))
}

fn file(path: &Path) -> Result<Vec<u8>, Problem> {
    super::files::whole(path, FILE_BYTES_MAX)
        .map_err(|error| Problem::new(Exit::Usage, format!("`{}` cannot be read: {error}", path.display())))
}

impl Named {
    /// Begins to look schemas up for workers.
    pub(super) fn start(registry: Arc<dyn Registry>) -> Result<Self, Problem> {
        let clock = Arc::new(crate::clock::SystemClock::new());
        let lookups = Lookups::start(registry.clone(), clock).map_err(|error| Problem::of(Exit::Failed, &error))?;
        Ok(Self { registry, lookups: Arc::new(lookups) })
    }
}

/// What a worker needs of the registry: the ids of the schemas that its topology writes with are found, or made.
pub(super) fn book(named: Option<&Named>, checked: &Checked) -> Result<Book, Problem> {
    let framed = checked.topology.topics.iter().find(|contract| contract.is_framed());
    let Some(topic) = framed else {
        // Where nothing must have an id, it is no fault if there is nobody to ask.
        let may_be = checked.topology.topics.iter().any(|contract| contract.may_be_framed());
        return Ok(named.filter(|_| may_be).map_or_else(Book::empty, |named| Book::new(named.lookups.clone(), Vec::new())));
    };
    let Some(named) = named else {
        let text = format!("values of topic `{}` carry ids of schemas, and no schema registry is named", topic.name);
        return Err(Problem::new(Exit::Usage, text).hint("name it: `--schema-registry http://registry:8081`"));
    };
    let settled = settle(&*named.registry, checked)?;
    let ids = settled.into_iter().map(|(schema, settled)| match settled {
        Settled::Found(id) => Ok((schema, id)),
        Settled::Registered(id) => {
            tracing::info!(topic = %schema.topic, kind = %schema.kind, subject = %schema.wanted.subject, id, "schema registered");
            Ok((schema, id))
        }
        Settled::Missing => Err(missing(&schema)),
    });
    Ok(Book::new(named.lookups.clone(), ids.collect::<Result<_, _>>()?))
}

/// Finds or registers the schemas that a topology writes with.
pub(super) fn settle(registry: &dyn Registry, checked: &Checked) -> Result<Vec<(TopicSchema, Settled)>, Problem> {
    let settled = written(checked).into_iter().map(|schema| {
        let settled = registry::settle(registry, &schema.wanted).map_err(|error| failed(&error))?;
        Ok((schema, settled))
    });
    settled.collect()
}

/// The schemas of the topics that a topology writes to.
fn written(checked: &Checked) -> Vec<TopicSchema> {
    let is_written = |schema: &TopicSchema| {
        let planned = checked.plan.topics.iter().find(|planned| planned.name == schema.topic);
        planned.is_some_and(|topic| topic.roles.iter().any(|role| matches!(role, Role::Sink | Role::Events | Role::Replies)))
    };
    topic_schemas(&checked.topology).into_iter().filter(is_written).collect()
}

/// The schemas of a topology beside those of a registry.
pub(super) fn lines(registry: &dyn Registry, checked: &Checked) -> Result<Vec<TopicLine>, Problem> {
    let line = |schema: TopicSchema| {
        let standing = registry::standing(registry, &schema.wanted).map_err(|error| failed(&error))?;
        let (mark, text, problem, hint) = match standing {
            Standing::Registered(id) => (Mark::Same, format!("`{}`, id {id}", schema.kind), false, None),
            Standing::New => (Mark::Added, format!("`{}` (by `apply`, or at the start)", schema.kind), false, None),
            Standing::Incompatible(reasons) => {
                let hint = match schema.wanted.document.language {
                    Language::Protobuf => "numbers and types of fields stay as they are, and nothing new is required",
                    Language::Avro | Language::Json => "a field that is new needs a default, and none may change its type",
                };
                let hint = hint.to_owned();
                (Mark::Changed, format!("`{}` is refused: {}", schema.kind, reasons.join("; ")), true, Some(hint))
            }
            Standing::Missing => {
                let hint = "register it, or leave `auto_register` out".to_owned();
                (Mark::Added, format!("`{}` is not registered", schema.kind), true, Some(hint))
            }
        };
        Ok(TopicLine { mark, name: schema.wanted.subject, text, problem, hint })
    };
    written(checked).into_iter().map(line).collect()
}

/// A schema that somebody else should have registered.
pub(super) fn missing(schema: &TopicSchema) -> Problem {
    let text = format!("the schema of `{}` is no version of `{}` in the schema registry", schema.kind, schema.wanted.subject);
    Problem::new(Exit::Failed, text).hint(format!("topic `{}` says `auto_register: false`: register it first", schema.topic))
}

/// An error of the registry, with the code that scripts act on.
pub(super) fn failed(error: &Error) -> Problem {
    match error {
        Error::Unreachable(_) => Problem::of(Exit::BrokerUnreachable, error),
        Error::Denied(_) => Problem::of(Exit::Failed, error).hint("`--schema-registry-auth` says who asks"),
        Error::Settings(_) => Problem::of(Exit::Usage, error),
        Error::Incompatible { .. } => {
            Problem::of(Exit::Failed, error).hint("`skald plan --schema-registry` shows what is compatible")
        }
        Error::Absent(_) | Error::Unusable(_) => Problem::of(Exit::Failed, error),
    }
}
