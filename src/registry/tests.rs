//! The client against a server that says what a test wants, and the look-ups against a registry that does.

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::codec::{Language, Lookup, Reference, Schemas};
use crate::sync::lock;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}"#;

fn avro(text: &str) -> Document {
    Document::alone(Language::Avro, text)
}

/// Answers requests in the order they come, each with a status and a body, and keeps what was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn saying(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}/api", listener.local_addr().expect("it is bound"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (keeping, answers) = (asked.clone(), answers.iter().map(|(status, body)| (*status, (*body).to_owned())));
        let answers: Vec<(u16, String)> = answers.collect();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("one more handle"));
                let (mut head, mut line, mut length) = (String::new(), String::new(), 0);
                while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                    if let Some(count) = line.to_lowercase().strip_prefix("content-length:") {
                        length = count.trim().parse().expect("a number");
                    }
                    if head.is_empty() || line.to_lowercase().starts_with("authorization") {
                        head += line.trim_end();
                        head += " ";
                    }
                    line.clear();
                }
                let mut content = vec![0; length];
                reader.read_exact(&mut content).expect("the body");
                lock(&keeping).push(format!("{head}{}", String::from_utf8_lossy(&content)));
                let answer =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                // Who has read enough hangs up.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

fn client(server: &Server) -> Http {
    Http::new(Settings { timeout: Duration::from_secs(2), ..Settings::at(&server.address) }).expect("a usable address")
}

