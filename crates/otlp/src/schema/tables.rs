//! The tables, in the order and with the names of the `.proto` files.

#![allow(
    missing_docs,
    reason = "the names are documented by opentelemetry-proto"
)]

use super::Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Int32, Int64, Message as Nested, Sfixed64, Sint32,
    SpanId, Text, TraceId, Uint32, Uint64,
};
use super::Label::{Items, OneOf, Optional, Repeated, Singular};
use super::{Field, Message};

macro_rules! message {
    ($table:ident $name:literal { $($number:literal $field:ident $json:literal $label:ident $kind:expr;)* }) => {
        pub static $table: Message = {
            static FIELDS: &[Field] =
                &[$(Field::new($number, stringify!($field), $json, $label, $kind)),*];
            Message::new($name, FIELDS)
        };
    };
}

// === collector ===

message!(EXPORT_TRACE_SERVICE_REQUEST "ExportTraceServiceRequest" {
    1 resource_spans "resourceSpans" Repeated Nested(&RESOURCE_SPANS);
});

message!(EXPORT_LOGS_SERVICE_REQUEST "ExportLogsServiceRequest" {
    1 resource_logs "resourceLogs" Repeated Nested(&RESOURCE_LOGS);
});

message!(EXPORT_METRICS_SERVICE_REQUEST "ExportMetricsServiceRequest" {
    1 resource_metrics "resourceMetrics" Repeated Nested(&RESOURCE_METRICS);
});

message!(EXPORT_TRACE_SERVICE_RESPONSE "ExportTraceServiceResponse" {
    1 partial_success "partialSuccess" Singular Nested(&EXPORT_TRACE_PARTIAL_SUCCESS);
});

message!(EXPORT_TRACE_PARTIAL_SUCCESS "ExportTracePartialSuccess" {
    1 rejected_spans "rejectedSpans" Singular Int64;
    2 error_message "errorMessage" Singular Text;
});

message!(EXPORT_LOGS_SERVICE_RESPONSE "ExportLogsServiceResponse" {
    1 partial_success "partialSuccess" Singular Nested(&EXPORT_LOGS_PARTIAL_SUCCESS);
});

message!(EXPORT_LOGS_PARTIAL_SUCCESS "ExportLogsPartialSuccess" {
    1 rejected_log_records "rejectedLogRecords" Singular Int64;
    2 error_message "errorMessage" Singular Text;
});

message!(EXPORT_METRICS_SERVICE_RESPONSE "ExportMetricsServiceResponse" {
    1 partial_success "partialSuccess" Singular Nested(&EXPORT_METRICS_PARTIAL_SUCCESS);
});

message!(EXPORT_METRICS_PARTIAL_SUCCESS "ExportMetricsPartialSuccess" {
    1 rejected_data_points "rejectedDataPoints" Singular Int64;
    2 error_message "errorMessage" Singular Text;
});

// === common, resource ===

message!(ANY_VALUE "AnyValue" {
    1 string_value "stringValue" OneOf Text;
    2 bool_value "boolValue" OneOf Bool;
    3 int_value "intValue" OneOf Int64;
    4 double_value "doubleValue" OneOf Double;
    5 array_value "arrayValue" OneOf Nested(&ARRAY_VALUE);
    6 kvlist_value "kvlistValue" OneOf Nested(&KEY_VALUE_LIST);
    7 bytes_value "bytesValue" OneOf Bytes;
    8 string_value_strindex "stringValueStrindex" OneOf Int32;
});

message!(ARRAY_VALUE "ArrayValue" {
    1 values "values" Repeated Nested(&ANY_VALUE);
});

message!(KEY_VALUE_LIST "KeyValueList" {
    1 values "values" Repeated Nested(&KEY_VALUE);
});

message!(KEY_VALUE "KeyValue" {
    1 key "key" Singular Text;
    2 value "value" Singular Nested(&ANY_VALUE);
    3 key_strindex "keyStrindex" Singular Int32;
});

message!(INSTRUMENTATION_SCOPE "InstrumentationScope" {
    1 name "name" Singular Text;
    2 version "version" Singular Text;
    3 attributes "attributes" Repeated Nested(&KEY_VALUE);
    4 dropped_attributes_count "droppedAttributesCount" Singular Uint32;
});

message!(ENTITY_REF "EntityRef" {
    1 schema_url "schemaUrl" Singular Text;
    2 type "type" Singular Text;
    3 id_keys "idKeys" Repeated Text;
    4 description_keys "descriptionKeys" Repeated Text;
});

message!(RESOURCE "Resource" {
    1 attributes "attributes" Repeated Nested(&KEY_VALUE);
    2 dropped_attributes_count "droppedAttributesCount" Singular Uint32;
    3 entity_refs "entityRefs" Repeated Nested(&ENTITY_REF);
});

