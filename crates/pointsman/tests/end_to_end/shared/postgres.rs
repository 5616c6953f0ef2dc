//! The same on PostgreSQL, which stands still at times.
//!
//! `POINTSMAN_RACE_SECONDS=120` has the storm last so long, over all clients.

use std::time::Duration;

use pointsman_testbed::postgres::PostgresServer;

use super::race;
use super::site::{CLIENTS, Database, Plan, Site};
use super::storm::{Fault, Storm};

/// How long the storm lasts by default, seconds.
const SECONDS: u64 = 10;

async fn site(plan: Plan) -> Option<Site> {
    let server = PostgresServer::start().unwrap();
    Site::open_on(Database::Postgres(server), plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_redis_and_one_postgres_512_clients_never_pass_a_limit_and_can_use_it_up() {
    let plan = Plan {
        amount: 8,
        thinking: Duration::ZERO,
    };
    if let Some(site) = site(plan).await {
        race(site, plan.amount).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_storm_of_faults_passes_no_limit_loses_nothing_and_is_recovered_from() {
    let asked = std::env::var("POINTSMAN_RACE_SECONDS").ok();
    let clients = if asked.is_some() { CLIENTS } else { CLIENTS / 4 };
    let seconds = asked.map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let plan = Plan {
        // What clients can use while it lasts, and some more.
        amount: i64::try_from(3 * seconds).unwrap(),
        // So that deaths meet requests that are under way.
        thinking: Duration::from_millis(300),
    };
    if let Some(site) = site(plan).await {
        let storm = Storm {
            lasts: Duration::from_secs(seconds),
            clients,
            faults: &[
                Fault::Stall,
                Fault::Death,
                Fault::Redis,
                Fault::Stall,
                Fault::Death,
            ],
        };
        storm.over(site, plan.amount).await;
    }
}
