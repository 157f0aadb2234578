//! What a configuration asks for, once nothing is wrong with it.

mod checks;
mod kind;

use std::collections::BTreeMap;
use std::fmt;

use spanmesh_otlp::Signal;

use self::checks::{check_signals, check_storages};
use self::kind::{Kind, keep_used};
use super::self_export::Push;
use super::telemetry_options::TelemetryOptions;
use super::{authentication, endpoints, wiring};
use crate::config::{
    ComponentId, Document, Effective, Entry, Environment, Node, Problems, Reference, Section,
    Source,
};
use crate::pipeline::{
    ConnectorConfig, ExporterConfig, ExtensionConfig, Layout, ProcessorConfig, ReceiverConfig,
    WiredPipeline,
};
use crate::{connectors, exporters, extensions, processors, receivers};

/// Components that are configured, and how they are wired. Nothing runs yet, and no port is open.
pub struct Plan {
    pub(in crate::service) receivers: Vec<(ComponentId, Box<dyn ReceiverConfig>)>,
    pub(in crate::service) processors: BTreeMap<ComponentId, Box<dyn ProcessorConfig>>,
    pub(in crate::service) exporters: Vec<(ComponentId, Box<dyn ExporterConfig>)>,
    pub(in crate::service) connectors: BTreeMap<ComponentId, Box<dyn ConnectorConfig>>,
    pub(in crate::service) extensions: Vec<(ComponentId, Box<dyn ExtensionConfig>)>,
    pub(in crate::service) pipelines: Vec<Pipeline>,
    pub(in crate::service) telemetry: TelemetryOptions,
    /// Where the collector's own metrics are sent to.
    pub(in crate::service) pushes: Vec<Push>,
    /// What is written of components, to tell whether another configuration says the same.
    pub(in crate::service) receiver_options: BTreeMap<ComponentId, Node>,
    pub(in crate::service) exporter_options: BTreeMap<ComponentId, Node>,
    pub(in crate::service) extension_options: BTreeMap<ComponentId, Node>,
    warnings: Vec<String>,
}

/// How one pipeline is wired. Invariants: all components exist, and connectors lead in no circle.
#[derive(Debug)]
pub(in crate::service) struct Pipeline {
    /// As it is written: `traces`, `traces/audit`.
    pub(in crate::service) name: String,
    pub(in crate::service) signal: Signal,
    /// Receivers, and connectors that it is behind.
    pub(in crate::service) receivers: Vec<ComponentId>,
    pub(in crate::service) processors: Vec<ComponentId>,
    /// Exporters, and connectors that it leads to.
    pub(in crate::service) exporters: Vec<ComponentId>,
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
    pub(in crate::service) fn layout(&self) -> Layout {
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
            receiver_options: options(document.receivers),
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
mod tests;