// === trace ===

message!(RESOURCE_SPANS "ResourceSpans" {
    1 resource "resource" Singular Nested(&RESOURCE);
    2 scope_spans "scopeSpans" Repeated Nested(&SCOPE_SPANS);
    3 schema_url "schemaUrl" Singular Text;
});

message!(SCOPE_SPANS "ScopeSpans" {
    1 scope "scope" Singular Nested(&INSTRUMENTATION_SCOPE);
    2 spans "spans" Items Nested(&SPAN);
    3 schema_url "schemaUrl" Singular Text;
});

message!(SPAN "Span" {
    1 trace_id "traceId" Singular TraceId;
    2 span_id "spanId" Singular SpanId;
    3 trace_state "traceState" Singular Text;
    4 parent_span_id "parentSpanId" Singular SpanId;
    16 flags "flags" Singular Fixed32;
    5 name "name" Singular Text;
    6 kind "kind" Singular Enum;
    7 start_time_unix_nano "startTimeUnixNano" Singular Fixed64;
    8 end_time_unix_nano "endTimeUnixNano" Singular Fixed64;
    9 attributes "attributes" Repeated Nested(&KEY_VALUE);
    10 dropped_attributes_count "droppedAttributesCount" Singular Uint32;
    11 events "events" Repeated Nested(&EVENT);
    12 dropped_events_count "droppedEventsCount" Singular Uint32;
    13 links "links" Repeated Nested(&LINK);
    14 dropped_links_count "droppedLinksCount" Singular Uint32;
    15 status "status" Singular Nested(&STATUS);
});

message!(EVENT "Event" {
    1 time_unix_nano "timeUnixNano" Singular Fixed64;
    2 name "name" Singular Text;
    3 attributes "attributes" Repeated Nested(&KEY_VALUE);
    4 dropped_attributes_count "droppedAttributesCount" Singular Uint32;
});

message!(LINK "Link" {
    1 trace_id "traceId" Singular TraceId;
    2 span_id "spanId" Singular SpanId;
    3 trace_state "traceState" Singular Text;
    4 attributes "attributes" Repeated Nested(&KEY_VALUE);
    5 dropped_attributes_count "droppedAttributesCount" Singular Uint32;
    6 flags "flags" Singular Fixed32;
});

message!(STATUS "Status" {
    2 message "message" Singular Text;
    3 code "code" Singular Enum;
});

// === logs ===

message!(RESOURCE_LOGS "ResourceLogs" {
    1 resource "resource" Singular Nested(&RESOURCE);
    2 scope_logs "scopeLogs" Repeated Nested(&SCOPE_LOGS);
    3 schema_url "schemaUrl" Singular Text;
});

message!(SCOPE_LOGS "ScopeLogs" {
    1 scope "scope" Singular Nested(&INSTRUMENTATION_SCOPE);
    2 log_records "logRecords" Items Nested(&LOG_RECORD);
    3 schema_url "schemaUrl" Singular Text;
});

message!(LOG_RECORD "LogRecord" {
    1 time_unix_nano "timeUnixNano" Singular Fixed64;
    11 observed_time_unix_nano "observedTimeUnixNano" Singular Fixed64;
    2 severity_number "severityNumber" Singular Enum;
    3 severity_text "severityText" Singular Text;
    5 body "body" Singular Nested(&ANY_VALUE);
    6 attributes "attributes" Repeated Nested(&KEY_VALUE);
    7 dropped_attributes_count "droppedAttributesCount" Singular Uint32;
    8 flags "flags" Singular Fixed32;
    9 trace_id "traceId" Singular TraceId;
    10 span_id "spanId" Singular SpanId;
    12 event_name "eventName" Singular Text;
});

// === metrics ===

message!(RESOURCE_METRICS "ResourceMetrics" {
    1 resource "resource" Singular Nested(&RESOURCE);
    2 scope_metrics "scopeMetrics" Repeated Nested(&SCOPE_METRICS);
    3 schema_url "schemaUrl" Singular Text;
});

message!(SCOPE_METRICS "ScopeMetrics" {
    1 scope "scope" Singular Nested(&INSTRUMENTATION_SCOPE);
    2 metrics "metrics" Repeated Nested(&METRIC);
    3 schema_url "schemaUrl" Singular Text;
});

message!(METRIC "Metric" {
    1 name "name" Singular Text;
    2 description "description" Singular Text;
    3 unit "unit" Singular Text;
    5 gauge "gauge" OneOf Nested(&GAUGE);
    7 sum "sum" OneOf Nested(&SUM);
    9 histogram "histogram" OneOf Nested(&HISTOGRAM);
    10 exponential_histogram "exponentialHistogram" OneOf Nested(&EXPONENTIAL_HISTOGRAM);
    11 summary "summary" OneOf Nested(&SUMMARY);
    12 metadata "metadata" Repeated Nested(&KEY_VALUE);
});

