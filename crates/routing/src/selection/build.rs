//! From the `algorithm` block to a selection; everything that is wrong is told at once.

use std::sync::Arc;

use super::automix::Automix;
use super::config::{
    AlgorithmConfig, AutomixConfig, EloConfig, FittedConfig, HybridConfig, LatencyAwareConfig,
    MultiFactorConfig, OnNoCandidates, PosteriorConfig, PromptConfig, RouterDcConfig, SessionConfig,
    TargetConfig, ThompsonConfig,
};
use super::declared::Declared;
use super::elo::Elo;
use super::fitted::{Algorithm, Fitted};
use super::hybrid::Hybrid;
use super::latency_aware::LatencyAware;
use super::learned::Learned;
use super::multi_factor::{Limits, MultiFactor};
use super::prompt::Prompt;
use super::router_dc::RouterDc;
use super::selector::{Needs, Selection, Selector, WhenNone};
use super::session::Session;
use super::target::Target;
use super::thompson::{Posterior, Thompson};
use super::unfitted::Unfitted;
use super::weighted::Weighted;

/// Types that pick one model.
const TYPES: [&str; 14] = [
    "static",
    "weighted",
    "router_dc",
    "latency_aware",
    "multi_factor",
    "hybrid",
    "automix",
    "elo",
    "thompson",
    "knn",
    "kmeans",
    "svm",
    "mlp",
    "prompt",
];

/// Types that ask several models.
const LOOPS: [&str; 5] = ["confidence", "ratings", "remom", "fusion", "workflows"];

/// What was once and what stands for it now.
const FORMER: [(&str, &str); 4] = [
    ("rl_driven", "use thompson"),
    ("gmtrouter", "use thompson with by_domain, or mlp"),
    ("router_r1", "use prompt"),
    ("session_aware", "put a session block beside another type"),
];

/// What a selection is built for.
pub struct Surroundings<'a> {
    /// The candidates: their names, and whether they are described.
    pub candidates: &'a [(&'a str, bool)],
    /// Reads a file that `pointsman train` wrote.
    pub fitted: &'a dyn Fn(&str) -> Result<Arc<Fitted>, String>,
}

/// Where something is wrong, below `algorithm`, and what.
pub type Wrong = (String, String);

struct Builder<'a> {
    around: &'a Surroundings<'a>,
    wrong: Vec<Wrong>,
}

/// Reads a number within bounds, or notes that it is none.
struct Range<'a>(&'a str, f64, f64);

impl Selection {
    /// Builds one.
    ///
    /// # Errors
    /// Everything that is wrong, by its place below `algorithm`.
    pub fn build(config: &AlgorithmConfig, around: &Surroundings<'_>) -> Result<Self, Vec<Wrong>> {
        let mut builder = Builder {
            around,
            wrong: Vec::new(),
        };
        builder.strangers(config);
        let algorithm = builder.algorithm(config);
        let target = config
            .target
            .as_ref()
            .and_then(|target| builder.target(target, config));
        let session = config.session.as_ref().map(|session| builder.session(session));
        match (algorithm, builder.wrong.is_empty()) {
            (Some(algorithm), true) => Ok(Self {
                algorithm,
                target,
                session,
                needs: Needs::default(),
            }),
            _ => Err(builder.wrong),
        }
    }
}

