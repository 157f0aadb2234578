//! The components of one section: those that are used are there, and are configured.

use crate::config::{ComponentId, Entry, Former, Problem, Problems, Reference, Section, nearest};

/// The components of one section.
pub(super) struct Kind<'a> {
    pub(super) section: &'static str,
    pub(super) entries: &'a [Entry],
    /// Every name that is available, and the former ones with the present name.
    pub(super) available: Vec<&'static str>,
    pub(super) former: Vec<(&'static str, &'static str)>,
    /// Former names of options, by the name of the component.
    pub(super) former_options: Vec<(&'static str, &'static [Former])>,
}

// === impl Kind ===

impl Kind<'_> {
    /// Every component that is used is there. One that is there need not be used.
    pub(super) fn check_uses<'a>(
        &self,
        uses: &(impl Iterator<Item = &'a Reference> + Clone),
        warnings: &mut Vec<String>,
        problems: &mut Problems,
    ) {
        let section = self.section;
        for used in uses.clone() {
            if self.entries.iter().any(|entry| entry.id == used.id) {
                continue;
            }
            let names: Vec<String> = self.entries.iter().map(|e| e.id.to_string()).collect();
            let id = used.id.to_string();
            let hint = match nearest(&id, names.iter().map(String::as_str)).first() {
                Some(name) => format!("; did you mean {name:?}?"),
                None => String::new(),
            };
            let message = format!("{id:?} is used, but not defined in \"{section}\"{hint}");
            problems.push(Problem::new(&used.place, "service", message));
        }
        for entry in self.entries {
            if !uses.clone().any(|used| used.id == entry.id) {
                warnings.push(format!(
                    "{}: {section}: \"{}\" is defined, but not used in \"service\"; it is not \
                     started",
                    entry.place, entry.id
                ));
            }
        }
    }

    /// Configures every component; `configure` returns `None` for a name that it does not know.
    pub(super) fn configure<T>(
        &self,
        warnings: &mut Vec<String>,
        problems: &mut Problems,
        configure: impl Fn(&str, &Section<'_>) -> Option<Result<T, Problems>>,
    ) -> Vec<(ComponentId, T)> {
        let mut configured = Vec::new();
        for entry in self.entries {
            let path = format!("{}::{}", self.section, entry.id);
            let former = self.former.iter().find(|(name, _)| *name == entry.id.kind);
            let name = match former {
                Some((former, name)) => {
                    warnings.push(format!(
                        "{}: {path}: {former:?} is the former name of {name:?}; please write the \
                         new one",
                        entry.place
                    ));
                    name
                }
                None => entry.id.kind.as_str(),
            };
            let mut options = entry.options.clone();
            let former = self.former_options.iter().filter(|(kind, _)| *kind == name);
            for option in former.flat_map(|(_, options)| *options) {
                option.apply(&mut options, &path, warnings, problems);
            }
            match configure(name, &Section::new(&options, path.as_str())) {
                Some(result) => {
                    let config = problems.note(result);
                    configured.extend(config.map(|config| (entry.id.clone(), config)));
                }
                None => problems.push(Problem::new(&entry.place, path, self.unknown(name))),
            }
        }
        configured
    }

    fn unknown(&self, name: &str) -> String {
        if self.available.is_empty() {
            return format!(
                "{name:?} is not available in this version, which has none of its kind"
            );
        }
        let hint = match nearest(name, self.available.iter().copied()).first() {
            Some(near) => format!("; did you mean {near:?}?"),
            None => String::new(),
        };
        let available = self.available.join(", ");
        format!("{name:?} is not available in this version, which has: {available}{hint}")
    }
}

/// Leaves out what is defined only: it must not open ports or files.
pub(super) fn keep_used<'a, T>(
    components: &mut Vec<(ComponentId, T)>,
    uses: &(impl Iterator<Item = &'a Reference> + Clone),
) {
    components.retain(|(id, _)| uses.clone().any(|used| used.id == *id));
}
