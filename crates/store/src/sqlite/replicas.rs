//! What each replica has charged, as the ledger tells it: by the ids that replicas give to requests.

use pointsman_catalog::Money;
use rusqlite::params;

use super::{Store, StoreError};
use crate::holder::HolderKind;

impl Store {
    /// What a holder (a key, where no kind is given) has spent since a time, Unix milliseconds, replica by replica.
    /// What was not charged under an id of a replica comes under the empty name.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn spent_by_replica(
        &self,
        kind: Option<HolderKind>,
        id: &str,
        since: i64,
    ) -> Result<Vec<(String, Money)>, StoreError> {
        let column = kind.map_or("key", HolderKind::as_str);
        if kind == Some(HolderKind::Plan) {
            return Ok(Vec::new());
        }
        // `req_`, eight digits of the replica, twenty-six of the request.
        let sql = format!(
            "SELECT CASE WHEN length(id) = 38 AND substr(id, 1, 4) = 'req_' THEN substr(id, 5, 8) ELSE '' END AS replica,
                    SUM(cost)
             FROM ledger WHERE {column} = ?1 AND at >= ?2 GROUP BY replica"
        );
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(&sql)?;
        let rows = query.query_map(params![id, since], |row| {
            Ok((row.get(0)?, Money::from_nanodollars(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
