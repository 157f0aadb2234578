//! The command line of `doctor`.

use std::time::Duration;

/// Say what is wrong with running collectors, and what to do about it.
///
/// The exit status is 0 if nothing is wrong, 1 if something is, and 2 if that cannot be told.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorOptions {
    /// Where collectors run: hosts or addresses, as of pods; with a port, it is that of the metrics.
    #[arg(value_name = "HOST", default_value = "localhost")]
    pub hosts: Vec<String>,

    /// Where their metrics are.
    #[arg(long, value_name = "PORT", default_value_t = 8888)]
    pub metrics_port: u16,

    /// Where their `health_check` answers.
    #[arg(long, value_name = "PORT", default_value_t = 13133)]
    pub health_port: u16,

    /// The path at which it does; without it `/` and then `/status`.
    #[arg(long, value_name = "PATH")]
    pub health_path: Option<String>,

    /// Where their `zpages` are, which know why a destination fails.
    #[arg(long, value_name = "PORT", default_value_t = 55679)]
    pub zpages_port: u16,

    /// How many seconds to watch, to tell what happens now from what happened once.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub seconds: u64,

    /// How many seconds an answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub timeout: u64,

    /// How many days before its end a certificate is something to be told of.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub certificate_days: u32,
}

/// Where one collector is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// As it was given.
    pub(super) given: String,
    /// A name or an address, without brackets.
    pub(super) name: String,
    pub(super) metrics_port: u16,
}

// === impl DoctorOptions ===

impl DoctorOptions {
    pub(super) fn hosts(&self) -> Vec<Host> {
        let hosts = self.hosts.iter();
        hosts.map(|text| self.host(text)).collect()
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn host(&self, text: &str) -> Host {
        let bare = |name: &str| {
            let name = name.strip_prefix('[').unwrap_or(name);
            name.strip_suffix(']').unwrap_or(name).to_owned()
        };
        // An IPv6 address has several colons, and with a port it stands in brackets.
        if let Some((name, port)) = text.rsplit_once(':')
            && (!name.contains(':') || name.ends_with(']'))
            && let Ok(metrics_port) = port.parse()
        {
            return Host {
                given: text.to_owned(),
                name: bare(name),
                metrics_port,
            };
        }
        Host {
            given: text.to_owned(),
            name: bare(text),
            metrics_port: self.metrics_port,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        options: DoctorOptions,
    }

    #[test]
    fn hosts_may_have_the_port_of_their_metrics() {
        let p = |text: &str| {
            let command = Command::parse_from(["doctor", text]);
            let host = command.options.hosts().remove(0);
            (host.name, host.metrics_port)
        };
        assert_eq!(p("10.0.0.1"), ("10.0.0.1".to_owned(), 8888));
        assert_eq!(p("pod-0:9999"), ("pod-0".to_owned(), 9999));
        assert_eq!(p("::1"), ("::1".to_owned(), 8888));
        assert_eq!(p("[::1]"), ("::1".to_owned(), 8888));
        assert_eq!(p("[::1]:9999"), ("::1".to_owned(), 9999));
        let nowhere = Command::parse_from(["doctor"]).options.hosts();
        assert_eq!(nowhere[0].name, "localhost");
    }
}