#[test]
fn answers_have_their_class() {
    let large = format!("{{\"schema\":\"{}\"}}", " ".repeat(5 << 20));
    let cases: Vec<(Vec<(u16, &str)>, &str)> = vec![
        (vec![(200, r#"{"schema":"\"string\""}"#)], "AVRO \"string\""),
        (vec![(200, r#"{"schema":"{}","schemaType":"JSON"}"#)], "JSON {}"),
        (vec![(200, r#"{"schema":"{}","schemaType":"XML"}"#)], "Unusable(\"a schema of the kind `XML`\")"),
        (vec![(404, r#"{"error_code":40403,"message":"Schema 7 not found"}"#)], "Absent(\"schema 7\")"),
        (vec![(404, "<html>")], "Unusable(\"for schema 7: 404 Not Found\")"),
        (vec![(503, ""), (503, ""), (503, "")], "Unreachable(\"503 Service Unavailable\")"),
        (vec![(500, r#"{"error_code":50001,"message":"store"}"#), (429, ""), (200, r#"{"schema":"{}"}"#)], "AVRO {}"),
        (vec![(401, r#"{"error_code":401,"message":"who"}"#)], "Denied(\"401 Unauthorized: who\")"),
        (vec![(302, "")], "Unusable(\"for schema 7: 302 Found\")"),
        (vec![(200, "no JSON")], "Unusable(\"for schema 7: expected ident at line 1 column 2\")"),
        (vec![(200, &large)], "Unusable(\"it is larger than 4194304 bytes\")"),
    ];
    for (answers, expected) in cases {
        let server = Server::saying(&answers);
        let found = match client(&server).schema(SchemaId::Number(7)) {
            Ok(document) => format!("{} {}", document.language.name(), document.text),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(found, expected);
        assert_eq!(server.asked().len(), answers.len(), "tried as often as it helps: {expected}");
    }
    let nobody = Http::new(Settings::at("http://127.0.0.1:1")).expect("a usable address").schema(SchemaId::Number(7));
    assert!(matches!(nobody, Err(Error::Unreachable(_))), "{nobody:?}");
}

#[test]
fn schemas_come_with_those_they_refer_to_each_after_its_own() {
    let server = Server::saying(&[
        (
            200,
            r#"{"schema":"A","references":[{"name":"b","subject":"b/1","version":2},{"name":"c","subject":"c","version":1}]}"#,
        ),
        (200, r#"{"schema":"B","id":2,"version":2,"references":[{"name":"c","subject":"c","version":1}]}"#),
        (200, r#"{"schema":"C","id":3,"version":1}"#),
    ]);
    let document = client(&server).schema(SchemaId::Guid(uuid::Uuid::from_u128(1))).expect("all are there");
    assert_eq!(document.referred(), ["C", "B"]);
    assert_eq!(document.named().map(|one| &*one.name).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(
        server.asked(),
        [
            "GET /api/schemas/guids/00000000-0000-0000-0000-000000000001 HTTP/1.1 ",
            "GET /api/subjects/b%2F1/versions/2 HTTP/1.1 ",
            "GET /api/subjects/c/versions/1 HTTP/1.1 ",
        ]
    );
}

#[test]
fn subjects_are_asked_registered_and_compared() {
    let server = Server::saying(&[
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#),
        (200, r#"{"is_compatible":false,"messages":["reader type: STRING"]}"#),
        (409, r#"{"error_code":409,"message":"incompatible"}"#),
        (200, r#"{"id":4}"#),
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#),
    ]);
    let client = client(&server);
    let order = avro(ORDER);
    assert_eq!(client.find("orders-value", &order), Ok(None));
    assert_eq!(client.objections("orders-value", &order), Ok(vec!["reader type: STRING".to_owned()]));
    assert!(matches!(client.register("orders-value", &order), Err(Error::Incompatible { .. })));
    assert_eq!(client.register("orders-value", &order), Ok(4));
    assert_eq!(client.objections("new", &order), Ok(Vec::new()), "a subject without versions takes any");
    let body = serde_json::json!({"schema": ORDER, "schemaType": "AVRO"}).to_string();
    assert_eq!(server.asked()[0], format!("POST /api/subjects/orders-value?normalize=true HTTP/1.1 {body}"));
}

/// A schema of a file, which needs another one of a file.
fn importing() -> Document {
    let line = r#"{"type":"record","name":"Line","fields":[]}"#;
    let text = r#"{"type":"record","name":"Order","fields":[{"name":"line","type":"Line"}]}"#;
    let line = Reference { name: "Line".into(), subject: "lines".into(), version: None, text: line.into(), uses: Vec::new() };
    Document { references: vec![line], uses: vec![0], ..avro(text) }
}

#[test]
fn what_a_schema_refers_to_is_registered_before_it_and_named_by_its_version() {
    let server = Server::saying(&[
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#),
        (200, r#"{"id":3}"#),
        (200, r#"{"id":3,"version":2}"#),
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#),
        (200, r#"{"id":4}"#),
    ]);
    let wanted = Wanted { subject: "orders-value".into(), document: importing(), auto_register: true };
    assert_eq!(settle(&client(&server), &wanted), Ok(Settled::Registered(4)));
    let asked = server.asked();
    assert!(asked[1].starts_with("POST /api/subjects/lines/versions"), "{asked:?}");
    assert!(asked[4].contains(r#""references":[{"name":"Line","subject":"lines","version":2}]"#), "{asked:?}");

    let registry = Embedded::new();
    assert_eq!(standing(&registry, &wanted), Ok(Standing::New));
    assert_eq!(settle(&registry, &Wanted { auto_register: false, ..wanted.clone() }), Ok(Settled::Missing));
    let Ok(Settled::Registered(id)) = settle(&registry, &wanted) else { panic!("it is new") };
    assert_eq!(standing(&registry, &wanted), Ok(Standing::Registered(id)));
    let kept = registry.schema(SchemaId::Number(id)).expect("it is there");
    assert_eq!(kept.references[0].version, Some(1));
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let answer = (200, r#"{"schema":"{}"}"#);
    let server = Server::saying(&[answer, answer]);
    let basic = Auth::Basic { user: "u".into(), password: "secret".into() };
    for auth in [basic, Auth::Bearer("secret".into())] {
        let settings = Settings { auth, ..Settings::at(&server.address) };
        assert!(!format!("{settings:?}").contains("secret"));
        let client = Http::new(settings).expect("a usable address");
        assert!(!format!("{client:?}").contains("secret"));
        client.schema(SchemaId::Number(1)).expect("it is there");
    }
    assert!(server.asked()[0].contains("Basic dTpzZWNyZXQ="), "{:?}", server.asked());
    assert!(server.asked()[1].contains("Bearer secret"));
}

#[test]
fn addresses_that_cannot_be_meant_are_refused() {
    for url in ["registry:8081", "ftp://a", "http://u:p@a", "http://a/?x=1", ""] {
        let refused = Http::new(Settings::at(url));
        assert!(matches!(refused, Err(Error::Settings(_))), "{url}: {refused:?}");
        assert!(!refused.expect_err("refused").to_string().contains("u:p"));
    }
    let settings = Settings { authorities: Some(b"no PEM".to_vec()), ..Settings::at("https://a") };
    assert!(matches!(Http::new(settings), Err(Error::Settings(_))));
}

#[test]
fn the_registry_in_this_process_has_versions_and_refuses_what_cannot_read_the_one_before() {
    let registry = Embedded::new();
    let [first, second, wrong] = [
        ORDER.to_owned(),
        ORDER.replace("]}", r#",{"name":"n","type":"int","default":0}]}"#),
        ORDER.replace("\"string\"", "\"int\""),
    ]
    .map(|text| avro(&text));
    let id = registry.register("orders-value", &first).expect("the first");
    assert_eq!(Embedded::new().register("other", &first), Ok(id), "an id follows from the schema");
    assert_eq!(registry.register("orders-value", &first), Ok(id));
    assert!(matches!(registry.register("orders-value", &wrong), Err(Error::Incompatible { .. })));
    assert_eq!(registry.objections("orders-value", &wrong).expect("an answer").len(), 1);
    let newer = registry.register("orders-value", &second).expect("compatible");
    assert_eq!(registry.version("orders-value", None).map(|version| (version.id, version.version)), Ok((newer, 2)));
    assert_eq!(registry.version("orders-value", Some(1)).map(|version| version.id), Ok(id));
    assert!(matches!(registry.version("orders-value", Some(3)), Err(Error::Absent(_))));
    let wanted = |auto_register| Wanted { subject: "fresh".into(), document: first.clone(), auto_register };
    assert_eq!(standing(&registry, &wanted(false)), Ok(Standing::Missing));
    assert_eq!(standing(&registry, &wanted(true)), Ok(Standing::New));
    assert_eq!(settle(&registry, &wanted(false)), Ok(Settled::Missing));
    assert_eq!(settle(&registry, &wanted(true)), Ok(Settled::Registered(id)));
    assert_eq!(settle(&registry, &wanted(true)), Ok(Settled::Found(id)));
}

/// Says what it was told to say, then that it is not there.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<Document>>>,
    asked: Mutex<Vec<SchemaId>>,
}

impl Registry for Scripted {
    fn schema(&self, id: SchemaId) -> Result<Document> {
        lock(&self.asked).push(id);
        lock(&self.answers).pop_front().unwrap_or_else(|| Err(Error::Absent("schema".into())))
    }
    fn version(&self, _: &str, _: Option<u32>) -> Result<Version> {
        unreachable!("nobody asks")
    }
    fn find(&self, _: &str, _: &Document) -> Result<Option<Place>> {
        unreachable!("nobody asks")
    }
    fn register(&self, _: &str, _: &Document) -> Result<u32> {
        unreachable!("nobody asks")
    }
    fn objections(&self, _: &str, _: &Document) -> Result<Vec<String>> {
        unreachable!("nobody asks")
    }
}

fn until_known(lookups: &Lookups, id: SchemaId) -> Lookup {
    let clock = SystemClock::new();
    loop {
        match lookups.find(id) {
            Lookup::Pending => assert!(clock.mono() < Duration::from_secs(20), "the registry was not asked"),
            known => return known,
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_registry_that_does_not_answer_is_asked_until_it_does_and_then_no_more() {
    let registry = Arc::new(Scripted::default());
    let troubles =
        [Error::Unreachable("down".into()), Error::Denied("who".into()), Error::Unusable("a page of a proxy".into())];
    lock(&registry.answers).extend(troubles.into_iter().map(Err).chain([Ok(avro(ORDER))]));
    let lookups = Lookups::start(registry.clone(), Arc::new(SystemClock::new())).expect("a thread");
    let id = SchemaId::Number(7);
    assert!(matches!(lookups.find(id), Lookup::Pending), "nobody waits");
    assert!(matches!(until_known(&lookups, id), Lookup::Found(document) if *document == avro(ORDER)));
    for _ in 0..100 {
        assert!(matches!(lookups.find(id), Lookup::Found(_)));
    }
    assert_eq!(lock(&registry.asked).len(), 4, "once for each answer");
}

#[test]
fn an_id_that_does_not_exist_is_remembered_and_ids_are_rationed() {
    let registry = Arc::new(Scripted::default());
    let lookups = Lookups::start(registry.clone(), Arc::new(SystemClock::new())).expect("a thread");
    assert!(matches!(until_known(&lookups, SchemaId::Number(1)), Lookup::Absent));
    assert!(matches!(lookups.find(SchemaId::Number(1)), Lookup::Absent));
    assert_eq!(lock(&registry.asked).len(), 1);
    let clock = SystemClock::new();
    for id in 0..26 {
        lookups.find(SchemaId::Number(id));
    }
    until_known(&lookups, SchemaId::Number(25));
    let asked = lock(&registry.asked).len();
    let most = 22 + clock.mono().as_millis() as usize / 100;
    assert!(asked <= most, "{asked} questions where {most} are the most");
}
