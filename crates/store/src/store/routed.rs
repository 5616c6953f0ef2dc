//! What decisions leave behind, in tables of its own. Everything is bounded: the oldest goes.

use std::collections::BTreeMap;

use super::{Conditions, Row, Session, Store, StoreError, Value, values};
use crate::page::Paged;
use crate::routed::{DecisionFilter, DecisionRow, Judged, RoutedBatch, RoutedRequest, SessionTurn};

/// Requests that can be judged: the latest.
const MAX_REQUESTS: i64 = 200_000;
/// Sessions that are kept: those with the latest turns.
const MAX_SESSIONS: i64 = 100_000;
/// How often the oldest are looked for: about once in so many batches, as the clock has it.
const SWEEP: i64 = 64;
/// The name under which what all replicas have learned is kept.
const LEARNED: &str = "all";

const COLUMNS: &str = "number, at, request, key, team, \"user\", decision, model, outcome, record";

impl Store {
    /// Writes a batch down, all or nothing; what is there already stays.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keep_routed(&self, batch: &RoutedBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.keep(|session| keep(session, batch))
    }

    /// Notes that a request is judged, once.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn judge(&self, tenant: &str, request: &str) -> Result<Judged, StoreError> {
        let find = "SELECT request, at, tenant, scope, model, domain, others, judged FROM routed_requests
             WHERE request = ?1 AND tenant = ?2";
        self.keep(|session| {
            let found = session.one(find, &values![request, tenant], |row| {
                Ok((read_request(row)?, row.flag(7)?))
            })?;
            match found {
                None => Ok(Judged::Unknown),
                Some((_, true)) => Ok(Judged::Again),
                Some((request, false)) => {
                    let note = "UPDATE routed_requests SET judged = TRUE WHERE request = ?1";
                    session.execute(note, &values![&request.request])?;
                    Ok(Judged::First(request))
                }
            }
        })
    }

    /// Turns of sessions from a time on, Unix milliseconds, the latest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn turns_since(&self, since: i64, limit: u32) -> Result<Vec<SessionTurn>, StoreError> {
        let sql = "SELECT id, at, turn FROM routed_sessions WHERE at >= ?1 ORDER BY at DESC LIMIT ?2";
        self.read_much(|session| {
            session.all(sql, &values![since, i64::from(limit)], |row| {
                Ok(SessionTurn {
                    id: row.text(0)?,
                    at: row.integer(1)?,
                    turn: row.text(2)?,
                })
            })
        })
    }

    /// What all replicas have learned, where it is newer than this version; with its version.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn learned_after(&self, version: i64) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
        let sql = "SELECT version, body FROM learned WHERE name = ?1 AND version > ?2";
        self.read(|session| {
            session.one(sql, &values![LEARNED, version], |row| {
                Ok((row.integer(0)?, row.blob(1)?))
            })
        })
    }

    /// Changes what all replicas have learned, all or nothing: nobody else changes it meanwhile. Gives its new version.
    ///
    /// # Errors
    /// When the database refuses, or `change` does.
    pub fn change_learned<T>(
        &self,
        change: impl FnOnce(Option<Vec<u8>>) -> Result<(T, Vec<u8>), StoreError>,
    ) -> Result<(i64, T), StoreError> {
        let find = "SELECT body FROM learned WHERE name = ?1";
        let put = "INSERT INTO learned (name, version, body) VALUES (?1, 1, ?2)
             ON CONFLICT (name) DO UPDATE SET version = learned.version + 1, body = excluded.body RETURNING version";
        self.keep(|session| {
            let known = session.one(find, &values![LEARNED], |row| row.blob(0))?;
            let (told, body) = change(known)?;
            let version = session.one(put, &[LEARNED.into(), Value::Blob(body)], |row| row.integer(0))?;
            Ok((version.unwrap_or_default(), told))
        })
    }

    /// Notes with a recorded decision what came of the copy of its request (`shadow`); says whether it is recorded.
    ///
    /// # Errors
    /// When the database refuses, or the record is none.
    pub fn note_shadow(&self, request: &str, shadow: &serde_json::Value) -> Result<bool, StoreError> {
        let find = "SELECT record FROM decisions WHERE request = ?1";
        let put = "UPDATE decisions SET record = ?2 WHERE request = ?1";
        self.keep(|session| {
            let Some(record) = session.one(find, &values![request], |row| row.text(0))? else {
                return Ok(false);
            };
            let mut record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&record)?;
            record.insert("shadow".to_owned(), shadow.clone());
            let record = serde_json::to_string(&record)?;
            Ok(session.execute(put, &values![request, &record])? > 0)
        })
    }

    /// A page of the recorded decisions.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn decisions(&self, filter: &DecisionFilter) -> Result<Paged<DecisionRow>, StoreError> {
        let mut conditions = filter.conditions();
        let order = if filter.oldest_first { "ASC" } else { "DESC" };
        let limit = conditions.value(i64::from(filter.limit) + 1);
        let sql = format!(
            "SELECT {COLUMNS} FROM decisions{} ORDER BY number {order} LIMIT {limit}",
            conditions.sql()
        );
        let mut items = self.read_much(|session| session.all(&sql, conditions.values(), read_decision))?;
        let more = items.len() > filter.limit as usize;
        items.truncate(filter.limit as usize);
        Ok(Paged { items, more })
    }
}

