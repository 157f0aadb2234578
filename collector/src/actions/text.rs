//! Values as texts, in the form that otelcol gives them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};
use spanmesh_otlp::view::AnyValue;

/// A value as a text: strings as they are, bytes in base64, lists and maps as JSON with sorted keys,
/// nothing as nothing.
pub fn as_text(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Empty => String::new(),
        AnyValue::String(text) => text.to_owned(),
        AnyValue::Double(value) => double(value),
        AnyValue::Bytes(bytes) => STANDARD.encode(bytes),
        AnyValue::Array(_) | AnyValue::KeyValues(_) => json(value).to_string(),
        AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::StringIndex(_) => value.to_string(),
    }
}

/// Without an exponent between 1e-6 and 1e21, as in ECMAScript.
fn double(value: f64) -> String {
    let size = value.abs();
    if !size.is_finite() || size == 0.0 || (1e-6..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if size >= 1.0 {
        text.replace('e', "e+")
    } else {
        text
    }
}

fn json(value: AnyValue<'_>) -> Value {
    match value {
        AnyValue::Empty => Value::Null,
        AnyValue::Bool(value) => value.into(),
        AnyValue::Int(value) => value.into(),
        AnyValue::Double(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        AnyValue::Array(_) => value.elements().map(json).collect(),
        AnyValue::KeyValues(_) => {
            let entries = value.entries();
            entries
                .map(|entry| (entry.key().to_owned(), json(entry.value())))
                .collect()
        }
        AnyValue::String(_) | AnyValue::Bytes(_) | AnyValue::StringIndex(_) => {
            as_text(value).into()
        }
    }
}
