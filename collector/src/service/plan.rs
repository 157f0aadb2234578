//! What a configuration asks for, once nothing is wrong with it.

use std::collections::BTreeMap;
use std::fmt;

use spanmesh_otlp::Signal;

use super::authentication;
use super::self_export::Push;
use super::telemetry_options::TelemetryOptions;
use super::{endpoints, wiring};
use crate::config::{
    ComponentId, Document, Effective, Entry, Environment, Former, Node, PipelineEntry, Problem,
    Problems, Reference, Section, Source, nearest,
};
use crate::pipeline::{
    ConnectorConfig, ExporterConfig, ExtensionConfig, Layout, ProcessorConfig, ReceiverConfig,
    WiredPipeline,
};
use crate::{connectors, exporters, extensions, processors, receivers};

/// Components that are configured, and how they are wired. Nothing runs yet, and no port is open.
pub struct Plan {
    pub(super) receivers: Vec<(ComponentId, Box<dyn ReceiverConfig>)>,
    pub(super) processors: BTreeMap<ComponentId, Box<dyn ProcessorConfig>>,
    pub(super) exporters: Vec<(ComponentId, Box<dyn ExporterConfig>)>,
    pub(super) connectors: BTreeMap<ComponentId, Box<dyn ConnectorConfig>>,
    pub(super) extensions: Vec<(ComponentId, Box<dyn ExtensionConfig>)>,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) telemetry: TelemetryOptions,
    /// Where the collector's own metrics are sent to.
    pub(super) pushes: Vec<Push>,
    /// What is written of exporters and extensions, to tell whether another configuration says the
    /// same.
    pub(super) exporter_options: BTreeMap<ComponentId, Node>,
    pub(super) extension_options: BTreeMap<ComponentId, Node>,
    warnings: Vec<String>,
}

/// How one pipeline is wired. Invariants: all components exist, and connectors lead in no circle.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// As it is written: `traces`, `traces/audit`.
    pub(super) name: String,
    pub(super) signal: Signal,
    /// Receivers, and connectors that it is behind.
    pub(super) receivers: Vec<ComponentId>,
    pub(super) processors: Vec<ComponentId>,
    /// Exporters, and connectors that it leads to.
    pub(super) exporters: Vec<ComponentId>,
}

/// The components of one section.
struct Kind<'a> {
    section: &'static str,
    entries: &'a [Entry],
    /// Every name that is available, and the former ones with the present name.
    available: Vec<&'static str>,
    former: Vec<(&'static str, &'static str)>,
    /// Former names of options, by the name of the component.
    former_options: Vec<(&'static str, &'static [Former])>,
}

// === impl Plan ===

