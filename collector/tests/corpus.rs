//! Configurations as people write them, with what is said of each: nothing or warnings of those
//! that are valid, and every problem with its place of those that are not.
//!
//! What is expected of `wrong/NAME.yaml` stands in `wrong/NAME.txt`, without the names of files. To
//! take it anew, run with `UPDATE=1` and read the difference.

use std::path::{Path, PathBuf};

use spanmesh_collector::config::{Effective, Environment, Problems, Source};
use spanmesh_collector::service::Plan;

struct Fixed {
    certificates: tempfile::TempDir,
}

impl Fixed {
    fn new() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let at = |name: &str| certificates.path().join(name);
        std::fs::write(at("server.pem"), signed.cert.pem()).unwrap();
        std::fs::write(at("server.key"), signed.signing_key.serialize_pem()).unwrap();
        Self { certificates }
    }
}

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        let value = match name {
            "CERTIFICATES" => self.certificates.path().to_str().unwrap(),
            "CLUSTER" => "north",
            "TOKEN" => "secret",
            "QUEUE_SIZE" => "5000",
            _ => return None,
        };
        Some(value.to_owned())
    }
}

fn configurations(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/configs")
        .join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    paths
}

fn load(text: &str) -> Result<Plan, Problems> {
    let sources = [Source::text("c", text)];
    Effective::read(&sources, &Fixed::new()).and_then(Plan::new)
}

#[test]
fn what_people_write_is_valid() {
    for path in configurations("valid") {
        let text = std::fs::read_to_string(&path).unwrap();
        let plan = load(&text).unwrap_or_else(|problems| panic!("{}:\n{problems}", path.display()));
        let expected: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# warning: "))
            .map(|warning| format!("c:{warning}"))
            .collect();
        let mut warnings = plan.warnings().to_vec();
        warnings.sort();
        assert_eq!(warnings, expected, "{}", path.display());
    }
}

#[test]
fn every_problem_is_said_with_its_place() {
    for path in configurations("wrong") {
        let text = std::fs::read_to_string(&path).unwrap();
        let problems = load(&text).unwrap_err();
        let mut found = String::new();
        for problem in problems.iter() {
            let line = problem.to_string();
            let line = line.strip_prefix("c:").unwrap_or(&line);
            // Which components there are is not what this is about.
            let line = line.split(", which has").next().unwrap();
            found.push_str(line);
            found.push('\n');
        }
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn what_is_printed_means_the_same() {
    use spanmesh_collector::config::Form;
    for path in configurations("valid") {
        let environment = Fixed::new();
        let read = |text: &str| {
            let sources = [Source::text("c", text)];
            Effective::read(&sources, &environment).unwrap()
        };
        let first = read(&std::fs::read_to_string(&path).unwrap());
        let again = read(&first.render(Form::Yaml));
        assert_eq!(first.render(Form::Json), again.render(Form::Json));
        Plan::new(again).unwrap();
        let masked = first.masked().render(Form::Yaml);
        assert!(!masked.contains("secret"), "{masked}");
    }
}