message!(GAUGE "Gauge" {
    1 data_points "dataPoints" Items Nested(&NUMBER_DATA_POINT);
});

message!(SUM "Sum" {
    1 data_points "dataPoints" Items Nested(&NUMBER_DATA_POINT);
    2 aggregation_temporality "aggregationTemporality" Singular Enum;
    3 is_monotonic "isMonotonic" Singular Bool;
});

message!(HISTOGRAM "Histogram" {
    1 data_points "dataPoints" Items Nested(&HISTOGRAM_DATA_POINT);
    2 aggregation_temporality "aggregationTemporality" Singular Enum;
});

message!(EXPONENTIAL_HISTOGRAM "ExponentialHistogram" {
    1 data_points "dataPoints" Items Nested(&EXPONENTIAL_HISTOGRAM_DATA_POINT);
    2 aggregation_temporality "aggregationTemporality" Singular Enum;
});

message!(SUMMARY "Summary" {
    1 data_points "dataPoints" Items Nested(&SUMMARY_DATA_POINT);
});

message!(NUMBER_DATA_POINT "NumberDataPoint" {
    7 attributes "attributes" Repeated Nested(&KEY_VALUE);
    2 start_time_unix_nano "startTimeUnixNano" Singular Fixed64;
    3 time_unix_nano "timeUnixNano" Singular Fixed64;
    4 as_double "asDouble" OneOf Double;
    6 as_int "asInt" OneOf Sfixed64;
    5 exemplars "exemplars" Repeated Nested(&EXEMPLAR);
    8 flags "flags" Singular Uint32;
});

message!(HISTOGRAM_DATA_POINT "HistogramDataPoint" {
    9 attributes "attributes" Repeated Nested(&KEY_VALUE);
    2 start_time_unix_nano "startTimeUnixNano" Singular Fixed64;
    3 time_unix_nano "timeUnixNano" Singular Fixed64;
    4 count "count" Singular Fixed64;
    5 sum "sum" Optional Double;
    6 bucket_counts "bucketCounts" Repeated Fixed64;
    7 explicit_bounds "explicitBounds" Repeated Double;
    8 exemplars "exemplars" Repeated Nested(&EXEMPLAR);
    10 flags "flags" Singular Uint32;
    11 min "min" Optional Double;
    12 max "max" Optional Double;
});

message!(EXPONENTIAL_HISTOGRAM_DATA_POINT "ExponentialHistogramDataPoint" {
    1 attributes "attributes" Repeated Nested(&KEY_VALUE);
    2 start_time_unix_nano "startTimeUnixNano" Singular Fixed64;
    3 time_unix_nano "timeUnixNano" Singular Fixed64;
    4 count "count" Singular Fixed64;
    5 sum "sum" Optional Double;
    6 scale "scale" Singular Sint32;
    7 zero_count "zeroCount" Singular Fixed64;
    8 positive "positive" Singular Nested(&BUCKETS);
    9 negative "negative" Singular Nested(&BUCKETS);
    10 flags "flags" Singular Uint32;
    11 exemplars "exemplars" Repeated Nested(&EXEMPLAR);
    12 min "min" Optional Double;
    13 max "max" Optional Double;
    14 zero_threshold "zeroThreshold" Singular Double;
});

message!(BUCKETS "Buckets" {
    1 offset "offset" Singular Sint32;
    2 bucket_counts "bucketCounts" Repeated Uint64;
});

message!(SUMMARY_DATA_POINT "SummaryDataPoint" {
    7 attributes "attributes" Repeated Nested(&KEY_VALUE);
    2 start_time_unix_nano "startTimeUnixNano" Singular Fixed64;
    3 time_unix_nano "timeUnixNano" Singular Fixed64;
    4 count "count" Singular Fixed64;
    5 sum "sum" Singular Double;
    6 quantile_values "quantileValues" Repeated Nested(&VALUE_AT_QUANTILE);
    8 flags "flags" Singular Uint32;
});

message!(VALUE_AT_QUANTILE "ValueAtQuantile" {
    1 quantile "quantile" Singular Double;
    2 value "value" Singular Double;
});

message!(EXEMPLAR "Exemplar" {
    7 filtered_attributes "filteredAttributes" Repeated Nested(&KEY_VALUE);
    2 time_unix_nano "timeUnixNano" Singular Fixed64;
    3 as_double "asDouble" OneOf Double;
    6 as_int "asInt" OneOf Sfixed64;
    4 span_id "spanId" Singular SpanId;
    5 trace_id "traceId" Singular TraceId;
});