impl Builder<'_> {
    fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.wrong.push((path.into(), message.into()));
    }

    fn number(&mut self, value: Option<f64>, usual: f64, Range(path, least, most): Range<'_>) -> f64 {
        let value = value.unwrap_or(usual);
        if !(least..=most).contains(&value) {
            let bounds = if most.is_finite() {
                format!("is a number from {least} to {most}")
            } else {
                format!("is a number from {least} on")
            };
            self.wrong(path, bounds);
        }
        value
    }

    fn percentile(&mut self, path: &str, value: Option<u8>) -> Option<u8> {
        if value.is_some_and(|value| !(1..=100).contains(&value)) {
            self.wrong(path, "is a percentile from 1 to 100");
        }
        value
    }

    /// Blocks that the type does not read.
    fn strangers(&mut self, config: &AlgorithmConfig) {
        let settings = &config.settings;
        let there = [
            ("router_dc", settings.router_dc.is_some()),
            ("latency_aware", settings.latency_aware.is_some()),
            ("multi_factor", settings.multi_factor.is_some()),
            ("hybrid", settings.hybrid.is_some()),
            ("automix", settings.automix.is_some()),
            ("elo", settings.elo.is_some()),
            ("thompson", settings.thompson.is_some()),
            ("knn", settings.knn.is_some()),
            ("kmeans", settings.kmeans.is_some()),
            ("svm", settings.svm.is_some()),
            ("mlp", settings.mlp.is_some()),
            ("prompt", settings.prompt.is_some()),
        ];
        let kind = config.kind.as_str();
        // A hybrid's members are set up as they are by themselves.
        let member = |name: &str| kind == "hybrid" && ["router_dc", "automix", "elo"].contains(&name);
        for (name, _) in there
            .iter()
            .filter(|(name, there)| *there && *name != kind && !member(name))
        {
            self.wrong(
                *name,
                format!("is not read by type {kind:?}; take it out, or change the type"),
            );
        }
        for name in settings.others.keys() {
            // A loop's own block goes with its type, which is refused as a whole.
            if !(name == kind && LOOPS.contains(&name.as_str())) {
                self.wrong(name.as_str(), "unknown field");
            }
        }
        match config.on_error.as_deref() {
            None | Some("fallback" | "skip") => {}
            Some(_) => self.wrong(
                "on_error",
                "use fallback or skip: where an algorithm has nothing to go by, models are taken as declared",
            ),
        }
    }

    fn algorithm(&mut self, config: &AlgorithmConfig) -> Option<Box<dyn Selector>> {
        let settings = &config.settings;
        Some(match config.kind.as_str() {
            "static" => Box::new(Declared),
            "weighted" => Box::new(Weighted),
            "router_dc" => Box::new(self.router_dc(&settings.router_dc.clone().unwrap_or_default())?),
            "latency_aware" => Box::new(self.latency_aware(settings.latency_aware.as_ref())?),
            "multi_factor" => Box::new(self.multi_factor(settings.multi_factor.as_ref())),
            "hybrid" => Box::new(self.hybrid(config)?),
            "automix" => Box::new(self.automix(&settings.automix.clone().unwrap_or_default())),
            "elo" => Box::new(self.elo(&settings.elo.clone().unwrap_or_default())),
            "thompson" => Box::new(self.thompson(&settings.thompson.clone().unwrap_or_default())),
            "knn" => self.learned(Algorithm::Knn, settings.knn.as_ref())?,
            "kmeans" => self.learned(Algorithm::Kmeans, settings.kmeans.as_ref())?,
            "svm" => self.learned(Algorithm::Svm, settings.svm.as_ref())?,
            "mlp" => self.learned(Algorithm::Mlp, settings.mlp.as_ref())?,
            "prompt" => Box::new(self.prompt(settings.prompt.as_ref())?),
            other => {
                self.unknown(other);
                return None;
            }
        })
    }

    fn unknown(&mut self, kind: &str) {
        let message = if LOOPS.contains(&kind) {
            format!("{kind} asks several models for one answer: it selects none")
        } else if let Some((_, instead)) = FORMER.iter().find(|(former, _)| *former == kind) {
            format!("there is no {kind} any more: {instead}")
        } else {
            format!("unknown type {kind:?}; there are {}", TYPES.join(", "))
        };
        self.wrong("type", message);
    }

    fn router_dc(&mut self, config: &RouterDcConfig) -> Option<RouterDc> {
        let fitted = match &config.pretrained_path {
            None => None,
            Some(path) => Some(self.fitted("router_dc.pretrained_path", Algorithm::RouterDc, path)?),
        };
        let bare: Vec<&str> = self
            .around
            .candidates
            .iter()
            .filter(|(_, described)| !described)
            .map(|(name, _)| *name)
            .collect();
        if config.require_descriptions && fitted.is_none() && !bare.is_empty() {
            let message = format!("no description in modelCards of {}", bare.join(", "));
            self.wrong("router_dc.require_descriptions", message);
        }
        Some(RouterDc {
            temperature: self.number(
                config.temperature,
                0.07,
                Range("router_dc.temperature", 1e-3, 100.0),
            ),
            min_similarity: match &fitted {
                // Fitted chances are no cosines: there is no least one but by one's own word.
                Some(_) if config.min_similarity.is_none() => -1.0,
                _ => self.number(
                    config.min_similarity,
                    0.3,
                    Range("router_dc.min_similarity", -1.0, 1.0),
                ),
            },
            fitted,
        })
    }

    fn latency_aware(&mut self, config: Option<&LatencyAwareConfig>) -> Option<LatencyAware> {
        let ttft = self.percentile(
            "latency_aware.ttft_percentile",
            config.and_then(|config| config.ttft_percentile),
        );
        let tpot = self.percentile(
            "latency_aware.tpot_percentile",
            config.and_then(|config| config.tpot_percentile),
        );
        if ttft.is_none() && tpot.is_none() {
            self.wrong("latency_aware", "needs ttft_percentile, tpot_percentile or both");
            return None;
        }
        Some(LatencyAware { ttft, tpot })
    }

    fn multi_factor(&mut self, config: Option<&MultiFactorConfig>) -> MultiFactor {
        let config = config.cloned().unwrap_or_default();
        let weights = config.weights.map_or([1.0; 4], |weights| {
            [weights.quality, weights.latency, weights.cost, weights.load]
        });
        let weights = weights.map(|weight| if weight.is_finite() { weight.max(0.0) } else { 0.0 });
        let sum: f64 = weights.iter().sum();
        let weights = if sum > 0.0 {
            weights.map(|weight| weight / sum)
        } else {
            [0.25; 4]
        };
        let percentile = self.percentile("multi_factor.latency_percentile", config.latency_percentile);
        let slo = config.slo;
        let mut limit = |name: &str, value: f64| {
            let path = format!("multi_factor.slo.{name}");
            let value = self.number(Some(value), 0.0, Range(&path, 0.0, f64::INFINITY));
            (value > 0.0).then_some(value)
        };
        MultiFactor {
            weights,
            percentile: percentile.unwrap_or(95),
            limits: Limits {
                ttft_ms: limit("max_ttft_ms", slo.max_ttft_ms),
                tpot_ms: limit("max_tpot_ms", slo.max_tpot_ms),
                price: limit("max_cost_per_1m", slo.max_cost_per_1m)
                    .map(|dollars| (dollars * 1e9).round() as u64),
                in_flight: (slo.max_inflight > 0).then_some(slo.max_inflight),
            },
            when_none: match config.on_no_candidates {
                OnNoCandidates::Cheapest => WhenNone::Cheapest,
                OnNoCandidates::First => WhenNone::First,
                OnNoCandidates::Fail => WhenNone::Fail,
            },
        }
    }

    fn hybrid(&mut self, config: &AlgorithmConfig) -> Option<Hybrid> {
        let settings = &config.settings;
        let hybrid: HybridConfig = settings.hybrid.clone().unwrap_or_default();
        let mut weight =
            |name: &str, value, usual| self.number(value, usual, Range(&format!("hybrid.{name}"), 0.0, 1.0));
        let weights = [
            weight("experience_weight", hybrid.experience_weight, 0.3),
            weight("router_dc_weight", hybrid.router_dc_weight, 0.3),
            weight("automix_weight", hybrid.automix_weight, 0.2),
        ];
        let cost_weight = weight("cost_weight", hybrid.cost_weight, 0.2);
        let gap = weight("quality_gap_threshold", hybrid.quality_gap_threshold, 0.0);
        if weights.iter().sum::<f64>() <= 0.0 {
            self.wrong("hybrid", "all weights are zero");
        }
        Some(Hybrid {
            elo: self.elo(&settings.elo.clone().unwrap_or_default()),
            router_dc: self.router_dc(&settings.router_dc.clone().unwrap_or_default())?,
            automix: self.automix(&settings.automix.clone().unwrap_or_default()),
            weights,
            cost_weight,
            gap,
            normalise: hybrid.normalize_scores.unwrap_or(true),
        })
    }

    fn automix(&mut self, config: &AutomixConfig) -> Automix {
        let mut number =
            |name: &str, value, usual| self.number(value, usual, Range(&format!("automix.{name}"), 0.0, 1.0));
        let cost_weight = number("cost_quality_tradeoff", config.cost_quality_tradeoff, 0.3);
        Automix {
            threshold: number("verification_threshold", config.verification_threshold, 0.7),
            max_escalations: config.max_escalations.unwrap_or(2) as usize,
            cost_weight: if config.cost_aware_routing == Some(false) {
                0.0
            } else {
                cost_weight
            },
            discount: number("discount_factor", config.discount_factor, 0.95),
        }
    }

    fn elo(&mut self, config: &EloConfig) -> Elo {
        Elo {
            initial: self.number(
                config.initial_rating,
                1_500.0,
                Range("elo.initial_rating", 0.0, 100_000.0),
            ),
            min_comparisons: f64::from(config.min_comparisons.unwrap_or(5)),
            by_domain: config.category_weighted.unwrap_or(true),
            cost_weight: self.number(
                config.cost_scaling_factor,
                0.0,
                Range("elo.cost_scaling_factor", 0.0, 1.0),
            ),
        }
    }

    fn thompson(&mut self, config: &ThompsonConfig) -> Thompson {
        Thompson {
            posterior: match config.posterior {
                PosteriorConfig::Beta => Posterior::Beta,
                PosteriorConfig::Gaussian => Posterior::Gaussian,
            },
            cost_weight: self.number(config.cost_weight, 0.0, Range("thompson.cost_weight", 0.0, 1.0)),
            explore: self.number(
                config.max_exploration,
                0.2,
                Range("thompson.max_exploration", 0.0, 1.0),
            ),
            by_domain: config.by_domain.unwrap_or(true),
        }
    }

    /// By what was fitted; as declared where no file of it is named yet.
    fn learned(&mut self, algorithm: Algorithm, config: Option<&FittedConfig>) -> Option<Box<dyn Selector>> {
        let name = algorithm.name();
        let Some(config) = config.filter(|config| !config.pretrained_path.is_empty()) else {
            return Some(Box::new(Unfitted(algorithm)));
        };
        let path = format!("{name}.efficiency_weight");
        let cost_weight = self.number(config.efficiency_weight, 0.0, Range(&path, 0.0, 1.0));
        let fitted = self.fitted(
            &format!("{name}.pretrained_path"),
            algorithm,
            &config.pretrained_path,
        )?;
        Some(Box::new(Learned { fitted, cost_weight }))
    }

    fn fitted(&mut self, place: &str, algorithm: Algorithm, path: &str) -> Option<Arc<Fitted>> {
        let fitted = match (self.around.fitted)(path) {
            Ok(fitted) => fitted,
            Err(problem) => {
                self.wrong(place, problem);
                return None;
            }
        };
        if fitted.algorithm() != algorithm {
            let message = format!("{path} was fitted as {}", fitted.algorithm().name());
            self.wrong(place, message);
        }
        let known = fitted.models();
        let strange: Vec<&str> = self
            .around
            .candidates
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !known.iter().any(|known| known == name))
            .collect();
        if !strange.is_empty() {
            let message = format!(
                "{path} was fitted to {}, and not to {}",
                known.join(", "),
                strange.join(", ")
            );
            self.wrong(place, message);
        }
        Some(fitted)
    }

    fn prompt(&mut self, config: Option<&PromptConfig>) -> Option<Prompt> {
        let config = config.cloned().unwrap_or_default();
        if config.model.is_empty() || config.instructions.trim().is_empty() {
            self.wrong(
                "prompt",
                "needs model, the helper, and instructions, what it goes by",
            );
            return None;
        }
        let seconds = config.timeout_seconds.unwrap_or(5);
        if !(1..=120).contains(&seconds) {
            self.wrong("prompt.timeout_seconds", "is a time from 1 to 120 seconds");
        }
        Some(Prompt {
            model: config.model,
            instructions: config.instructions,
            timeout_seconds: seconds,
        })
    }

    fn target(&mut self, target: &TargetConfig, config: &AlgorithmConfig) -> Option<Target> {
        // What does not estimate quality can't be steered by its price.
        if ["static", "weighted", "latency_aware", "prompt"].contains(&config.kind.as_str()) {
            let message = format!(
                "{} does not estimate how good an answer will be; a target needs thompson, elo, automix, multi_factor, \
                 hybrid, router_dc, knn, kmeans, svm or mlp",
                config.kind
            );
            self.wrong("target", message);
        }
        match (target.max_dollars_per_thousand, target.min_quality) {
            (Some(dollars), None) => {
                let path = Range("target.max_dollars_per_thousand", 1e-6, 1e6);
                Some(Target::Cost(self.number(Some(dollars), 1.0, path) * 1e6))
            }
            (None, Some(quality)) => {
                let path = Range("target.min_quality", 0.0, 1.0);
                Some(Target::Quality(self.number(Some(quality), 0.5, path)))
            }
            _ => {
                self.wrong("target", "needs one of max_dollars_per_thousand and min_quality");
                None
            }
        }
    }

    fn session(&mut self, config: &SessionConfig) -> Session {
        let mut number = |name: &str, value, usual| {
            self.number(value, usual, Range(&format!("session.{name}"), 0.0, 1_000.0))
        };
        let usual = Session::default();
        let multiple = config.max_cache_cost_multiplier;
        Session {
            idle_seconds: config.idle_timeout_seconds.unwrap_or(usual.idle_seconds),
            min_turns: config.min_turns_before_switch.unwrap_or(usual.min_turns),
            margin: number("switch_margin", config.switch_margin, usual.margin),
            tool_loop_lock: config.tool_loop_hard_lock.unwrap_or(usual.tool_loop_lock),
            cache_weight: number(
                "prefix_cache_weight",
                config.prefix_cache_weight,
                usual.cache_weight,
            ),
            max_cache_multiple: number("max_cache_cost_multiplier", multiple, usual.max_cache_multiple),
            second_weight: number("latency_weight", config.latency_weight, usual.second_weight),
            acts: true,
        }
    }
}
