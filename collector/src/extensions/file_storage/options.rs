//! The options of `file_storage`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::{ByteSize, Span};

/// See the documentation of the component.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    /// Where the queues are.
    pub(super) directory: PathBuf,
    /// Whether the directory is made if it is not there,
    pub(super) create_directory: bool,
    /// with these permissions.
    pub(super) directory_permissions: Permissions,
    /// How long to wait for a queue that another process has open.
    pub(super) timeout: Span,
    /// Whether a client gets its answer only when the disk has its data.
    pub(super) fsync: bool,
    /// How much of the disk the queue of one exporter and signal takes up at most.
    pub(super) max_size: ByteSize,
    /// Has no effect: space comes back as soon as what is in it is delivered.
    pub(super) compaction: Compaction,
    /// Has no effect: damage costs what is damaged, and nothing has to be made anew.
    pub(super) recreate: bool,
}

/// The bits of `chmod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Permissions(pub(super) u32);

/// What tells a wrong key from a known one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Compaction {
    directory: Option<PathBuf>,
    on_start: bool,
    on_rebound: bool,
    max_transaction_size: u64,
    rebound_needed_threshold_mib: u64,
    rebound_trigger_threshold_mib: u64,
    check_interval: Option<Span>,
    cleanup_on_start: bool,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            directory: "/var/lib/otelcol/file_storage".into(),
            create_directory: true,
            directory_permissions: Permissions(0o750),
            timeout: Span::seconds(1),
            fsync: true,
            max_size: ByteSize(1 << 30),
            compaction: Compaction::default(),
            recreate: false,
        }
    }
}

// === impl Permissions ===

impl TryFrom<String> for Permissions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if bits <= 0o777 => Ok(Self(bits)),
            _ => Err(format!(
                "expected permissions as in \"0750\", but found {text:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Options, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_the_opentelemetry_collector_are_read() {
        let options = read(
            r#"{"directory": "/x", "timeout": "2s", "fsync": false, "create_directory": false,
                "directory_permissions": "0700", "recreate": true,
                "compaction": {"on_start": true, "on_rebound": true, "directory": "/y",
                               "rebound_needed_threshold_mib": 5, "check_interval": "3s"}}"#,
        )
        .unwrap();
        assert_eq!(options.directory, PathBuf::from("/x"));
        assert_eq!(options.directory_permissions, Permissions(0o700));
        assert!(!options.fsync && !options.create_directory);
        assert!(read("{}").unwrap().fsync);
    }

    #[test]
    fn permissions_are_octal() {
        for wrong in ["rwx", "0788", "7777", ""] {
            let json = format!(r#"{{"directory_permissions": "{wrong}"}}"#);
            assert!(
                read(&json).unwrap_err().contains("as in \"0750\""),
                "{wrong}"
            );
        }
    }
}
