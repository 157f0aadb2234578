//! Nothing that a user writes or a client sends makes the collector panic.

use std::io;
use std::path::Path;

use proptest::prelude::*;
use spanmesh_collector::config::{Effective, Environment, Form, Source};
use spanmesh_collector::service::{DEFAULT_CONFIG, Plan};
use spanmesh_collector::transport::{DecompressError, Encoding, decompress};

struct Echo;

impl Environment for Echo {
    fn variable(&self, name: &str) -> Option<String> {
        (!name.starts_with('N')).then(|| name.to_owned())
    }

    /// Files hold their names; no real one is read.
    fn file(&self, path: &Path) -> io::Result<String> {
        Ok(path.display().to_string())
    }
}

fn load(text: &str) -> Result<Plan, String> {
    let files = [("c.yaml".to_owned(), text.to_owned())];
    Plan::load(&files, &Echo).map_err(|problems| problems.to_string())
}

/// A configuration with one part of it replaced.
fn damaged() -> impl Strategy<Value = String> {
    let chars: Vec<char> = DEFAULT_CONFIG.chars().collect();
    let length = chars.len();
    (
        0..length,
        0..20_usize,
        "[a-z0-9:{}\\[\\],$&*!#'\"\\- \n]{0,8}",
    )
        .prop_map(move |(start, cut, insert)| {
            let end = (start + cut).min(length);
            let head: String = chars[..start].iter().collect();
            let tail: String = chars[end..].iter().collect();
            format!("{head}{insert}{tail}")
        })
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read(text in "\\PC{0,200}") {
        // A text that holds a whole configuration does not come about by chance.
        let message = load(&text).unwrap_err();
        prop_assert!(!message.is_empty());
    }

    #[test]
    fn damaged_configurations_are_refused_with_a_place_or_read(text in damaged()) {
        if let Err(message) = load(&text) {
            for line in message.lines() {
                let placed = line.starts_with("c.yaml:");
                prop_assert!(placed || line.contains("\"service\" is missing"), "{}", line);
            }
        }
    }

    #[test]
    fn any_source_is_refused_or_read(
        location in "(env:|file:|yaml:|[a-z]{2}:)?\\PC{0,40}", assignment in "\\PC{0,40}"
    ) {
        for source in [Source::parse(&location), Source::set(&assignment)].into_iter().flatten() {
            let sources = [Source::text("c.yaml", DEFAULT_CONFIG), source];
            if let Err(problems) = Effective::read(&sources, &Echo).and_then(Plan::new) {
                prop_assert!(!problems.is_empty());
            }
        }
    }

    #[test]
    fn any_reference_is_refused_or_expanded(text in "(\\$|\\{|\\}|:-|:|env|file|yaml|N|a|\\[| ){0,16}") {
        let text = format!("receivers: {}\n", serde_json::Value::from(text));
        let sources = [Source::text("c.yaml", text)];
        if let Err(problems) = Effective::read(&sources, &Echo) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same(text in damaged()) {
        let read = |text: &str| {
            let sources = [Source::text("c.yaml", text.replace('$', "_"))];
            Effective::read(&sources, &Echo)
        };
        if let Ok(effective) = read(&text) {
            let again = read(&effective.render(Form::Yaml)).unwrap();
            prop_assert_eq!(again.render(Form::Json), effective.render(Form::Json));
            prop_assert_eq!(again.masked().render(Form::Json), effective.masked().render(Form::Json));
        }
    }

    #[test]
    fn values_of_any_kind_are_refused_or_read(value in "\\PC{0,30}") {
        for key in ["timeout", "send_batch_size"] {
            let text = format!(
                "receivers: {{otlp: }}\nprocessors:\n  batch:\n    {key}: {value}\n\
                 exporters: {{nop: }}\nservice: {{pipelines: {{logs: {{receivers: [otlp], \
                 processors: [batch], exporters: [nop]}}}}}}\n"
            );
            if let Err(message) = load(&text) {
                prop_assert!(!message.is_empty());
            }
        }
    }

    #[test]
    fn bodies_never_grow_past_the_limit(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Zlib] {
            let read = decompress(encoding, body.clone().into(), 100, |_| Ok::<_, DecompressError>(()));
            if let Ok(plain) = read {
                prop_assert!(plain.len() <= 100);
            }
        }
    }
}
