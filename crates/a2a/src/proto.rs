//! Protocol buffers of `lf.a2a.v1`, from and to their JSON: the messages are data (`schema`), the wire format is here.
//!
//! Fields that a schema does not know are left out in both directions, as everywhere where gRPC meets JSON.

pub mod schema;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::{Map, Number, Value};

use schema::{Field, Kind, Message, Rule};

/// Most levels of messages within messages.
const MAX_DEPTH: usize = 128;
/// Base64 as clients write it: either alphabet, padded or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// What is no message, or cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// The bytes end within something, or make no sense.
    #[error("the message is cut short or damaged")]
    Damaged,
    /// It is nested too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Deep,
    /// A field of the JSON is something else than its type says.
    #[error("`{0}` is not what it should be")]
    Wrong(String),
}

/// JSON as a message.
///
/// # Errors
/// When a field is something else than its type says.
pub fn encode(message: &Message, value: &Value) -> Result<Vec<u8>, ProtoError> {
    let mut out = Vec::new();
    write_message(message, value, &mut out)?;
    Ok(out)
}

fn write_message(message: &Message, value: &Value, out: &mut Vec<u8>) -> Result<(), ProtoError> {
    let Some(fields) = value.as_object() else {
        return Err(ProtoError::Wrong(message.name.to_owned()));
    };
    for field in message.fields {
        let snake = || snake(field.name);
        let Some(value) = fields.get(field.name).or_else(|| fields.get(&snake())) else {
            continue;
        };
        // `null` is nothing, but for a value, of which it is one.
        if value.is_null() && !matches!(field.kind, Kind::Value) {
            continue;
        }
        write_field(field, value, out)?;
    }
    Ok(())
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn write_field(field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), ProtoError> {
    let wrong = || ProtoError::Wrong(field.name.to_owned());
    match field.rule {
        Rule::Many => {
            for one in value.as_array().ok_or_else(wrong)? {
                write_one(field, one, false, out)?;
            }
            Ok(())
        }
        Rule::Map => {
            for (key, one) in value.as_object().ok_or_else(wrong)? {
                let mut entry = Vec::new();
                write_bytes(1, key.as_bytes(), &mut entry);
                let of = Field {
                    number: 2,
                    rule: Rule::Maybe,
                    ..*field
                };
                write_one(&of, one, false, &mut entry)?;
                write_bytes(field.number, &entry, out);
            }
            Ok(())
        }
        Rule::One => write_one(field, value, true, out),
        Rule::Maybe => write_one(field, value, false, out),
    }
}

fn write_one(field: &Field, value: &Value, skips_usual: bool, out: &mut Vec<u8>) -> Result<(), ProtoError> {
    let wrong = || ProtoError::Wrong(field.name.to_owned());
    match field.kind {
        Kind::Text => {
            let text = value.as_str().ok_or_else(wrong)?;
            if !(skips_usual && text.is_empty()) {
                write_bytes(field.number, text.as_bytes(), out);
            }
        }
        Kind::Bytes => {
            let text = value
                .as_str()
                .ok_or_else(wrong)?
                .replace('-', "+")
                .replace('_', "/");
            let engine = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
            let bytes = engine.decode(text).map_err(|_| wrong())?;
            write_bytes(field.number, &bytes, out);
        }
        Kind::Bool => {
            let flag = value.as_bool().ok_or_else(wrong)?;
            write_number(field.number, u64::from(flag), skips_usual, out);
        }
        Kind::Int32 => {
            let said = value
                .as_i64()
                .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
            let number = said
                .and_then(|number| i32::try_from(number).ok())
                .ok_or_else(wrong)?;
            write_number(field.number, i64::from(number).cast_unsigned(), skips_usual, out);
        }
        Kind::Enum(names) => {
            let by_name = value
                .as_str()
                .and_then(|name| names.iter().position(|known| *known == name));
            let number = by_name
                .map(|at| at as u64)
                .or_else(|| value.as_u64())
                .ok_or_else(wrong)?;
            write_number(field.number, number, skips_usual, out);
        }
        Kind::Message(message) => {
            let mut inner = Vec::new();
            write_message(message, value, &mut inner)?;
            write_bytes(field.number, &inner, out);
        }
        Kind::Struct => {
            let mut inner = Vec::new();
            write_struct(value.as_object().ok_or_else(wrong)?, &mut inner);
            write_bytes(field.number, &inner, out);
        }
        Kind::Value => {
            let mut inner = Vec::new();
            write_value(value, &mut inner);
            write_bytes(field.number, &inner, out);
        }
        Kind::Timestamp => {
            let inner = time(value).ok_or_else(wrong)?;
            write_bytes(field.number, &inner, out);
        }
    }
    Ok(())
}

fn time(value: &Value) -> Option<Vec<u8>> {
    let at: jiff::Timestamp = value.as_str()?.parse().ok()?;
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    // Parts of a second count forwards.
    if nanos < 0 {
        (seconds, nanos) = (seconds - 1, nanos + 1_000_000_000);
    }
    let mut inner = Vec::new();
    write_number(1, seconds.cast_unsigned(), true, &mut inner);
    write_number(2, i64::from(nanos).cast_unsigned(), true, &mut inner);
    Some(inner)
}

fn write_struct(fields: &Map<String, Value>, out: &mut Vec<u8>) {
    for (key, value) in fields {
        let (mut entry, mut inner) = (Vec::new(), Vec::new());
        write_bytes(1, key.as_bytes(), &mut entry);
        write_value(value, &mut inner);
        write_bytes(2, &inner, &mut entry);
        write_bytes(1, &entry, out);
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => write_number(1, 0, false, out),
        Value::Number(number) => {
            write_varint(2 << 3 | 1, out);
            out.extend_from_slice(&number.as_f64().unwrap_or_default().to_le_bytes());
        }
        Value::String(text) => write_bytes(3, text.as_bytes(), out),
        Value::Bool(flag) => write_number(4, u64::from(*flag), false, out),
        Value::Object(fields) => {
            let mut inner = Vec::new();
            write_struct(fields, &mut inner);
            write_bytes(5, &inner, out);
        }
        Value::Array(list) => {
            let mut inner = Vec::new();
            for one in list {
                let mut bytes = Vec::new();
                write_value(one, &mut bytes);
                write_bytes(1, &bytes, &mut inner);
            }
            write_bytes(6, &inner, out);
        }
    }
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A field of bytes.
pub fn write_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(u64::from(field) << 3 | 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A field that is a number; left out where it is 0 and that is the usual.
pub fn write_number(field: u32, number: u64, skips_usual: bool, out: &mut Vec<u8>) {
    if skips_usual && number == 0 {
        return;
    }
    write_varint(u64::from(field) << 3, out);
    write_varint(number, out);
}

/// A message as JSON.
///
/// # Errors
/// When the bytes are none.
pub fn decode(message: &Message, bytes: &[u8]) -> Result<Value, ProtoError> {
    read_message(message, bytes, MAX_DEPTH).map(Value::Object)
}

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
}

/// The fields of a message, as they come.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ProtoError::Damaged)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ProtoError::Damaged)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtoError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtoError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, ProtoError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Eight(self.take(8)?.try_into().map_err(|_| ProtoError::Damaged)?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtoError::Damaged)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return Err(ProtoError::Damaged),
        };
        Ok(Some((tag >> 3, wire)))
    }
}

