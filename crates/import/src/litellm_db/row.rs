//! Rows of LiteLLM's database, as its `schema.prisma` has them. Columns that a version of it does not have yet, or not any
//! more, are missing; columns that are not named here are kept by name, so that they can be told.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pointsman_catalog::Money;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// Columns with what is in them.
pub(super) type Columns = Map<String, Value>;

/// Limits and a budget, as keys, teams, users and `LiteLLM_BudgetTable` have them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) max_budget: Option<Dollars>,
    pub(super) soft_budget: Option<Dollars>,
    pub(super) budget_duration: Option<String>,
    pub(super) budget_reset_at: Option<Time>,
    pub(super) rpm_limit: Option<i64>,
    pub(super) tpm_limit: Option<i64>,
    pub(super) max_parallel_requests: Option<i64>,
}

/// `LiteLLM_BudgetTable`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetRow {
    pub(super) budget_id: String,
    #[serde(flatten)]
    pub(super) limits: Limits,
    #[serde(flatten)]
    pub(super) rest: Columns,
}

/// `LiteLLM_OrganizationTable`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OrganizationRow {
    pub(super) organization_id: String,
    pub(super) organization_alias: Option<String>,
    pub(super) budget_id: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) models: Option<Vec<String>>,
    pub(super) spend: Option<Dollars>,
    #[serde(flatten)]
    pub(super) rest: Columns,
}

/// `LiteLLM_TeamTable`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TeamRow {
    pub(super) team_id: String,
    pub(super) team_alias: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) models: Option<Vec<String>>,
    pub(super) spend: Option<Dollars>,
    pub(super) blocked: Option<bool>,
    #[serde(flatten)]
    pub(super) limits: Limits,
    #[serde(flatten)]
    pub(super) rest: Columns,
}

/// `LiteLLM_ProjectTable`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProjectRow {
    pub(super) project_id: String,
    pub(super) project_alias: Option<String>,
    pub(super) description: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) budget_id: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) models: Option<Vec<String>>,
    pub(super) spend: Option<Dollars>,
    pub(super) blocked: Option<bool>,
    #[serde(flatten)]
    pub(super) rest: Columns,
}

/// `LiteLLM_UserTable`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UserRow {
    pub(super) user_id: String,
    pub(super) user_alias: Option<String>,
    pub(super) user_email: Option<String>,
    pub(super) user_role: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) models: Option<Vec<String>>,
    pub(super) spend: Option<Dollars>,
    #[serde(flatten)]
    pub(super) limits: Limits,
    #[serde(flatten)]
    pub(super) rest: Columns,
}

/// `LiteLLM_VerificationToken`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyRow {
    /// SHA-256, hexadecimal; of old versions the key itself.
    pub(super) token: String,
    /// What it is shown as, such as `sk-...ab12`.
    pub(super) key_name: Option<String>,
    pub(super) key_alias: Option<String>,
    pub(super) spend: Option<Dollars>,
    pub(super) expires: Option<Time>,
    pub(super) models: Option<Vec<String>>,
    pub(super) aliases: Option<Value>,
    pub(super) user_id: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) budget_id: Option<String>,
    pub(super) allowed_routes: Option<Vec<String>>,
    pub(super) metadata: Option<Value>,
    pub(super) blocked: Option<bool>,
    #[serde(flatten)]
    pub(super) limits: Limits,
    #[serde(flatten)]
    pub(super) rest: Columns,
}

/// `LiteLLM_DeprecatedVerificationToken`: what a key was before it was rotated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FormerRow {
    pub(super) token: String,
    pub(super) active_token_id: String,
    pub(super) revoke_at: Option<Time>,
}

/// An amount of US dollars that was kept as a float: the nearest nano-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dollars(pub(super) Money);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        let float = number.as_f64().unwrap_or(f64::NAN);
        // What was summed up from floats may be below nothing by a hair.
        let text = format!("{:.9}", if float < 0.0 { 0.0 } else { float });
        Money::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A time, Unix milliseconds. Prisma keeps times of UTC without saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read_time(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a time is none"))
    }
}

fn read_time(text: &str) -> Option<i64> {
    match text {
        // What PostgreSQL has beside times.
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(0),
        _ => {}
    }
    let zoned: Option<Timestamp> = text.parse().ok();
    let time = match zoned {
        Some(time) => time,
        None => TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
    };
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_utc_with_and_without_a_zone() {
        for text in [
            "2026-11-01T00:00:00",
            "2026-11-01T00:00:00.000",
            "2026-11-01T00:00:00+00:00",
            "2026-11-01T01:00:00+01:00",
        ] {
            assert_eq!(read_time(text), Some(1_793_491_200_000), "{text}");
        }
        assert_eq!(read_time("yesterday"), None);
    }

    #[test]
    fn floats_become_the_nearest_nano_dollar() {
        let read = |text: &str| serde_json::from_str::<Dollars>(text).map(|dollars| dollars.0.nanodollars());
        assert_eq!(read("0.1").unwrap(), 100_000_000);
        assert_eq!(read("0.30000000000000004").unwrap(), 300_000_000);
        assert_eq!(read("1.6e-9").unwrap(), 2);
        assert_eq!(read("1e-12").unwrap(), 0);
        assert_eq!(read("-1e-17").unwrap(), 0);
        assert_eq!(read("25").unwrap(), 25_000_000_000);
        assert!(read("1e300").is_err());
        assert!(read("\"12\"").is_err());
    }
}
