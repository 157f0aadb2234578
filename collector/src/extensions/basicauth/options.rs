//! The options of the `basicauth` extension.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::Secret;

/// The options; one of both.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    /// For receivers: who may send.
    pub(super) htpasswd: Option<UserOptions>,
    /// For exporters: who we are.
    pub(super) client_auth: Option<ClientOptions>,
}

/// `htpasswd`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UserOptions {
    /// A file in the format of `htpasswd`.
    pub(super) file: Option<PathBuf>,
    /// The same, which goes before the file.
    pub(super) inline: Option<Secret>,
}

/// `client_auth`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClientOptions {
    username: Option<String>,
    /// Goes before `username`.
    username_file: Option<PathBuf>,
    password: Option<Secret>,
    /// Goes before `password`.
    password_file: Option<PathBuf>,
}

/// How often files are looked at.
pub(super) const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

// === impl ClientOptions ===

impl ClientOptions {
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let files = [&self.username_file, &self.password_file];
        files.into_iter().flatten().cloned().collect()
    }

    /// The user name and the password.
    ///
    /// # Errors
    /// A sentence that says what is missing, or which file cannot be read.
    pub(super) fn read(&self) -> Result<(String, String), String> {
        let user = match (&self.username_file, &self.username) {
            (Some(file), _) => read(file)?,
            (None, Some(name)) => name.clone(),
            (None, None) => {
                return Err("client_auth: expected \"username\" or \"username_file\"".to_owned());
            }
        };
        let password = match (&self.password_file, &self.password) {
            (Some(file), _) => read(file)?,
            (None, Some(password)) => password.expose().to_owned(),
            (None, None) => {
                return Err("client_auth: expected \"password\" or \"password_file\"".to_owned());
            }
        };
        Ok((user, password))
    }
}

/// The text of a file without the line break that editors leave at its end.
fn read(file: &PathBuf) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
