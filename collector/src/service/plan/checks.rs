//! What has to be right between components.

use crate::config::{ComponentId, Entry, PipelineEntry, Problem, Problems, Reference};
use crate::pipeline::{ExporterConfig, ExtensionConfig, ProcessorConfig};

/// Every processor can work on what its pipelines carry, and every exporter can deliver it.
pub(super) fn check_signals(
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
pub(super) fn check_storages(
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