fn read_message(message: &Message, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, ProtoError> {
    let depth = depth.checked_sub(1).ok_or(ProtoError::Deep)?;
    let (mut fields, mut read) = (Fields(bytes), Map::new());
    while let Some((number, wire)) = fields.next()? {
        let field = message
            .fields
            .iter()
            .find(|field| u64::from(field.number) == number);
        let Some(field) = field else { continue };
        match field.rule {
            Rule::One | Rule::Maybe => {
                let one = read_one(field, &wire, depth)?;
                read.insert(field.name.to_owned(), one);
            }
            Rule::Many => {
                let one = read_one(field, &wire, depth)?;
                let list = read.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(one);
                }
            }
            Rule::Map => {
                let (key, one) = read_entry(field, &wire, depth)?;
                let map = read
                    .entry(field.name)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    map.insert(key, one);
                }
            }
        }
    }
    Ok(read)
}

fn read_entry(field: &Field, wire: &Wire<'_>, depth: usize) -> Result<(String, Value), ProtoError> {
    let Wire::Bytes(bytes) = wire else {
        return Err(ProtoError::Damaged);
    };
    let (mut fields, mut key, mut value) = (Fields(bytes), String::new(), None);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => key = text(&wire)?,
            2 => value = Some(read_one(field, &wire, depth)?),
            _ => {}
        }
    }
    let usual = || match field.kind {
        Kind::Text => Value::String(String::new()),
        _ => Value::Object(Map::new()),
    };
    Ok((key, value.unwrap_or_else(usual)))
}

