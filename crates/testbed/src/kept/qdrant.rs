//! A vector database: collections of points, with payloads, filters and vectors.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asked, KEPT_KEY, Told};

/// All collections.
#[derive(Default)]
pub(super) struct Qdrant(BTreeMap<String, Collection>);

#[derive(Default)]
struct Collection {
    /// How many numbers a vector has; none where points have none.
    size: Option<usize>,
    indexed: BTreeMap<String, String>,
    points: BTreeMap<String, Point>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    id: String,
    vector: Value,
    payload: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    vectors: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    field_name: String,
    field_schema: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upsert {
    points: Vec<Point>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retrieve {
    ids: Vec<String>,
    with_payload: Vec<String>,
    with_vector: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scroll {
    filter: Filter,
    order_by: OrderBy,
    limit: usize,
    with_payload: Vec<String>,
    with_vector: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBy {
    key: String,
    direction: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    query: Vec<f64>,
    filter: Filter,
    limit: usize,
    with_payload: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    filter: Filter,
    exact: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    filter: Filter,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    must: Vec<Condition>,
    must_not: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    key: String,
    #[serde(rename = "match")]
    is: Option<Is>,
    range: Option<Range>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Is {
    value: Value,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Range {
    gt: Option<u64>,
    gte: Option<u64>,
    lte: Option<u64>,
}

fn told(result: &Value) -> Told {
    let body = json!({ "result": result, "status": "ok", "time": 0.001 });
    (200, body.to_string().into_bytes())
}

fn refuse(status: u16, error: &str) -> Told {
    let body = json!({ "status": { "error": error }, "time": 0.001 });
    (status, body.to_string().into_bytes())
}

fn read<'a, T: Deserialize<'a>>(asked: &'a Asked) -> Result<T, Told> {
    if asked.header("content-type") != Some("application/json") {
        return Err(refuse(415, "Content type error"));
    }
    serde_json::from_slice(&asked.body)
        .map_err(|error| refuse(400, &format!("Format error in JSON body: {error}")))
}

impl Qdrant {
    pub(super) fn answer(&mut self, asked: &Asked) -> Told {
        if asked.header("api-key") != Some(KEPT_KEY) {
            return (
                401,
                b"Must provide an API key or an Authorization bearer token".to_vec(),
            );
        }
        self.answered(asked).unwrap_or_else(|refusal| refusal)
    }

    fn answered(&mut self, asked: &Asked) -> Result<Told, Told> {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        let ["collections", rest @ ..] = path.as_slice() else {
            return Err(refuse(404, "no such path"));
        };
        let Some((name, rest)) = rest.split_first() else {
            let names: Vec<Value> = self.0.keys().map(|name| json!({ "name": name })).collect();
            return Ok(told(&json!({ "collections": names })));
        };
        if rest.is_empty() {
            return self.collection(name, asked);
        }
        let missing = || refuse(404, &format!("Not found: Collection `{name}` doesn't exist!"));
        let collection = self.0.get_mut(*name).ok_or_else(missing)?;
        let waits = asked.query == "wait=true";
        match (asked.method.as_str(), rest) {
            ("PUT", ["index"]) if waits => collection.index(read(asked)?),
            ("PUT", ["points"]) if waits => collection.upsert(read(asked)?),
            ("POST", ["points"]) => collection.retrieve(&read(asked)?),
            ("POST", ["points", "scroll"]) => collection.scroll(&read(asked)?),
            ("POST", ["points", "query"]) => collection.query(&read(asked)?),
            ("POST", ["points", "count"]) => {
                let count: Count = read(asked)?;
                let fitting = collection.fitting(&count.filter).count();
                Ok(told(
                    &json!({ "count": if count.exact { fitting } else { fitting + 1 } }),
                ))
            }
            ("POST", ["points", "delete"]) if waits => {
                let Delete { filter } = read(asked)?;
                collection.points.retain(|_, point| !filter.fits(&point.payload));
                Ok(told(&json!({ "operation_id": 1, "status": "completed" })))
            }
            _ => Err(refuse(404, "no such path")),
        }
    }

    fn collection(&mut self, name: &str, asked: &Asked) -> Result<Told, Told> {
        match asked.method.as_str() {
            "GET" if self.0.contains_key(name) => Ok(told(&json!({ "status": "green" }))),
            "GET" => Err(refuse(404, "Not found")),
            "PUT" if self.0.contains_key(name) => Err(refuse(
                409,
                &format!("Wrong input: Collection `{name}` already exists!"),
            )),
            "PUT" => {
                let Create { vectors } = read(asked)?;
                let size = match &vectors {
                    Value::Object(fields) if fields.is_empty() => None,
                    Value::Object(fields) if fields.len() == 2 && fields["distance"] == "Cosine" => {
                        let size = fields["size"].as_u64().filter(|size| *size > 0);
                        Some(size.ok_or_else(|| refuse(400, "size"))? as usize)
                    }
                    _ => return Err(refuse(400, "Format error in JSON body: vectors")),
                };
                let made = Collection {
                    size,
                    ..Collection::default()
                };
                self.0.insert(name.to_owned(), made);
                Ok(told(&json!(true)))
            }
            _ => Err(refuse(405, "no such method")),
        }
    }
}

impl Collection {
    fn index(&mut self, index: Index) -> Result<Told, Told> {
        if !matches!(index.field_schema.as_str(), "keyword" | "integer") {
            return Err(refuse(400, "Format error in JSON body: field_schema"));
        }
        self.indexed.insert(index.field_name, index.field_schema);
        Ok(told(&json!({ "operation_id": 0, "status": "completed" })))
    }

    fn upsert(&mut self, upsert: Upsert) -> Result<Told, Told> {
        for point in upsert.points {
            let is_uuid = point.id.len() == 36 && point.id.bytes().filter(|byte| *byte == b'-').count() == 4;
            if !is_uuid {
                return Err(refuse(400, "value is not a valid point ID"));
            }
            let fits = match (&self.size, &point.vector) {
                (None, Value::Object(fields)) => fields.is_empty(),
                (Some(size), Value::Array(numbers)) => {
                    numbers.len() == *size && numbers.iter().all(Value::is_number)
                }
                _ => false,
            };
            if !fits {
                return Err(refuse(400, "Wrong input: Vector dimension error"));
            }
            self.points.insert(point.id.clone(), point);
        }
        Ok(told(&json!({ "operation_id": 0, "status": "completed" })))
    }

    fn fitting<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Point> {
        self.points.values().filter(|point| filter.fits(&point.payload))
    }

    fn retrieve(&self, retrieve: &Retrieve) -> Result<Told, Told> {
        if retrieve.with_vector {
            return Err(refuse(400, "vectors are not told here"));
        }
        let found = retrieve.ids.iter().filter_map(|id| self.points.get(id));
        let told_of: Vec<Value> = found.map(|point| view(point, &retrieve.with_payload)).collect();
        Ok(told(&json!(told_of)))
    }

    fn scroll(&self, scroll: &Scroll) -> Result<Told, Told> {
        let OrderBy { key, direction } = &scroll.order_by;
        if self.indexed.get(key).map(String::as_str) != Some("integer") || direction != "asc" {
            return Err(refuse(
                400,
                &format!("Wrong input: No range index for `order_by` key: `{key}`"),
            ));
        }
        if scroll.limit == 0 || scroll.with_vector {
            return Err(refuse(422, "Validation error in JSON body"));
        }
        let mut fitting: Vec<&Point> = self.fitting(&scroll.filter).collect();
        fitting.sort_by_key(|point| point.payload[key.as_str()].as_u64());
        let page = fitting.into_iter().take(scroll.limit);
        let points: Vec<Value> = page.map(|point| view(point, &scroll.with_payload)).collect();
        Ok(told(&json!({ "points": points, "next_page_offset": null })))
    }

    fn query(&self, query: &Query) -> Result<Told, Told> {
        if self.size != Some(query.query.len()) || query.limit == 0 {
            return Err(refuse(400, "Wrong input: Vector dimension error"));
        }
        let length = |vector: &[f64]| vector.iter().map(|number| number * number).sum::<f64>().sqrt();
        let mut scored: Vec<(f64, &Point)> = self
            .fitting(&query.filter)
            .map(|point| {
                let vector: Vec<f64> = serde_json::from_value(point.vector.clone()).unwrap_or_default();
                let product: f64 = vector.iter().zip(&query.query).map(|(a, b)| a * b).sum();
                (product / (length(&vector) * length(&query.query)), point)
            })
            .collect();
        scored.sort_by(|one, other| other.0.total_cmp(&one.0));
        let page = scored.into_iter().take(query.limit).map(|(score, point)| {
            let mut view = view(point, &query.with_payload);
            view["score"] = json!(score);
            view["version"] = json!(1);
            view
        });
        Ok(told(&json!({ "points": page.collect::<Vec<_>>() })))
    }
}

/// A point with some fields of its payload.
fn view(point: &Point, fields: &[String]) -> Value {
    let payload = point
        .payload
        .iter()
        .filter(|(name, _)| fields.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()));
    json!({ "id": point.id, "payload": payload.collect::<Map<_, _>>() })
}

impl Filter {
    fn fits(&self, payload: &Map<String, Value>) -> bool {
        let fits = |condition: &Condition| condition.fits(payload);
        self.must.iter().all(fits) && !self.must_not.iter().any(fits)
    }
}

impl Condition {
    fn fits(&self, payload: &Map<String, Value>) -> bool {
        let mut path = self.key.split('.');
        let first = path.next().and_then(|name| payload.get(name));
        let value = path.fold(first, |value, name| value?.get(name));
        let is = self.is.as_ref().is_none_or(|is| match value {
            Some(Value::Array(many)) => many.contains(&is.value),
            Some(one) => *one == is.value,
            None => false,
        });
        let in_range = self.range.as_ref().is_none_or(|range| {
            value.and_then(Value::as_u64).is_some_and(|value| {
                range.gt.is_none_or(|than| value > than)
                    && range.gte.is_none_or(|than| value >= than)
                    && range.lte.is_none_or(|than| value <= than)
            })
        });
        is && in_range && (self.is.is_some() || self.range.is_some())
    }
}
