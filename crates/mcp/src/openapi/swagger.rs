//! Swagger 2 in the words of OpenAPI 3: parameters with schemas, bodies and answers by their content type.

use serde_json::{Map, Value, json};

use super::document::Document;

/// What of a parameter is its schema.
const SCHEMA: [&str; 16] = [
    "type",
    "format",
    "items",
    "default",
    "enum",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
];

/// Where the API is; `https` where that is among its schemes.
pub fn server(root: &Value) -> Option<String> {
    let host = root.get("host")?.as_str()?;
    let schemes: Vec<&str> = root
        .get("schemes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let scheme = if schemes.is_empty() || schemes.contains(&"https") {
        "https"
    } else {
        "http"
    };
    let path = root.get("basePath").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{scheme}://{host}{path}"))
}

/// An operation in the words of OpenAPI 3. `parameters` are those of the operation and of its path.
pub fn operation(document: &Document, operation: &Value, parameters: &[&Value]) -> (Value, Vec<Value>) {
    let kinds = |field: &str| -> Vec<String> {
        let said = operation.get(field).or_else(|| document.get(field));
        let said = said.and_then(Value::as_array);
        said.into_iter()
            .flatten()
            .filter_map(|kind| kind.as_str().map(str::to_owned))
            .collect()
    };
    let mut converted = operation.clone();
    let mut others = Vec::new();
    let mut form = Form::default();
    for parameter in parameters {
        match parameter.get("in").and_then(Value::as_str) {
            Some("body") => {
                let schema = parameter.get("schema").cloned().unwrap_or_default();
                let kind = kinds("consumes").into_iter().next();
                let kind = kind.unwrap_or_else(|| "application/json".to_owned());
                converted["requestBody"] = json!({
                    "required": parameter.get("required").cloned().unwrap_or_default(),
                    "description": parameter.get("description").cloned().unwrap_or_default(),
                    "content": { kind: { "schema": schema } },
                });
            }
            Some("formData") => form.take(parameter),
            _ => others.push(self::parameter(parameter)),
        }
    }
    if !form.properties.is_empty() {
        converted["requestBody"] = form.body(&kinds("consumes"));
    }
    let answered = kinds("produces").into_iter().next();
    let answered = answered.unwrap_or_else(|| "application/json".to_owned());
    let responses = converted.get_mut("responses").and_then(Value::as_object_mut);
    for (_, response) in responses.into_iter().flatten() {
        let Ok(whole) = document.resolve(response) else {
            continue;
        };
        if let Some(schema) = whole.get("schema").cloned() {
            let described = whole.get("description").cloned().unwrap_or_default();
            *response =
                json!({ "description": described, "content": { answered.clone(): { "schema": schema } } });
        }
    }
    (converted, others)
}

fn schema(parameter: &Value) -> Value {
    let fields = parameter.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| SCHEMA.contains(&name.as_str()));
    Value::Object(
        fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// How a list is written, as a style; Swagger has one more than OpenAPI.
fn style(parameter: &Value, converted: &mut Map<String, Value>) {
    let in_query = matches!(
        parameter.get("in").and_then(Value::as_str),
        Some("query" | "formData")
    );
    let said = parameter.get("collectionFormat").and_then(Value::as_str);
    let (style, explode) = match said {
        Some("multi") => ("form", true),
        Some("ssv") => ("spaceDelimited", false),
        Some("tsv") => ("tabDelimited", false),
        Some("pipes") => ("pipeDelimited", false),
        _ if in_query => ("form", false),
        _ => ("simple", false),
    };
    converted.insert("style".to_owned(), json!(style));
    converted.insert("explode".to_owned(), json!(explode));
}

fn parameter(parameter: &Value) -> Value {
    let mut converted = Map::new();
    for field in ["name", "in", "required", "description"] {
        if let Some(value) = parameter.get(field) {
            converted.insert(field.to_owned(), value.clone());
        }
    }
    converted.insert("schema".to_owned(), schema(parameter));
    style(parameter, &mut converted);
    Value::Object(converted)
}

/// The fields of a form, as they come.
#[derive(Default)]
struct Form {
    properties: Map<String, Value>,
    required: Vec<Value>,
    encoding: Map<String, Value>,
    has_files: bool,
}

impl Form {
    fn take(&mut self, parameter: &Value) {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut schema = schema(parameter);
        if let Some(described) = parameter.get("description") {
            schema["description"] = described.clone();
        }
        self.has_files |= schema.get("type").is_some_and(|kind| kind == "file");
        if parameter.get("required").is_some_and(|required| required == true) {
            self.required.push(json!(name));
        }
        if schema.get("type").is_some_and(|kind| kind == "array") {
            let mut encoding = Map::new();
            style(parameter, &mut encoding);
            self.encoding.insert(name.to_owned(), Value::Object(encoding));
        }
        self.properties.insert(name.to_owned(), schema);
    }

    fn body(self, consumes: &[String]) -> Value {
        let multipart = "multipart/form-data";
        let kind = if self.has_files || consumes.iter().any(|kind| kind == multipart) {
            multipart
        } else {
            "application/x-www-form-urlencoded"
        };
        let is_required = !self.required.is_empty();
        let schema = json!({ "type": "object", "properties": self.properties, "required": self.required });
        json!({ "required": is_required, "content": { kind: { "schema": schema, "encoding": self.encoding } } })
    }
}
