//! Records of one signal, encoded, on their way into one OTLP request.
//!
//! A record is encoded once, when its request ends, at the end of an [`OpenBatch`]; what stands
//! around the records (resource, scope, schema) is encoded once per configuration, as an
//! [`Envelope`]. Sealing writes the envelope into room that was kept before the first record, so
//! no record is copied again on its way to the proxy.
//!
//! Source: opentelemetry-proto 1.11, `trace/v1/trace.proto` and `logs/v1/logs.proto`; the two
//! signals have the same shape and the same field numbers down to the scope.

use spanmesh_otlp::encode::{
    OpenMessage, begin_message, bytes_field_len, end_message, put_bytes, put_length,
};

/// `ExportTraceServiceRequest.resource_spans`, `ExportLogsServiceRequest.resource_logs`.
const RESOURCE_RECORDS: u32 = 1;
/// `ResourceSpans.resource`, `ResourceLogs.resource`.
const RESOURCE: u32 = 1;
/// `ResourceSpans.scope_spans`, `ResourceLogs.scope_logs`.
const SCOPE_RECORDS: u32 = 2;
/// `ResourceSpans.schema_url`, and the same of the scope.
const SCHEMA_URL: u32 = 3;
/// `ScopeSpans.scope`, `ScopeLogs.scope`.
const SCOPE: u32 = 1;
/// `ScopeSpans.spans`, `ScopeLogs.log_records`.
const RECORDS: u32 = 2;
/// Tag and length of the two messages around the records, at their longest.
const MAX_HEADS: usize = 2 * 6;

/// A signal that the filter emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Access log records.
    Logs,
}

/// What stands around the records of each request.
#[derive(Debug)]
pub struct Envelope {
    /// The fields of the resource message's wrapper, encoded: resource, schema URL.
    resource: Vec<u8>,
    /// The fields of the scope message's wrapper, encoded: scope, schema URL.
    scope: Vec<u8>,
}

/// A batch that takes records.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    /// The room for the envelope, then the records.
    buffer: Vec<u8>,
    room: usize,
    records: usize,
}

/// A record under construction in an [`OpenBatch`].
#[derive(Debug)]
pub(crate) struct OpenRecord {
    start: usize,
    message: OpenMessage,
}

/// A whole export request, ready to be sent as often as it takes.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    pub(crate) signal: Signal,
    pub(crate) records: usize,
    /// What the records took of the budget.
    pub(crate) budget_bytes: usize,
    /// Whether it failed before.
    pub(crate) is_retry: bool,
    /// How often a collector refused it for the moment.
    pub(crate) refusals: u32,
    buffer: Vec<u8>,
    start: usize,
}

impl Signal {
    /// The service that takes it.
    pub(crate) fn grpc_service(self) -> &'static str {
        match self {
            Self::Traces => spanmesh_otlp::Signal::Traces.grpc_service(),
            Self::Logs => spanmesh_otlp::Signal::Logs.grpc_service(),
        }
    }

    /// The path that takes it over HTTP.
    pub(crate) fn http_path(self) -> &'static str {
        match self {
            Self::Traces => spanmesh_otlp::Signal::Traces.http_path(),
            Self::Logs => spanmesh_otlp::Signal::Logs.http_path(),
        }
    }
}

impl Envelope {
    /// `resource` and `scope` are encoded `Resource` and `InstrumentationScope` messages.
    pub fn new(resource: &[u8], scope: &[u8], schema_url: &str) -> Self {
        let fields = |field: u32, message: &[u8]| {
            let mut fields = Vec::new();
            put_bytes(&mut fields, field, message);
            put_bytes(&mut fields, SCHEMA_URL, schema_url.as_bytes());
            fields
        };
        Self {
            resource: fields(RESOURCE, resource),
            scope: fields(SCOPE, scope),
        }
    }

    /// How many bytes it takes at most before the records.
    fn room(&self) -> usize {
        self.resource.len() + self.scope.len() + MAX_HEADS
    }
}

