//! The JSON Schema of the file (draft 2020-12), for editors. Generated from the descriptions of the keys alone.

use serde_json::{Map, Value, json};

use super::{
    file::RootKeys,
    shape::{KeyInfo, Need, Section, Shape},
};

/// A scalar that contains a variable may become anything.
const VARIABLE: &str = r"\$\{";

/// The JSON Schema of the file, for editors.
///
/// ```
/// let schema = gateway::config::schema();
/// assert_eq!(schema["properties"]["version"]["description"], "Version of the format: `1`");
/// ```
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = object(&RootKeys::SECTION, &mut definitions);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("The YAML of the gateway");
    schema["$defs"] = Value::Object(definitions);
    schema
}

fn object(section: &Section, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for key in section.keys {
        let mut value = value_schema(&key.shape, definitions);
        if key.need != Need::Required {
            // `key:` with nothing after it counts as absent.
            value = any_of(vec![value, json!({"type": "null"})]);
        }
        value["description"] = Value::from(match key.need {
            Need::Required => key.about.to_owned(),
            Need::OneOf(others) => format!("{} (this or {others})", key.about),
            Need::Default(default) => format!("{} (default: {default})", key.about),
            Need::Inherited(default) => format!("{} (default: that of `defaults`, or else {default})", key.about),
        });
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "description": section.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let alternatives = section.keys.iter().filter(|key| matches!(key.need, Need::OneOf(_)));
    let present = |key: &KeyInfo| json!({"required": [key.name], "properties": {key.name: {"not": {"type": "null"}}}});
    let one_of: Vec<Value> = alternatives.map(present).collect();
    if !one_of.is_empty() {
        object["oneOf"] = Value::Array(one_of);
    }
    object
}

fn value_schema(shape: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Form(form) => text(form),
        Shape::Whole(from, to) => any_of(vec![whole(*from, *to), text("^[0-9]+$")]),
        Shape::Flag => any_of(vec![json!({"type": "boolean"}), text("^(true|false)$")]),
        Shape::Words(known) => any_of(vec![json!({"enum": words(known)}), text(VARIABLE)]),
        Shape::List(item, at_least) => list(item, *at_least, definitions),
        Shape::Map(value, at_least) => {
            json!({"type": "object", "additionalProperties": value_schema(value, definitions), "minProperties": at_least})
        }
        Shape::Table(section) => {
            if !definitions.contains_key(section.name) {
                // Inserted before it is complete, in case that it refers to itself.
                definitions.insert(section.name.to_owned(), Value::Null);
                let definition = object(section, definitions);
                definitions.insert(section.name.to_owned(), definition);
            }
            json!({"$ref": format!("#/$defs/{}", section.name)})
        }
        Shape::Either(shapes) => any_of(shapes.iter().map(|shape| value_schema(shape, definitions)).collect()),
        Shape::Null => json!({"type": "null"}),
    }
}

/// A text of this form, or one that contains a variable.
fn text(form: &str) -> Value {
    let pattern = if form == VARIABLE { form.to_owned() } else { format!("{form}|{VARIABLE}") };
    json!({"type": "string", "pattern": pattern})
}

/// YAML reads some words as numbers: `1.2`.
fn words(known: &[&str]) -> Vec<Value> {
    let as_number = |word: &&str| word.parse::<f64>().ok().map(Value::from);
    known.iter().map(|word| Value::from(*word)).chain(known.iter().filter_map(as_number)).collect()
}

fn whole(from: u64, to: u64) -> Value {
    let mut whole = json!({"type": "integer", "minimum": from});
    if to < u64::MAX {
        whole["maximum"] = Value::from(to);
    }
    whole
}

/// A single scalar counts as a list of one; a single table does not.
fn list(item: &Shape, at_least: usize, definitions: &mut Map<String, Value>) -> Value {
    let shapes = if let Shape::Either(shapes) = item { *shapes } else { std::slice::from_ref(item) };
    let scalars = shapes.iter().filter(|shape| is_scalar(shape));
    let mut choices: Vec<Value> = scalars.map(|shape| value_schema(shape, definitions)).collect();
    let list = json!({"type": "array", "items": value_schema(item, definitions), "minItems": at_least});
    if choices.is_empty() {
        return list;
    }
    choices.push(list);
    any_of(choices)
}

fn is_scalar(shape: &Shape) -> bool {
    !matches!(shape, Shape::Table(_) | Shape::Map(..) | Shape::List(..))
}

/// One of these, without a choice inside a choice.
fn any_of(choices: Vec<Value>) -> Value {
    let mut flat = Vec::new();
    for mut choice in choices {
        match choice.get_mut("anyOf").map(Value::take) {
            Some(Value::Array(inner)) => flat.extend(inner),
            Some(_) | None => flat.push(choice),
        }
    }
    json!({"anyOf": flat})
}
