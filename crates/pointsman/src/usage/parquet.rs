//! Rows as Parquet: each column of one type, every cell of it there or not.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

/// Rows that are held until they are written together.
const GROUP: usize = 10_000;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// Unix milliseconds.
    Time,
    Truth,
}

/// A file that is being written.
pub(super) struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<(String, Kind)>,
    rows: Vec<Map<String, Value>>,
}

impl<W: Write + Send> Table<W> {
    /// Begins one with these columns.
    pub(super) fn new(out: W, names: &[&str]) -> Result<Self, ParquetError> {
        let columns: Vec<_> = names
            .iter()
            .map(|name| ((*name).to_owned(), kind(name)))
            .collect();
        let fields = columns.iter().map(|(name, kind)| {
            let (physical, converted) = match kind {
                Kind::Text => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
                Kind::Number => (Physical::INT64, ConvertedType::NONE),
                Kind::Time => (Physical::INT64, ConvertedType::TIMESTAMP_MILLIS),
                Kind::Truth => (Physical::BOOLEAN, ConvertedType::NONE),
            };
            Type::primitive_type_builder(name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(converted)
                .build()
                .map(Arc::new)
        });
        let fields = fields.collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("usage").with_fields(fields).build()?;
        let properties = Arc::new(WriterProperties::builder().build());
        Ok(Self {
            writer: SerializedFileWriter::new(out, Arc::new(schema), properties)?,
            columns,
            rows: Vec::new(),
        })
    }

    /// Adds a row; fields that no column is called are left out.
    pub(super) fn add(&mut self, row: Map<String, Value>) -> Result<(), ParquetError> {
        self.rows.push(row);
        if self.rows.len() < GROUP {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what is left, and the end.
    pub(super) fn finish(mut self) -> Result<(), ParquetError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.writer.close().map(drop)
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        let mut columns = self.columns.iter();
        while let (Some(mut column), Some((name, kind))) = (group.next_column()?, columns.next()) {
            let cells = || self.rows.iter().map(|row| row.get(name));
            match kind {
                Kind::Text => {
                    let (levels, values) = split(cells().map(text));
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&levels), None)?;
                }
                Kind::Number | Kind::Time => {
                    let (levels, values) = split(cells().map(|cell| cell.and_then(Value::as_i64)));
                    column
                        .typed::<Int64Type>()
                        .write_batch(&values, Some(&levels), None)?;
                }
                Kind::Truth => {
                    let (levels, values) = split(cells().map(|cell| cell.and_then(Value::as_bool)));
                    column
                        .typed::<BoolType>()
                        .write_batch(&values, Some(&levels), None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
        self.rows.clear();
        Ok(())
    }
}

/// Which cells are there, and those that are.
fn split<T>(cells: impl Iterator<Item = Option<T>>) -> (Vec<i16>, Vec<T>) {
    let mut values = Vec::new();
    let levels = cells
        .map(|cell| {
            let level = i16::from(cell.is_some());
            values.extend(cell);
            level
        })
        .collect();
    (levels, values)
}

fn text(cell: Option<&Value>) -> Option<ByteArray> {
    match cell {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.as_str().into()),
        Some(other) => Some(other.to_string().as_str().into()),
    }
}

/// What a column of this name holds; a text, where it is not known better.
fn kind(name: &str) -> Kind {
    match name {
        "at" => Kind::Time,
        "streamed" | "usage_estimated" => Kind::Truth,
        "requests" | "failed" | "input_tokens" | "output_tokens" | "cost_nanodollars" | "cached"
        | "cached_tokens" | "saved_nanodollars" | "attempts" | "status" | "latency_us" | "ttft_us" => {
            Kind::Number
        }
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_with_its_types_and_gaps() {
        let file = tempfile::tempfile().unwrap();
        let names = ["at", "team", "streamed", "cost_nanodollars"];
        let mut table = Table::new(file.try_clone().unwrap(), &names).unwrap();
        let rows = [
            json!({"at": 1_764_000_000_000_i64, "team": "=1+1", "streamed": true, "cost_nanodollars": 7, "other": 1}),
            json!({"at": 1_764_000_000_001_i64, "team": null, "streamed": false, "cost_nanodollars": i64::MAX}),
            json!({"team": "größe", "cost_nanodollars": -1}),
        ];
        for row in &rows {
            table.add(row.as_object().unwrap().clone()).unwrap();
        }
        table.finish().unwrap();
        let read = SerializedFileReader::new(file).unwrap();
        assert_eq!(read.metadata().file_metadata().num_rows(), 3);
        let found: Vec<Vec<Field>> = read
            .get_row_iter(None)
            .unwrap()
            .map(|row| {
                row.unwrap()
                    .get_column_iter()
                    .map(|(_, field)| field.clone())
                    .collect()
            })
            .collect();
        let text = |text: &str| Field::Str(text.to_owned());
        assert_eq!(
            found,
            [
                vec![
                    Field::TimestampMillis(1_764_000_000_000),
                    text("=1+1"),
                    Field::Bool(true),
                    Field::Long(7)
                ],
                vec![
                    Field::TimestampMillis(1_764_000_000_001),
                    Field::Null,
                    Field::Bool(false),
                    Field::Long(i64::MAX)
                ],
                vec![Field::Null, text("größe"), Field::Null, Field::Long(-1)],
            ]
        );
    }

    #[test]
    fn sums_are_numbers() {
        assert!(super::super::SUMS.iter().all(|name| kind(name) == Kind::Number));
    }

    #[test]
    fn nothing_is_a_file_without_rows() {
        let file = tempfile::tempfile().unwrap();
        Table::new(file.try_clone().unwrap(), &["at"])
            .unwrap()
            .finish()
            .unwrap();
        let read = SerializedFileReader::new(file).unwrap();
        assert_eq!(read.metadata().file_metadata().num_rows(), 0);
    }
}