impl DecisionFilter {
    fn conditions(&self) -> Conditions {
        let mut all = Conditions::default();
        if self.since > 0 {
            all.and("at >= ?", [Value::Integer(self.since)]);
        }
        if let Some(until) = self.until {
            all.and("at < ?", [Value::Integer(until)]);
        }
        all.text("decision = ?", self.decision.as_deref());
        all.text("model = ?", self.model.as_deref());
        all.text("key = ?", self.key.as_deref());
        all.text("team = ?", self.team.as_deref());
        all.text("\"user\" = ?", self.user.as_deref());
        all.text("request = ?", self.request.as_deref());
        all.text("outcome = ?", self.outcome.as_deref());
        if let Some(within) = &self.within {
            within.decisions(&mut all);
        }
        if let Some(after) = self.after {
            let condition = if self.oldest_first {
                "number > ?"
            } else {
                "number < ?"
            };
            all.and(condition, [Value::Integer(after)]);
        }
        all
    }
}

fn keep(session: &mut dyn Session, batch: &RoutedBatch) -> Result<(), StoreError> {
    for request in &batch.requests {
        insert_request(session, request)?;
    }
    for turn in &batch.turns {
        session.execute(
            "INSERT INTO routed_sessions (id, at, turn) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET at = excluded.at, turn = excluded.turn
             WHERE excluded.at >= routed_sessions.at",
            &values![&turn.id, turn.at, &turn.turn],
        )?;
    }
    let mut kept: BTreeMap<&str, u32> = BTreeMap::new();
    for (row, most) in &batch.decisions {
        insert_decision(session, row)?;
        kept.insert(&row.decision, *most);
    }
    for (decision, most) in kept {
        session.execute(
            "DELETE FROM decisions WHERE decision = ?1 AND number <=
             (SELECT number FROM decisions WHERE decision = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            &values![decision, i64::from(most)],
        )?;
    }
    let mut times = batch.requests.iter().map(|request| request.at);
    let mut turns = batch.turns.iter().map(|turn| turn.at);
    if times
        .next()
        .or_else(|| turns.next())
        .is_some_and(|at| at % SWEEP == 0)
    {
        sweep(session)?;
    }
    Ok(())
}

fn insert_request(session: &mut dyn Session, request: &RoutedRequest) -> Result<(), StoreError> {
    let others = serde_json::to_string(&request.others)?;
    session.execute(
        "INSERT INTO routed_requests (request, at, tenant, scope, model, domain, others, judged)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, FALSE) ON CONFLICT DO NOTHING",
        &values![
            &request.request,
            request.at,
            &request.tenant,
            &request.scope,
            &request.model,
            request.domain.as_ref(),
            others
        ],
    )?;
    Ok(())
}

fn insert_decision(session: &mut dyn Session, row: &DecisionRow) -> Result<(), StoreError> {
    session.execute(
        "INSERT INTO decisions (at, request, key, team, \"user\", decision, model, outcome, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        &values![
            row.at,
            &row.request,
            row.key.as_ref(),
            row.team.as_ref(),
            row.user.as_ref(),
            &row.decision,
            row.model.as_ref(),
            &row.outcome,
            &row.record
        ],
    )?;
    Ok(())
}

fn sweep(session: &mut dyn Session) -> Result<(), StoreError> {
    session.execute(
        "DELETE FROM routed_requests WHERE number <=
         (SELECT number FROM routed_requests ORDER BY number DESC LIMIT 1 OFFSET ?1)",
        &values![MAX_REQUESTS],
    )?;
    session.execute(
        "DELETE FROM routed_sessions WHERE at <=
         (SELECT at FROM routed_sessions ORDER BY at DESC LIMIT 1 OFFSET ?1)",
        &values![MAX_SESSIONS],
    )?;
    Ok(())
}

fn read_request(row: &Row<'_>) -> Result<RoutedRequest, StoreError> {
    Ok(RoutedRequest {
        request: row.text(0)?,
        at: row.integer(1)?,
        tenant: row.text(2)?,
        scope: row.text(3)?,
        model: row.text(4)?,
        domain: row.maybe_text(5)?,
        others: serde_json::from_str(&row.text(6)?)?,
    })
}

