//! The pages.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::html::{Cell, Page, bytes, grouped};
use super::samples::Rates;
use crate::pipeline::{Condition, ExporterStatus, Health, Layout, Sizer, WiredPipeline};
use crate::telemetry::{Reading, rfc3339};

/// One look at the collector.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) layout: &'a Layout,
    pub(super) exporters: &'a BTreeMap<String, ExporterStatus>,
    pub(super) now: &'a Reading,
    /// `None` if it runs too shortly to tell.
    pub(super) rates: Option<Rates>,
    pub(super) started: SystemTime,
}

// === impl View ===

impl View<'_> {
    /// `/debug/servicez`: what runs, and what it takes up.
    pub(super) fn service(&self) -> String {
        let mut page = Page::new("Spanmesh Collector");
        let used = self.value("spanmesh_memory_budget_used_bytes", &[]);
        let limit = self.value("spanmesh_memory_budget_bytes", &[]);
        let uptime = self.value("otelcol_process_uptime", &[]);
        let rows = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("configuration runs since", rfc3339(self.started)),
            ("uptime", format!("{} s", grouped(uptime))),
            (
                "CPU",
                format!("{:.1} s", self.value("otelcol_process_cpu_seconds", &[])),
            ),
            (
                "resident memory",
                bytes(self.value("otelcol_process_memory_rss", &[])),
            ),
            (
                "memory budget for telemetry",
                format!("{} of {}", bytes(used), bytes(limit)),
            ),
        ];
        let rows = rows.map(|(name, value)| vec![Cell::text(name), Cell::text(value)]);
        page.table(&["what", "value"], &rows);
        page.heading("Pipelines");
        let pipelines = self.layout.pipelines.iter().map(|pipeline| {
            vec![
                Cell::text(&pipeline.name),
                Cell::text(pipeline.receivers.join(", ")),
                Cell::text(pipeline.processors.join(", ")),
                Cell::text(pipeline.exporters.join(", ")),
            ]
        });
        let heads = ["pipeline", "receivers", "processors", "exporters"];
        page.table(&heads, &pipelines.collect::<Vec<_>>());
        page.heading("Extensions");
        let extensions = self.layout.extensions.iter();
        let extensions: Vec<_> = extensions.map(|id| vec![Cell::text(id)]).collect();
        page.table(&["extension"], &extensions);
        page.finish()
    }

    /// `/debug/pipelinez`: what flows through each pipeline.
    pub(super) fn pipelines(&self) -> String {
        let mut page = Page::new("Pipelines");
        page.paragraph(
            "Items are spans, log records and data points, since the process started. A component \
             that is in several pipelines shows the sum of one signal.",
        );
        for pipeline in &self.layout.pipelines {
            page.heading(&pipeline.name);
            self.receivers(&mut page, pipeline);
            self.processors(&mut page, pipeline);
            self.pipeline_exporters(&mut page, pipeline);
        }
        page.finish()
    }

    /// `/debug/queuez`: what waits at each exporter, and what keeps it from leaving.
    pub(super) fn queues(&self) -> String {
        let mut page = Page::new("Queues");
        for (id, exporter) in self.exporters {
            page.heading(id);
            let labels = [("exporter", id.as_str())];
            let show = |number| match exporter.sizer {
                Sizer::Bytes => bytes(number),
                Sizer::Items => format!("{} items", grouped(number)),
                Sizer::Requests => format!("{} requests", grouped(number)),
            };
            let row = |name: &str, cell| vec![Cell::text(name), cell];
            let full = |size: &str, capacity: &str, show: &dyn Fn(f64) -> String| {
                let size = self.value(size, &labels);
                let capacity = self.value(capacity, &labels);
                let text = format!("{} of {}", show(size), show(capacity));
                // From there on clients are about to be refused.
                match size >= 0.9 * capacity {
                    true => Cell::Bad(text),
                    false => Cell::Text(text),
                }
            };
            let mut rows = vec![
                row("destination", condition(&exporter.health())),
                row(
                    "queue",
                    full(
                        "otelcol_exporter_queue_size",
                        "otelcol_exporter_queue_capacity",
                        &show,
                    ),
                ),
                row(
                    "memory",
                    full(
                        "spanmesh_exporter_queue_memory_bytes",
                        "spanmesh_exporter_queue_memory_capacity_bytes",
                        &bytes,
                    ),
                ),
                row(
                    "batches on their way",
                    Cell::text(format!(
                        "{} of {}",
                        grouped(self.value("otelcol_exporter_in_flight_requests", &labels)),
                        exporter.consumers
                    )),
                ),
            ];
            if self
                .now
                .sum("spanmesh_storage_size_bytes", &labels)
                .is_some()
            {
                rows.push(row(
                    "disk",
                    full(
                        "spanmesh_storage_size_bytes",
                        "spanmesh_storage_capacity_bytes",
                        &bytes,
                    ),
                ));
            }
            page.table(&["what", "value"], &rows);
            self.account(&mut page, id);
        }
        page.finish()
    }

    fn receivers(&self, page: &mut Page, pipeline: &WiredPipeline) {
        let items = items(pipeline.signal);
        let name = |what: &str| format!("otelcol_receiver_{what}_{items}");
        let rows = pipeline.receivers.iter().map(|id| {
            let labels = [("receiver", id.as_str())];
            let rejected = [labels[0], ("signal", pipeline.signal)];
            vec![
                Cell::text(id),
                Cell::number(self.value(&name("accepted"), &labels)),
                self.rate(&name("accepted"), &labels),
                Cell::loss(self.value(&name("refused"), &labels)),
                Cell::loss(self.value("spanmesh_receiver_rejected_requests", &rejected)),
            ]
        });
        let heads = [
            "receiver",
            "accepted",
            "per second",
            "refused",
            "requests rejected",
        ];
        page.table(&heads, &rows.collect::<Vec<_>>());
    }

    fn processors(&self, page: &mut Page, pipeline: &WiredPipeline) {
        let rows = pipeline.processors.iter().map(|id| {
            let labels = [("processor", id.as_str()), ("otel_signal", pipeline.signal)];
            let of = |name| match self.now.sum(name, &labels) {
                Some(number) => Cell::number(number),
                // It changes how others work, and nothing goes through it.
                None => Cell::text(""),
            };
            vec![
                Cell::text(id),
                of("otelcol_processor_incoming_items"),
                of("otelcol_processor_outgoing_items"),
            ]
        });
        page.table(&["processor", "in", "out"], &rows.collect::<Vec<_>>());
    }

    fn pipeline_exporters(&self, page: &mut Page, pipeline: &WiredPipeline) {
        let rows = pipeline.exporters.iter().map(|id| {
            let Some(exporter) = self.exporters.get(id) else {
                let mut row = vec![Cell::text(id)];
                row.resize(6, Cell::text(""));
                row.push(Cell::text("leads to other pipelines"));
                return row;
            };
            let labels = [("exporter", id.as_str()), ("signal", pipeline.signal)];
            let of = |what: &str| self.value(&format!("spanmesh_account_{what}_items"), &labels);
            vec![
                Cell::text(id),
                Cell::number(of("sent")),
                self.rate("spanmesh_account_sent_items", &labels),
                Cell::number(of("sampled_out")),
                Cell::loss(of("dropped")),
                Cell::number(of("queued")),
                condition(&exporter.health()),
            ]
        });
        let heads = [
            "exporter",
            "sent",
            "per second",
            "sampled out",
            "dropped",
            "queued",
            "destination",
        ];
        page.table(&heads, &rows.collect::<Vec<_>>());
    }

    /// accepted + recovered = sent + sampled out + dropped + queued.
    fn account(&self, page: &mut Page, exporter: &str) {
        let mut rows = Vec::new();
        for signal in ["traces", "logs", "metrics"] {
            let labels = [("exporter", exporter), ("signal", signal)];
            let of = |what: &str| self.value(&format!("spanmesh_account_{what}_items"), &labels);
            if of("accepted") + of("recovered") == 0.0 {
                continue;
            }
            rows.push(vec![
                Cell::text(signal),
                Cell::number(of("accepted")),
                Cell::number(of("recovered")),
                Cell::number(of("sent")),
                Cell::number(of("sampled_out")),
                self.dropped(&labels),
                Cell::number(of("queued")),
            ]);
        }
        let heads = [
            "signal",
            "accepted",
            "+ recovered",
            "= sent",
            "+ sampled out",
            "+ dropped",
            "+ queued",
        ];
        page.table(&heads, &rows);
    }

    /// What was dropped, by reason.
    fn dropped(&self, labels: &[(&str, &str)]) -> Cell {
        let name = "spanmesh_account_dropped_items";
        let all = self.value(name, labels);
        if all == 0.0 {
            return Cell::number(0.0);
        }
        let families = self.now.families.iter();
        let samples = families
            .filter(|family| family.name == name)
            .flat_map(|family| &family.samples);
        let reasons = samples.filter_map(|(have, value)| {
            let of = |label: &str| {
                let found = have.iter().find(|(name, _)| name == label)?;
                Some(found.1.as_str())
            };
            let fits = labels.iter().all(|(label, value)| of(label) == Some(value));
            let reason = of("reason").filter(|_| fits && *value > 0.0)?;
            Some(format!("{reason} {}", grouped(*value)))
        });
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        Cell::Bad(format!("{} ({reasons})", grouped(all)))
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.now.sum(name, labels).unwrap_or_default()
    }

    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> Cell {
        match &self.rates {
            Some(rates) => Cell::number(rates.of(name, labels, self.value(name, labels))),
            None => Cell::text(""),
        }
    }
}

fn condition(health: &Health) -> Cell {
    let since = rfc3339(health.since);
    let message = &health.message;
    match health.condition {
        Condition::Works => Cell::text("works"),
        Condition::Fails => Cell::Bad(format!("fails since {since}, trying again: {message}")),
        Condition::Refuses => Cell::Bad(format!("refuses since {since}: {message}")),
    }
}

/// What a signal's items are called in the names of metrics.
fn items(signal: &str) -> &'static str {
    match signal {
        "traces" => "spans",
        "logs" => "log_records",
        _ => "metric_points",
    }
}
