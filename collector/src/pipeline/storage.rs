//! What a storage extension offers to queues.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;

/// Where and how queues are kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// The folder; each queue has one of its own in it.
    pub directory: PathBuf,
    /// Whether a payload counts as kept only when the disk has it.
    pub fsync: bool,
    /// How many bytes of the disk the queue of one exporter and signal takes up at most.
    pub max_bytes: u64,
    /// How long to wait for a folder that another process has open.
    pub lock_timeout: Duration,
}

/// The storage of one destination.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Where and how.
    pub options: StorageOptions,
    /// The memory of the process, which what is read back takes up.
    pub memory: Arc<Budget>,
}

// === impl StorageOptions ===

impl StorageOptions {
    /// The folder of a queue. The names of components may hold anything, so everything but letters,
    /// digits and a few signs is written as in URLs.
    pub(super) fn folder(&self, exporter: &str, signal: &str) -> PathBuf {
        let mut name = String::from("exporter_");
        for byte in exporter.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
                name.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
        Path::new(&self.directory).join(format!("{name}_{signal}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_an_exporter_leads_out_of_the_folder() {
        let options = StorageOptions {
            directory: "/var/lib/x".into(),
            fsync: true,
            max_bytes: 1,
            lock_timeout: Duration::ZERO,
        };
        let folder = |id| options.folder(id, "traces").display().to_string();
        assert_eq!(folder("otlp_grpc"), "/var/lib/x/exporter_otlp_grpc_traces");
        assert_eq!(
            folder("otlp_grpc/../b c"),
            "/var/lib/x/exporter_otlp_grpc%2F%2E%2E%2Fb%20c_traces"
        );
    }
}
