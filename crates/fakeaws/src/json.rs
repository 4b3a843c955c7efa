//! Reading the JSON bodies of requests.

use bytes::Bytes;
use serde_json::Value;

/// A JSON object; an empty body is an empty object, anything else that is no object is `None`.
pub(crate) fn object(body: &Bytes) -> Option<Value> {
    if body.is_empty() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice::<Value>(body).ok().filter(Value::is_object)
}

/// A text field.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// A list of texts; missing is empty.
pub(crate) fn list(object: &Value, name: &str) -> Vec<String> {
    let items = object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
