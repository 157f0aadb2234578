//! Brings `auth` of receivers and exporters together with the extensions that it names.

use crate::config::{ComponentId, Entry, Problem, Problems};
use crate::pipeline::{Authenticators, ExtensionConfig};

/// What the extensions that are started can do.
pub(super) fn authenticators(
    extensions: &[(ComponentId, Box<dyn ExtensionConfig>)],
) -> Authenticators {
    let mut all = Authenticators::default();
    for (id, extension) in extensions {
        if let Some(authenticator) = extension.authenticator() {
            all.insert(id.clone(), authenticator);
        }
    }
    all
}

/// Lets every component of a section find its extension; what it does not find is a problem at the place
/// of the component.
pub(super) fn resolve<T>(
    section: &str,
    entries: &[Entry],
    components: &mut [(ComponentId, T)],
    problems: &mut Problems,
    authenticate: impl Fn(&mut T) -> Result<(), String>,
) {
    for (id, component) in components {
        let Err(message) = authenticate(component) else {
            continue;
        };
        if let Some(entry) = entries.iter().find(|entry| entry.id == *id) {
            let path = format!("{section}::{id}");
            problems.push(Problem::new(&entry.place, path, message));
        }
    }
}
