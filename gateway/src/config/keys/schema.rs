//! The JSON Schema of the file (draft 2020-12), for editors. Made from the descriptions of the keys alone.

use serde_json::{Map, Value, json};

use super::{
    file::FILE,
    shape::{Need, Section, Shape},
};

/// A scalar with a variable in it may be anything once the variable is known.
const VARIABLE: &str = r"\$\{";

/// The JSON Schema of the file.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = object(&FILE, &mut definitions);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("The YAML of the gateway");
    schema["$defs"] = Value::Object(definitions);
    schema
}

fn object(section: &Section, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for key in section.keys {
        let mut value = of(&key.shape, definitions);
        let about = match key.need {
            Need::Required => key.about.to_owned(),
            Need::Default(default) => {
                // `key:` with nothing behind it is as good as no key.
                value = any_of(vec![value, json!({"type": "null"})]);
                format!("{} (default: {default})", key.about)
            }
        };
        value["description"] = Value::from(about);
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": section.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn of(shape: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Form(form) => text(form),
        Shape::Whole(from, to) => any_of(vec![whole(*from, *to), text("^[0-9]+$")]),
        Shape::Flag => any_of(vec![json!({"type": "boolean"}), text("^(true|false)$")]),
        Shape::Words(known) => any_of(vec![json!({"enum": words(known)}), text(VARIABLE)]),
        Shape::List(item, at_least) => list(item, *at_least, definitions),
        Shape::Map(value, at_least) => {
            json!({"type": "object", "additionalProperties": of(value, definitions), "minProperties": at_least})
        }
        Shape::Table(section) => {
            if !definitions.contains_key(section.name) {
                // Its place first, in case that it refers to itself.
                definitions.insert(section.name.to_owned(), Value::Null);
                let definition = object(section, definitions);
                definitions.insert(section.name.to_owned(), definition);
            }
            json!({"$ref": format!("#/$defs/{}", section.name)})
        }
        Shape::Either(shapes) => any_of(shapes.iter().map(|shape| of(shape, definitions)).collect()),
        Shape::Nothing => json!({"type": "null"}),
    }
}

/// A text of this form, or with a variable in it.
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

/// A single scalar counts as a list of one.
fn list(item: &Shape, at_least: usize, definitions: &mut Map<String, Value>) -> Value {
    let is_table = matches!(item, Shape::Table(_));
    let item = of(item, definitions);
    let list = json!({"type": "array", "items": item, "minItems": at_least});
    if is_table { list } else { any_of(vec![item, list]) }
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
