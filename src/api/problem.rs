//! What an endpoint answers when it cannot answer: one list, one function from kind to status.

use crate::record::{Partition, Text};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such path.
    UnknownPath,
    /// The path exists, with other methods.
    Method,
    /// Path or query are no UTF-8 text, or not of the form that the endpoint takes.
    Malformed,
    /// No topology of this process has such a node.
    UnknownAggregate(Text),
    /// Several topologies of this process have it.
    Ambiguous {
        /// Name of the node.
        name: Text,
        /// The topologies.
        topologies: Vec<Text>,
    },
    /// No topology of this process has such a saga.
    UnknownSaga,
    /// Several sagas of this process could be meant.
    AmbiguousSaga {
        /// They: topology and name.
        sagas: Vec<Text>,
    },
    /// The condition cannot be used.
    Expression {
        /// What is wrong with it.
        findings: Vec<Text>,
    },
    /// The key has no state.
    NoState,
    /// Another worker owns the key.
    Elsewhere {
        /// Its partition.
        partition: Partition,
        /// Topic whose partition that is, where the state can be read too.
        snapshots: Text,
    },
    /// The task of the key is being restored here.
    Restoring {
        /// The partition.
        partition: Partition,
        /// Changelog records read.
        done: u64,
        /// Changelog records in all.
        total: u64,
    },
    /// The store could not be read.
    Store,
    /// The answer took too long.
    Timeout,
    /// No topology of this process has such a name.
    UnknownTopology,
    /// The same is being asked or done right now.
    Busy,
    /// The cluster does not answer, or refuses.
    Cluster(Text),
    /// Somebody else works on the same letters now.
    TakenOver,
    /// What is to be done cannot be understood.
    Act(Text),
    /// The body is of another type.
    Kind,
    /// Acts are not taken at this address.
    NoActs,
    /// The request has a body, and a large one.
    BodyTooLarge,
    /// The request is for another host: a web page that was made to point here must not read from the loopback address.
    Host,
}

impl Problem {
    /// The status: whose fault it is and whether to try again (`421`: the request is right, the server is the wrong one).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath | Self::UnknownAggregate(_) | Self::UnknownSaga | Self::NoState => StatusCode::NOT_FOUND,
            Self::UnknownTopology => StatusCode::NOT_FOUND,
            Self::Cluster(_) => StatusCode::BAD_GATEWAY,
            Self::TakenOver => StatusCode::CONFLICT,
            Self::Act(_) => StatusCode::BAD_REQUEST,
            Self::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoActs => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Malformed | Self::Ambiguous { .. } | Self::AmbiguousSaga { .. } | Self::Expression { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::Elsewhere { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Restoring { .. } | Self::Timeout | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Host => StatusCode::FORBIDDEN,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPath => "UNKNOWN_PATH",
            Self::UnknownTopology => "UNKNOWN_TOPOLOGY",
            Self::Busy => "BUSY",
            Self::Cluster(_) => "CLUSTER",
            Self::TakenOver => "TAKEN_OVER",
            Self::Act(_) => "MALFORMED_ACT",
            Self::Kind => "MEDIA_TYPE",
            Self::NoActs => "NO_ACTS",
            Self::Method => "METHOD_NOT_ALLOWED",
            Self::Malformed => "MALFORMED",
            Self::UnknownAggregate(_) => "UNKNOWN_AGGREGATE",
            Self::UnknownSaga => "UNKNOWN_SAGA",
            Self::Ambiguous { .. } | Self::AmbiguousSaga { .. } => "AMBIGUOUS",
            Self::Expression { .. } => "EXPRESSION",
            Self::NoState => "NOT_FOUND",
            Self::Elsewhere { .. } => "ELSEWHERE",
            Self::Restoring { .. } => "RESTORING",
            Self::Store => "STORE",
            Self::Timeout => "TIMEOUT",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::Host => "HOST",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::UnknownPath => {
                "there are /livez, /readyz, /metrics, /v1/topology, /v1/aggregates/{name}/{id}, /v1/sagas, /v1/sagas/{id}, \
                 /v1/dead-letters and /v1/dead-letters/{partition}:{offset}"
                    .into()
            }
            Self::UnknownTopology => "no such topology runs in this worker; see /v1/topology".into(),
            Self::Busy => "another request reads these dead letters".into(),
            Self::Cluster(said) => said.to_string(),
            Self::TakenOver => "somebody else works on these dead letters now; what was done before is done, once".into(),
            Self::Act(why) => why.to_string(),
            Self::Kind => "an act is `application/json`".into(),
            Self::NoActs => "acts are taken on a loopback address only: here is no access control".into(),
            Self::Method => "these endpoints are read with GET; acts on dead letters are sent with POST".into(),
            Self::Malformed => "path and query are UTF-8 text, percent-encoded".into(),
            Self::UnknownAggregate(name) => format!("no topology of this worker has an aggregate `{name}`; see /v1/topology"),
            Self::UnknownSaga => "no topology of this worker has such a saga; see /v1/topology".into(),
            Self::AmbiguousSaga { .. } => "several sagas could be meant: add `?topology=` or `&saga=`".into(),
            Self::Expression { .. } => "the condition in `where` cannot be used".into(),
            Self::Ambiguous { name, .. } => format!("several topologies have `{name}`: add `?topology=`"),
            Self::NoState => "nothing is known under this id".into(),
            Self::Elsewhere { partition, snapshots } => {
                format!("another worker owns partition {partition}; the state is also in topic `{snapshots}`")
            }
            Self::Restoring { done, total, .. } => format!("the state is being restored: {done} of {total} records"),
            Self::Store => "the store could not be read; the log says why".into(),
            Self::Timeout => "the answer took too long".into(),
            Self::BodyTooLarge => "these endpoints take no such body".into(),
            Self::Host => "on the loopback address only requests for localhost are answered".into(),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        let value = match self {
            Self::Ambiguous { topologies, .. } => json!({ "topologies": topologies }),
            Self::AmbiguousSaga { sagas } => json!({ "sagas": sagas }),
            Self::Expression { findings } => json!({ "findings": findings }),
            Self::Elsewhere { partition, snapshots } => json!({ "partition": partition, "topic": snapshots }),
            Self::Restoring { partition, done, total } => json!({ "partition": partition, "done": done, "total": total }),
            _ => Value::Null,
        };
        if let Value::Object(map) = value { map } else { Map::new() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut body = Map::new();
        body.insert("type".into(), "about:blank".into());
        body.insert("title".into(), status.canonical_reason().unwrap_or_default().into());
        body.insert("status".into(), status.as_u16().into());
        body.insert("code".into(), self.code().into());
        body.insert("detail".into(), self.detail().into());
        body.extend(self.extra());
        let mut response = (status, Value::Object(body).to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