impl Plan {
    /// Reads configuration files (name and text), the later ones over the earlier ones.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(
        files: &[(String, String)],
        environment: &dyn Environment,
    ) -> Result<Self, Problems> {
        let sources = files.iter();
        let sources: Vec<Source> = sources
            .map(|(name, text)| Source::text(name, text))
            .collect();
        Self::new(Effective::read(&sources, environment)?)
    }

    /// What should be changed in the configuration although it works.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the collector tells of itself.
    pub fn telemetry(&self) -> &TelemetryOptions {
        &self.telemetry
    }

    /// Who leads where, by name.
    pub(super) fn layout(&self) -> Layout {
        let names = |ids: &[ComponentId]| ids.iter().map(ToString::to_string).collect();
        let pipelines = self.pipelines.iter().map(|pipeline| WiredPipeline {
            name: pipeline.name.clone(),
            signal: pipeline.signal.name(),
            receivers: names(&pipeline.receivers),
            processors: names(&pipeline.processors),
            exporters: names(&pipeline.exporters),
        });
        let extensions = self.extensions.iter().map(|(id, _)| id.to_string());
        Layout {
            pipelines: pipelines.collect(),
            extensions: extensions.collect(),
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(effective: Effective) -> Result<Self, Problems> {
        let document = Document::new(effective);
        let mut problems = document.problems.clone();
        let mut warnings = document.warnings.clone();

        let kind = Kind {
            section: "receivers",
            entries: &document.receivers,
            available: receivers::REGISTRY.iter().map(|f| f.kind()).collect(),
            former: Vec::new(),
            former_options: receivers::REGISTRY
                .iter()
                .map(|f| (f.kind(), f.former_options()))
                .collect(),
        };
        let is_connector = |used: &&Reference| document.connectors.iter().any(|c| c.id == used.id);
        let uses = document.pipelines.iter().flat_map(|p| &p.receivers);
        let uses = uses.filter(|used| !is_connector(used));
        kind.check_uses(&uses, &mut warnings, &mut problems);
        let mut receivers = kind.configure(&mut warnings, &mut problems, |name, section| {
            let factory = receivers::REGISTRY.iter().find(|f| f.kind() == name)?;
            Some(factory.configure(section))
        });
        keep_used(&mut receivers, &uses);

        let kind = Kind {
            section: "processors",
            entries: &document.processors,
            available: processors::REGISTRY.iter().map(|f| f.kind()).collect(),
            former: Vec::new(),
            former_options: Vec::new(),
        };
        let uses = document.pipelines.iter().flat_map(|p| &p.processors);
        kind.check_uses(&uses, &mut warnings, &mut problems);
        let mut processors = kind.configure(&mut warnings, &mut problems, |name, section| {
            let factory = processors::REGISTRY.iter().find(|f| f.kind() == name)?;
            Some(factory.configure(section))
        });
        keep_used(&mut processors, &uses);

        let kind = Kind {
            section: "exporters",
            entries: &document.exporters,
            available: exporters::REGISTRY.iter().map(|f| f.kind()).collect(),
            former: exporters::REGISTRY
                .iter()
                .flat_map(|f| f.former_kinds().iter().map(|former| (*former, f.kind())))
                .collect(),
            former_options: exporters::REGISTRY
                .iter()
                .map(|f| (f.kind(), f.former_options()))
                .collect(),
        };
        let uses = document.pipelines.iter().flat_map(|p| &p.exporters);
        let uses = uses.filter(|used| !is_connector(used));
        kind.check_uses(&uses, &mut warnings, &mut problems);
        let mut exporters = kind.configure(&mut warnings, &mut problems, |name, section| {
            let factory = exporters::REGISTRY.iter().find(|f| f.kind() == name)?;
            Some(factory.configure(section))
        });
        keep_used(&mut exporters, &uses);

        let kind = Kind {
            section: "extensions",
            entries: &document.extensions,
            available: extensions::REGISTRY.iter().map(|f| f.kind()).collect(),
            former: Vec::new(),
            former_options: Vec::new(),
        };
        let uses = document.enabled_extensions.iter();
        kind.check_uses(&uses, &mut warnings, &mut problems);
        let mut extensions = kind.configure(&mut warnings, &mut problems, |name, section| {
            let factory = extensions::REGISTRY.iter().find(|f| f.kind() == name)?;
            Some(factory.configure(section))
        });
        keep_used(&mut extensions, &uses);
        let authenticators = authentication::authenticators(&extensions);
        let (entries, section) = (&document.receivers, "receivers");
        authentication::resolve(
            section,
            entries,
            &mut receivers,
            &mut problems,
            |receiver| receiver.authenticate(&authenticators),
        );
        let (entries, section) = (&document.exporters, "exporters");
        authentication::resolve(
            section,
            entries,
            &mut exporters,
            &mut problems,
            |exporter| exporter.authenticate(&authenticators),
        );

        let kind = Kind {
            section: "connectors",
            entries: &document.connectors,
            available: connectors::REGISTRY.iter().map(|f| f.kind()).collect(),
            former: Vec::new(),
            former_options: Vec::new(),
        };
        let ends = document
            .pipelines
            .iter()
            .flat_map(|p| p.receivers.iter().chain(&p.exporters));
        let uses = ends.filter(is_connector);
        kind.check_uses(&uses, &mut warnings, &mut problems);
        let mut connectors = kind.configure(&mut warnings, &mut problems, |name, section| {
            let factory = connectors::REGISTRY.iter().find(|f| f.kind() == name)?;
            Some(factory.configure(section))
        });
        keep_used(&mut connectors, &uses);
        wiring::check(&document, &connectors, &mut problems);

        let receivers_here = document.receivers.iter().map(|entry| ("receivers", entry));
        let extensions_here = document
            .extensions
            .iter()
            .map(|entry| ("extensions", entry));
        let uses = document.pipelines.iter().flat_map(|p| &p.receivers);
        let uses: Vec<&Reference> = uses.chain(&document.enabled_extensions).collect();
        endpoints::check(receivers_here.chain(extensions_here), &uses, &mut problems);

        let telemetry = read_telemetry(&document.telemetry, &mut warnings);
        let telemetry = problems.note(telemetry).unwrap_or_default();
        let pushes = telemetry.metrics.pushes.iter();
        let pushes = pushes.map(|options| Push::new(options, &document.telemetry.place));
        let pushes: Vec<_> = pushes.filter_map(|push| problems.note(push)).collect();
        check_signals(&document.pipelines, &processors, &exporters, &mut problems);
        check_storages(&document.exporters, &exporters, &extensions, &mut problems);
        let pipelines = document.pipelines.into_iter().map(|entry| Pipeline {
            name: entry.id.to_string(),
            signal: entry.signal,
            receivers: ids(entry.receivers),
            processors: ids(entry.processors),
            exporters: ids(entry.exporters),
        });
        problems.or(Self {
            receivers,
            processors: processors.into_iter().collect(),
            exporters,
            connectors: connectors.into_iter().collect(),
            extensions,
            pipelines: pipelines.collect(),
            telemetry,
            pushes,
            exporter_options: options(document.exporters),
            extension_options: options(document.extensions),
            warnings,
        })
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("pipelines", &self.pipelines)
            .finish_non_exhaustive()
    }
}

// === impl Kind ===

impl Kind<'_> {
    /// Every component that is used is there. One that is there need not be used.
    fn check_uses<'a>(
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
    fn configure<T>(
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
fn keep_used<'a, T>(
    components: &mut Vec<(ComponentId, T)>,
    uses: &(impl Iterator<Item = &'a Reference> + Clone),
) {
    components.retain(|(id, _)| uses.clone().any(|used| used.id == *id));
}

/// Every processor can work on what its pipelines carry, and every exporter can deliver it.
fn check_signals(
    pipelines: &[PipelineEntry],
    processors: &[(ComponentId, Box<dyn ProcessorConfig>)],
    exporters: &[(ComponentId, Box<dyn ExporterConfig>)],
    problems: &mut Problems,
) {
    for pipeline in pipelines {
        let signal = pipeline.signal;
        let mut refuse = |used: &Reference, what: &str, lack: &str| {
            let message = format!("the {what}: {lack}");
            problems.push(Problem::new(&used.place, "service", message));
        };
        for used in &pipeline.processors {
            let Some((id, processor)) = processors.iter().find(|(id, _)| *id == used.id) else {
                continue;
            };
            if let Err(lack) = processor.check_signal(signal) {
                refuse(
                    used,
                    &format!("processor \"{id}\" cannot work on {signal}"),
                    &lack,
                );
            }
        }
        for used in &pipeline.exporters {
            let Some((id, exporter)) = exporters.iter().find(|(id, _)| *id == used.id) else {
                continue;
            };
            if let Err(lack) = exporter.check_signal(signal) {
                refuse(
                    used,
                    &format!("exporter \"{id}\" cannot send {signal}"),
                    &lack,
                );
            }
        }
    }
}

/// Every queue on disk has a storage that is in use.
fn check_storages(
    entries: &[Entry],
    exporters: &[(ComponentId, Box<dyn ExporterConfig>)],
    extensions: &[(ComponentId, Box<dyn ExtensionConfig>)],
    problems: &mut Problems,
) {
    for (id, exporter) in exporters {
        let Some(storage) = exporter.delivery().queue.storage else {
            continue;
        };
        let message = match extensions.iter().find(|(other, _)| *other == storage) {
            Some((_, extension)) if extension.storage().is_some() => continue,
            Some(_) => format!("the extension \"{storage}\" is not a storage"),
            None => format!("the storage \"{storage}\" is not in \"service::extensions\""),
        };
        if let Some(entry) = entries.iter().find(|entry| entry.id == *id) {
            let path = format!("exporters::{id}::sending_queue::storage");
            problems.push(Problem::new(&entry.place, path, message));
        }
    }
}

fn read_telemetry(node: &Node, warnings: &mut Vec<String>) -> Result<TelemetryOptions, Problems> {
    let options: TelemetryOptions = Section::new(node, "service::telemetry").read()?;
    let address = node.entry("metrics").and_then(|node| node.entry("address"));
    if let Some(address) = address.filter(|_| options.metrics.uses_address) {
        warnings.push(format!(
            "{}: service::telemetry::metrics: \"address\" is the former way to write \
             \"readers: [{{pull: {{exporter: {{prometheus: {{host, port}}}}}}}}]\"",
            address.place
        ));
    }
    Ok(options)
}

fn options(entries: Vec<Entry>) -> BTreeMap<ComponentId, Node> {
    let entries = entries.into_iter();
    entries.map(|entry| (entry.id, entry.options)).collect()
}

fn ids(references: Vec<Reference>) -> Vec<ComponentId> {
    references
        .into_iter()
        .map(|reference| reference.id)
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
