//! Distributions, with seeded chance.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

#[derive(Clone, Debug)]
struct Server {
    weight: u32,
    priority: u32,
    up: bool,
    busy: u32,
    latency: Option<u64>,
}

fn server(weight: u32) -> Server {
    Server {
        weight,
        priority: 0,
        up: true,
        busy: 0,
        latency: None,
    }
}

impl Candidate for Server {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn priority(&self) -> u32 {
        self.priority
    }

    fn available(&self, _: Instant) -> bool {
        self.up
    }

    fn in_flight(&self) -> u32 {
        self.busy
    }

    fn latency_us(&self, _: Instant) -> Option<u64> {
        self.latency
    }
}

fn policies() -> [Policy; 4] {
    [
        BalancePolicyName::Weighted,
        BalancePolicyName::RoundRobin,
        BalancePolicyName::LeastBusy,
        BalancePolicyName::LowestLatency,
    ]
    .map(|policy| Policy::compile(&BalanceConfig { policy }).unwrap())
}

/// How often each server is picked in `rounds` picks.
fn picks(policy: &Policy, servers: &[Server], rounds: u32) -> Vec<u32> {
    let mut rng = SmallRng::seed_from_u64(42);
    let mut counts = vec![0; servers.len()];
    for _ in 0..rounds {
        let index = pick(policy, servers, &TriedSet::default(), Instant::now(), &mut rng).unwrap();
        counts[index] += 1;
    }
    counts
}

#[test]
fn weighted_follows_the_weights() {
    let counts = picks(&Policy::Weighted, &[server(80), server(20), server(0)], 10_000);
    assert!((7_800..8_200).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2], 0, "weight 0 is drained");
}

#[test]
fn round_robin_is_exact_and_interleaved() {
    let servers = [server(3), server(1), server(2)];
    let policy = Policy::RoundRobin(AtomicU64::new(0));
    assert_eq!(picks(&policy, &servers, 600), [300, 100, 200]);
    let mut rng = SmallRng::seed_from_u64(1);
    let two = [server(1), server(1)];
    let order: Vec<_> = (0..6)
        .map(|_| pick(&policy, &two, &TriedSet::default(), Instant::now(), &mut rng).unwrap())
        .collect();
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
}

#[test]
fn least_busy_prefers_the_idle_for_their_weight() {
    let busy = |weight, busy| Server {
        busy,
        ..server(weight)
    };
    assert_eq!(
        picks(&Policy::LeastBusy, &[busy(1, 5), busy(1, 1)], 100),
        [0, 100]
    );
    assert_eq!(
        picks(&Policy::LeastBusy, &[busy(10, 5), busy(1, 1)], 100),
        [100, 0]
    );
    let counts = picks(&Policy::LeastBusy, &[busy(1, 9), busy(1, 1), busy(1, 5)], 3_000);
    assert_eq!(counts[0], 0, "the busiest of three is never the better of two");
    assert!(counts[1] > counts[2], "{counts:?}");
}

#[test]
fn lowest_latency_prefers_the_fast_and_explores_the_unknown() {
    let with = |latency, busy| Server {
        latency,
        busy,
        ..server(1)
    };
    let policy = Policy::LowestLatency;
    assert_eq!(
        picks(&policy, &[with(Some(900), 0), with(Some(100), 0)], 100),
        [0, 100]
    );
    assert_eq!(
        picks(&policy, &[with(Some(900), 0), with(Some(100), 20)], 100),
        [100, 0],
        "load counts"
    );
    assert_eq!(
        picks(&policy, &[with(Some(100), 0), with(None, 0)], 100),
        [0, 100],
        "never measured: try it"
    );
    assert_eq!(
        picks(&policy, &[with(Some(100), 0), with(None, 1)], 100),
        [100, 0],
        "one is measuring it"
    );
    assert_eq!(picks(&policy, &[with(Some(100), 0)], 10), [10]);
}

#[test]
fn every_policy_spreads_over_equals() {
    for policy in policies() {
        let counts = picks(&policy, &[server(1), server(1), server(1), server(1)], 4_000);
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{policy:?} {counts:?}"
        );
    }
}

#[test]
fn lower_priorities_wait_until_the_others_are_gone() {
    let at = |priority, up| Server {
        priority,
        up,
        ..server(1)
    };
    for policy in policies() {
        assert_eq!(
            picks(&policy, &[at(2, true), at(1, true), at(1, false)], 20),
            [0, 20, 0]
        );
        assert_eq!(picks(&policy, &[at(2, true), at(1, false)], 20), [20, 0]);
    }
}

#[test]
fn what_was_tried_is_not_picked_again() {
    let servers = [
        server(1),
        server(1),
        Server {
            priority: 1,
            ..server(1)
        },
    ];
    let mut rng = SmallRng::seed_from_u64(3);
    for policy in policies() {
        let mut tried = TriedSet::default();
        let mut order = Vec::new();
        while let Some(index) = pick(&policy, &servers, &tried, Instant::now(), &mut rng) {
            tried.insert(index);
            order.push(index);
        }
        assert_eq!(order.len(), 3, "{policy:?}");
        assert_eq!(order[2], 2, "the lower priority comes last");
    }
}

#[test]
fn nothing_available_is_nothing() {
    let down = Server {
        up: false,
        ..server(1)
    };
    let mut rng = SmallRng::seed_from_u64(3);
    for policy in policies() {
        for servers in [&[][..], std::slice::from_ref(&down), &[server(0)]] {
            assert_eq!(
                pick(&policy, servers, &TriedSet::default(), Instant::now(), &mut rng),
                None
            );
        }
    }
}

#[test]
fn large_fleets_and_weights_work() {
    let fleet: Vec<Server> = (0..500).map(|_| server(u32::MAX)).collect();
    for policy in policies() {
        let counts = picks(&policy, &fleet, 2_000);
        assert!(
            counts.iter().filter(|count| **count > 0).count() > 400,
            "{policy:?}"
        );
    }
}

#[test]
fn policies_to_come_are_refused_by_name() {
    for (policy, name) in [
        (BalancePolicyName::PrefixCache, "prefix_cache"),
        (BalancePolicyName::Session, "session"),
        (BalancePolicyName::KvCache, "kv_cache"),
    ] {
        let error = Policy::compile(&BalanceConfig { policy })
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("balance.policy: `{name}` is not supported yet in this version")
        );
    }
}

#[test]
fn the_tried_set_is_a_set() {
    let mut tried = TriedSet::default();
    for index in [3, 100, 3] {
        tried.insert(index);
    }
    assert_eq!(
        (tried.len(), tried.contains(100), tried.contains(4)),
        (2, true, false)
    );
    tried.clear();
    assert!(tried.is_empty());
}