fn text(wire: &Wire<'_>) -> Result<String, ProtoError> {
    match wire {
        Wire::Bytes(bytes) => String::from_utf8(bytes.to_vec()).map_err(|_| ProtoError::Damaged),
        Wire::Number(_) | Wire::Eight(_) => Err(ProtoError::Damaged),
    }
}

fn read_one(field: &Field, wire: &Wire<'_>, depth: usize) -> Result<Value, ProtoError> {
    let value = match (field.kind, wire) {
        (Kind::Text, wire) => Value::String(text(wire)?),
        (Kind::Bytes, Wire::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)),
        (Kind::Bool, Wire::Number(number)) => Value::Bool(*number != 0),
        // Negative numbers are written with all their bits.
        (Kind::Int32, Wire::Number(number)) => Value::from(*number as i32),
        (Kind::Enum(names), Wire::Number(number)) => {
            let name = usize::try_from(*number).ok().and_then(|at| names.get(at));
            name.map_or_else(|| Value::from(*number), |name| Value::from(*name))
        }
        (Kind::Message(message), Wire::Bytes(bytes)) => Value::Object(read_message(message, bytes, depth)?),
        (Kind::Struct, Wire::Bytes(bytes)) => Value::Object(read_struct(bytes, depth)?),
        (Kind::Value, Wire::Bytes(bytes)) => read_value(bytes, depth)?,
        (Kind::Timestamp, Wire::Bytes(bytes)) => read_timestamp(bytes)?,
        _ => return Err(ProtoError::Damaged),
    };
    Ok(value)
}

fn read_timestamp(bytes: &[u8]) -> Result<Value, ProtoError> {
    let (mut fields, mut seconds, mut nanos) = (Fields(bytes), 0, 0);
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (1, Wire::Number(said)) => seconds = said.cast_signed(),
            (2, Wire::Number(said)) => nanos = said as i32,
            _ => {}
        }
    }
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|_| ProtoError::Damaged)?;
    Ok(Value::String(at.to_string()))
}

fn read_struct(bytes: &[u8], depth: usize) -> Result<Map<String, Value>, ProtoError> {
    let depth = depth.checked_sub(1).ok_or(ProtoError::Deep)?;
    let (mut fields, mut read) = (Fields(bytes), Map::new());
    while let Some((number, wire)) = fields.next()? {
        let (1, Wire::Bytes(entry)) = (number, wire) else {
            continue;
        };
        let (mut inner, mut key, mut value) = (Fields(entry), String::new(), Value::Null);
        while let Some((number, wire)) = inner.next()? {
            match (number, wire) {
                (1, wire) => key = text(&wire)?,
                (2, Wire::Bytes(bytes)) => value = read_value(bytes, depth)?,
                _ => {}
            }
        }
        read.insert(key, value);
    }
    Ok(read)
}

fn read_value(bytes: &[u8], depth: usize) -> Result<Value, ProtoError> {
    let depth = depth.checked_sub(1).ok_or(ProtoError::Deep)?;
    let (mut fields, mut read) = (Fields(bytes), Value::Null);
    while let Some((number, wire)) = fields.next()? {
        read = match (number, wire) {
            (1, Wire::Number(_)) => Value::Null,
            (2, Wire::Eight(bytes)) => number_of(f64::from_le_bytes(bytes)),
            (3, wire) => Value::String(text(&wire)?),
            (4, Wire::Number(flag)) => Value::Bool(flag != 0),
            (5, Wire::Bytes(bytes)) => Value::Object(read_struct(bytes, depth)?),
            (6, Wire::Bytes(bytes)) => {
                let (mut list, mut ones) = (Vec::new(), Fields(bytes));
                while let Some((number, wire)) = ones.next()? {
                    if let (1, Wire::Bytes(one)) = (number, wire) {
                        list.push(read_value(one, depth)?);
                    }
                }
                Value::Array(list)
            }
            (_, _) => continue,
        };
    }
    Ok(read)
}

/// A number without a fraction is written without one.
fn number_of(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests;