impl OpenBatch {
    /// An empty batch; a `buffer` that was used before spares an allocation.
    pub(crate) fn new(envelope: &Envelope, mut buffer: Vec<u8>) -> Self {
        let room = envelope.room();
        buffer.clear();
        buffer.resize(room, 0);
        Self {
            buffer,
            room,
            records: 0,
        }
    }

    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// How many bytes its records have.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len().saturating_sub(self.room)
    }

    /// Begins a record; its fields go to [`Self::buffer`].
    pub(crate) fn begin(&mut self) -> OpenRecord {
        let start = self.buffer.len();
        OpenRecord {
            start,
            message: begin_message(&mut self.buffer, RECORDS),
        }
    }

    /// Where the fields of the record that is open are to be appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Ends a record, and says how many bytes it takes.
    pub(crate) fn end(&mut self, record: OpenRecord) -> usize {
        end_message(&mut self.buffer, record.message);
        self.records += 1;
        self.buffer.len().saturating_sub(record.start)
    }

    /// Takes back the last record, which had `bytes`.
    pub(crate) fn take_back(&mut self, bytes: usize) {
        self.buffer
            .truncate(self.buffer.len().saturating_sub(bytes));
        self.records = self.records.saturating_sub(1);
    }

    /// Writes the envelope around the records.
    pub(crate) fn seal(mut self, signal: Signal, envelope: &Envelope) -> SealedBatch {
        let records_len = self.bytes();
        let scope_len = envelope.scope.len() + records_len;
        let resource_len = envelope.resource.len() + bytes_field_len(SCOPE_RECORDS, scope_len);
        let mut head = Vec::with_capacity(self.room);
        put_length(&mut head, RESOURCE_RECORDS, resource_len);
        head.extend_from_slice(&envelope.resource);
        put_length(&mut head, SCOPE_RECORDS, scope_len);
        head.extend_from_slice(&envelope.scope);
        let start = self.room.saturating_sub(head.len());
        if let Some(room) = self.buffer.get_mut(start..self.room) {
            room.copy_from_slice(&head);
        }
        SealedBatch {
            signal,
            records: self.records,
            budget_bytes: records_len,
            is_retry: false,
            refusals: 0,
            buffer: self.buffer,
            start,
        }
    }
}

impl SealedBatch {
    /// The encoded export request.
    pub(crate) fn message(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The buffer, for another batch.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message;
    use spanmesh_otlp::encode::put_bytes;

    use super::*;

    fn envelope() -> Envelope {
        let resource = Resource {
            dropped_attributes_count: 7,
            ..Resource::default()
        };
        let scope = InstrumentationScope {
            name: "s".repeat(90),
            ..Default::default()
        };
        Envelope::new(
            &resource.encode_to_vec(),
            &scope.encode_to_vec(),
            "https://schema",
        )
    }

    fn add(batch: &mut OpenBatch, name: &str) -> usize {
        let record = batch.begin();
        put_bytes(batch.buffer(), 5, name.as_bytes());
        batch.end(record)
    }

    #[test]
    fn a_sealed_batch_is_one_request_with_the_records_in_order() {
        for count in [0usize, 1, 2, 1000] {
            let envelope = envelope();
            let mut batch = OpenBatch::new(&envelope, vec![1; 5]);
            let names: Vec<String> = (0..count).map(|n| format!("span {n}")).collect();
            let bytes: usize = names.iter().map(|name| add(&mut batch, name)).sum();
            let sealed = batch.seal(Signal::Traces, &envelope);
            assert_eq!((sealed.records, sealed.budget_bytes), (count, bytes));
            let request = ExportTraceServiceRequest::decode(sealed.message()).unwrap();
            let [resource] = request.resource_spans.as_slice() else {
                panic!("one resource")
            };
            assert_eq!(
                resource.resource.as_ref().unwrap().dropped_attributes_count,
                7
            );
            assert_eq!(resource.schema_url, "https://schema");
            let [scope] = resource.scope_spans.as_slice() else {
                panic!("one scope")
            };
            assert_eq!(scope.scope.as_ref().unwrap().name.len(), 90);
            assert_eq!(scope.schema_url, "https://schema");
            let found: Vec<&str> = scope.spans.iter().map(|span| span.name.as_str()).collect();
            assert_eq!(found, names);
        }
    }

    #[test]
    fn a_record_that_is_taken_back_leaves_no_trace() {
        let envelope = envelope();
        let mut batch = OpenBatch::new(&envelope, Vec::new());
        add(&mut batch, "kept");
        let before = batch.buffer().clone();
        let bytes = add(&mut batch, &"long".repeat(5000));
        batch.take_back(bytes);
        assert_eq!((batch.records(), batch.buffer()), (1, &mut before.clone()));
    }
}
