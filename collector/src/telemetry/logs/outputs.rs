//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

/// All places that every line goes to. Clones are the same places.
#[derive(Clone, Debug, Default)]
pub(super) struct Outputs(Arc<Vec<Output>>);

#[derive(Debug)]
enum Output {
    Stderr,
    Stdout,
    File(File),
}

// === impl Outputs ===

impl Outputs {
    /// `stderr`, `stdout` and names of files, which are appended to.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(super) fn open(paths: &[String]) -> Result<Self, String> {
        let outputs = paths.iter().map(|path| match path.as_str() {
            "stderr" => Ok(Output::Stderr),
            "stdout" => Ok(Output::Stdout),
            path => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                file.map(Output::File).map_err(|error| {
                    format!("service::telemetry::logs: cannot write to {path}: {error}")
                })
            }
        });
        Ok(Self(Arc::new(outputs.collect::<Result<_, _>>()?)))
    }
}

/// A line comes as a whole, so that lines of several threads do not mix.
impl Write for Outputs {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for output in self.0.iter() {
            // One that fails does not keep the others from getting the line.
            let _ = match output {
                Output::Stderr => io::stderr().write_all(line),
                Output::Stdout => io::stdout().write_all(line),
                Output::File(file) => (&*file).write_all(line),
            };
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log").display().to_string();
        for line in ["a\n", "b\n"] {
            let mut outputs = Outputs::open(std::slice::from_ref(&path)).unwrap();
            outputs.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\n");
        let nowhere = format!("{path}/x");
        let error = Outputs::open(std::slice::from_ref(&nowhere)).unwrap_err();
        assert!(error.contains(&nowhere), "{error}");
    }
}