fn read_decision(row: &Row<'_>) -> Result<DecisionRow, StoreError> {
    Ok(DecisionRow {
        number: row.integer(0)?,
        at: row.integer(1)?,
        request: row.text(2)?,
        key: row.maybe_text(3)?,
        team: row.maybe_text(4)?,
        user: row.maybe_text(5)?,
        decision: row.text(6)?,
        model: row.maybe_text(7)?,
        outcome: row.text(8)?,
        record: row.text(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, tenant: &str) -> RoutedRequest {
        RoutedRequest {
            request: id.to_owned(),
            at: 1,
            tenant: tenant.to_owned(),
            scope: "d".to_owned(),
            model: "a".to_owned(),
            domain: Some("math".to_owned()),
            others: vec!["b".to_owned()],
        }
    }

    fn decision(number: i64, name: &str) -> DecisionRow {
        DecisionRow {
            at: number,
            request: format!("req_{number}"),
            decision: name.to_owned(),
            model: Some("a".to_owned()),
            outcome: "complete".to_owned(),
            record: "{}".to_owned(),
            ..DecisionRow::default()
        }
    }

    #[test]
    fn what_came_of_a_copy_is_noted_with_its_decision() {
        let store = Store::open("sqlite::memory:").unwrap();
        let batch = RoutedBatch {
            decisions: vec![(decision(1, "d"), 10)],
            ..RoutedBatch::default()
        };
        store.keep_routed(&batch).unwrap();
        let came = serde_json::json!({"model": "other", "status": 200});
        assert!(store.note_shadow("req_1", &came).unwrap());
        assert!(!store.note_shadow("req_2", &came).unwrap());
        let filter = DecisionFilter {
            limit: 1,
            ..DecisionFilter::default()
        };
        let page = store.decisions(&filter).unwrap();
        let record: serde_json::Value = serde_json::from_str(&page.items[0].record).unwrap();
        assert_eq!(record["shadow"], came);
    }

    #[test]
    fn a_request_is_judged_once_and_by_nobody_else() {
        let store = Store::open("sqlite::memory:").unwrap();
        let batch = RoutedBatch {
            requests: vec![request("req_1", "team:x")],
            ..RoutedBatch::default()
        };
        store.keep_routed(&batch).unwrap();
        store.keep_routed(&batch).unwrap();
        assert_eq!(store.judge("team:y", "req_1").unwrap(), Judged::Unknown);
        assert_eq!(
            store.judge("team:x", "req_1").unwrap(),
            Judged::First(request("req_1", "team:x"))
        );
        assert_eq!(store.judge("team:x", "req_1").unwrap(), Judged::Again);
        assert_eq!(store.judge("team:x", "req_2").unwrap(), Judged::Unknown);
    }

    #[test]
    fn of_a_session_the_latest_turn_stays() {
        let store = Store::open("sqlite::memory:").unwrap();
        for (at, turn) in [(5, "five"), (9, "nine"), (7, "seven")] {
            let turn = SessionTurn {
                id: "s".to_owned(),
                at,
                turn: turn.to_owned(),
            };
            let batch = RoutedBatch {
                turns: vec![turn],
                ..RoutedBatch::default()
            };
            store.keep_routed(&batch).unwrap();
        }
        let turns = store.turns_since(0, 10).unwrap();
        assert_eq!((turns.len(), turns[0].turn.as_str()), (1, "nine"));
        assert!(store.turns_since(10, 10).unwrap().is_empty());
    }

    #[test]
    fn decisions_are_bounded_by_name_and_told_page_by_page() {
        let store = Store::open("sqlite::memory:").unwrap();
        let rows = (1..=10).map(|number| (decision(number, if number % 2 == 0 { "even" } else { "odd" }), 3));
        let batch = RoutedBatch {
            decisions: rows.collect(),
            ..RoutedBatch::default()
        };
        store.keep_routed(&batch).unwrap();
        let page = |filter: DecisionFilter| {
            let page = store.decisions(&filter).unwrap();
            let requests: Vec<String> = page.items.iter().map(|row| row.request.clone()).collect();
            (requests, page.more, page.items.last().map(|row| row.number))
        };
        let first = page(DecisionFilter {
            limit: 4,
            ..DecisionFilter::default()
        });
        assert_eq!(first.0, ["req_10", "req_9", "req_8", "req_7"]);
        assert!(first.1);
        let rest = page(DecisionFilter {
            limit: 4,
            after: first.2,
            ..DecisionFilter::default()
        });
        assert_eq!(
            (rest.0, rest.1),
            (vec!["req_6".to_owned(), "req_5".to_owned()], false)
        );
        let odd = page(DecisionFilter {
            decision: Some("odd".to_owned()),
            since: 6,
            until: Some(9),
            oldest_first: true,
            limit: 4,
            ..DecisionFilter::default()
        });
        assert_eq!(odd.0, ["req_7"]);
    }

    #[test]
    fn what_was_learned_is_changed_by_one_at_a_time() {
        let store = Store::open("sqlite::memory:").unwrap();
        assert_eq!(store.learned_after(0).unwrap(), None);
        let add = |known: Option<Vec<u8>>| {
            let mut body = known.unwrap_or_default();
            body.push(7);
            Ok((body.len(), body))
        };
        assert_eq!(store.change_learned(add).unwrap(), (1, 1));
        assert_eq!(store.change_learned(add).unwrap(), (2, 2));
        assert_eq!(store.learned_after(1).unwrap(), Some((2, vec![7, 7])));
        assert_eq!(store.learned_after(2).unwrap(), None);
        let refused = store.change_learned(|_| Err::<((), Vec<u8>), _>(StoreError::Invalid("no".to_owned())));
        assert!(refused.is_err());
        assert_eq!(store.learned_after(1).unwrap(), Some((2, vec![7, 7])));
    }
}
