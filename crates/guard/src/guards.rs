//! All guardrails of a configuration, and those of one request: who always acts, and who acts where somebody names it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pointsman_upstream::EndpointRegistry;
use pointsman_upstream::breaker::BreakerState;

use crate::classifier::ClassifierGuard;
use crate::config::{Action, GuardrailConfig, Stage};
use crate::groundedness::GroundednessGuard;
use crate::pii::PiiGuard;
use crate::placeholder::Placeholders;
use crate::regex::RegexGuard;
use crate::remote::{self, RemoteGuard};
use crate::stage::{Guard, Kind, Manner, StageGuards, Wrong};
use crate::topics::TopicsGuard;

/// The guardrails of a request, by stage.
#[derive(Debug, Default)]
pub struct Guards {
    input: StageGuards,
    tool_result: StageGuards,
    output: StageGuards,
    /// One of them puts placeholders into texts.
    replaces: bool,
    /// One of them replaces by made-up values.
    makes_up: bool,
    /// One of them wants them back.
    restores: bool,
    /// Names of those that act only because they were named, or that a sample left out: what sets it apart.
    apart: Vec<Arc<str>>,
}

/// All guardrails of a configuration.
#[derive(Debug, Default)]
pub struct GuardSet {
    all: Vec<Guard>,
    /// Those that act on every request.
    always: Arc<Guards>,
    /// Whether requests have different ones.
    varies: bool,
}

/// What is wrong with a guardrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Which one.
    pub index: usize,
    /// Which of its fields.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
}

impl GuardSet {
    /// Compiles the configuration. What is observed of services outlives it in `services`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(
        configs: &[GuardrailConfig],
        services: &EndpointRegistry,
    ) -> Result<Self, Vec<CompileError>> {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for (index, config) in configs.iter().enumerate() {
            match guard(config, services) {
                Ok(guard) => all.push(guard),
                Err((field, message)) => errors.push(CompileError {
                    index,
                    field,
                    message,
                }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let always = all.iter().filter(|guard| guard.manner.default_on);
        let always = Guards::of(always.filter(|guard| guard.manner.sample >= 100));
        Ok(Self {
            varies: all
                .iter()
                .any(|guard| !guard.manner.default_on || guard.manner.sample < 100),
            always: Arc::new(always),
            all,
        })
    }

    /// Those of a request that `named` names in addition, which tells apart requests that a sample is drawn from. Naming
    /// leaves nobody out.
    #[must_use]
    pub fn of<'n>(&self, named: impl IntoIterator<Item = &'n str>, request: &str) -> Arc<Guards> {
        if !self.varies {
            return Arc::clone(&self.always);
        }
        let named: BTreeSet<&str> = named.into_iter().collect();
        let acts = |guard: &&Guard| {
            let manner = &guard.manner;
            let meant = manner.default_on || named.contains(&*manner.name);
            meant && is_drawn(&manner.name, request, manner.sample)
        };
        let chosen: Vec<&Guard> = self.all.iter().filter(acts).collect();
        let always = |guard: &Guard| guard.manner.default_on && guard.manner.sample >= 100;
        if chosen.iter().all(|guard| always(guard)) {
            return Arc::clone(&self.always);
        }
        let mut guards = Guards::of(chosen.iter().copied());
        let apart = chosen.into_iter().filter(|guard| !always(guard));
        guards.apart = apart.map(|guard| Arc::clone(&guard.manner.name)).collect();
        Arc::new(guards)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether requests have different ones.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.varies
    }

    /// Those of `all` that are not among those of `before`; none where there are none.
    #[must_use]
    pub fn beyond(&self, before: &Guards, all: &Guards) -> Option<Guards> {
        let is_new = |guard: &&Guard| {
            let name = &guard.manner.name;
            all.apart.contains(name) && !before.apart.contains(name)
        };
        let mut new = self.all.iter().filter(is_new).peekable();
        new.peek()?;
        Some(Guards::of(new))
    }

    /// Those that act on every request.
    #[must_use]
    pub fn always(&self) -> &Arc<Guards> {
        &self.always
    }

    /// Whether one has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all.iter().any(|guard| &*guard.manner.name == name)
    }

    /// Models that answer instead, with the names of the guardrails that want them to.
    pub fn alternatives(&self) -> impl Iterator<Item = (&str, &str)> {
        let each = self.all.iter();
        each.filter_map(|guard| Some((&*guard.manner.name, guard.manner.to.as_deref()?)))
    }

    /// Guardrails that ask a service, and what its breaker is doing.
    pub fn breakers(&self) -> impl Iterator<Item = (&str, BreakerState)> {
        self.all.iter().filter_map(|guard| match &guard.kind {
            Kind::Remote(remote) => Some((&*guard.manner.name, remote.breaker())),
            Kind::Regex(_) | Kind::Pii(_) | Kind::Classifier(_) | Kind::Grounded(_) | Kind::Topics(_) => None,
        })
    }

    /// The heads that models are asked for, and `pii` where they are asked for personal data.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        let all = Guards::of(self.all.iter());
        let mut heads = Vec::new();
        for stage in [&all.input, &all.tool_result] {
            heads.extend(stage.asking.heads.iter().cloned());
            heads.extend(stage.asking.entities.then(|| "pii".to_owned()));
        }
        heads
    }
}

/// Whether a guardrail sees a request. The same request is always drawn alike, also where it comes in two halves.
fn is_drawn(name: &str, request: &str, percent: u8) -> bool {
    if percent >= 100 {
        return true;
    }
    let mut hasher = DefaultHasher::new();
    (name, request).hash(&mut hasher);
    hasher.finish() % 100 < u64::from(percent)
}

fn guard(config: &GuardrailConfig, services: &EndpointRegistry) -> Result<Guard, Wrong> {
    let common = config.common();
    check(config)?;
    // A dry run judges as if it flagged.
    let action = if common.dry_run {
        Action::Flag
    } else {
        common.action
    };
    let kind = match config {
        GuardrailConfig::Regex(config) => Kind::Regex(Arc::new(RegexGuard::compile(config, action)?)),
        GuardrailConfig::Pii(config) => Kind::Pii(Arc::new(PiiGuard::compile(config, action)?)),
        GuardrailConfig::Jailbreak(config) => {
            Kind::Classifier(Arc::new(ClassifierGuard::compile("jailbreak", config)?))
        }
        GuardrailConfig::Harmful(config) => {
            Kind::Classifier(Arc::new(ClassifierGuard::compile("harmful", config)?))
        }
        GuardrailConfig::Groundedness(config) => {
            Kind::Grounded(Arc::new(GroundednessGuard::compile(config, action)?))
        }
        GuardrailConfig::Topics(config) => Kind::Topics(Arc::new(TopicsGuard::compile(config)?)),
        _ => Kind::Remote(Arc::new(RemoteGuard::compile(config, action, services)?)),
    };
    let flag = match (common.dry_run, common.action) {
        (true, Action::Block) => format!("{}:would_block", common.name),
        (true, Action::Redact) => format!("{}:would_redact", common.name),
        (true, Action::Route) => format!("{}:would_route", common.name),
        _ => common.name.to_owned(),
    };
    Ok(Guard {
        kind,
        manner: Arc::new(Manner {
            name: common.name.into(),
            action,
            flag,
            to: common.to.filter(|_| action == Action::Route).map(str::to_owned),
            sample: common.sample.unwrap_or(100),
            default_on: common.default_on,
            on: common.on.to_vec(),
        }),
    })
}

/// What no kind of guardrail can do.
fn check(config: &GuardrailConfig) -> Result<(), Wrong> {
    let common = config.common();
    let wrong = |field, message: &str| Err((field, message.to_owned()));
    if common.on.is_empty() {
        return wrong("on", "say which texts it sees: [input], [output], [tool_result]");
    }
    if remote::restores(config) && common.action != Action::Redact {
        return wrong(
            "restore",
            "there is nothing to put back: restore goes with action: redact",
        );
    }
    if remote::restores(config) && common.on.iter().all(|stage| *stage == Stage::Output) {
        return wrong(
            "restore",
            "only what was replaced on its way in is put back: restore goes with on: [input] or [tool_result]",
        );
    }
    match (common.action, common.to) {
        (Action::Route, None) => wrong("to", "say which model answers instead"),
        (Action::Route, _) if common.on.contains(&Stage::Output) => wrong(
            "action",
            "what was said cannot be asked of another model any more; use on: [input, tool_result]",
        ),
        (Action::Block | Action::Redact | Action::Flag, Some(_)) => wrong("to", "it goes with action: route"),
        _ => Ok(()),
    }
}

impl Guards {
    /// Compiles the configuration as one whose guardrails all act on every request.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(configs: &[GuardrailConfig]) -> Result<Self, Vec<CompileError>> {
        let set = GuardSet::compile(configs, &EndpointRegistry::default())?;
        Ok(Self::of(set.all.iter()))
    }

    fn of<'g>(all: impl Iterator<Item = &'g Guard>) -> Self {
        let mut guards = Self::default();
        guards.output.flows = true;
        for stage in [Stage::Input, Stage::ToolResult, Stage::Output] {
            guards.stage_mut(stage).stage = Some(stage);
        }
        for guard in all {
            let replaces = guard.manner.action == Action::Redact;
            match &guard.kind {
                Kind::Pii(pii) => {
                    guards.replaces |= replaces;
                    guards.restores |= replaces && pii.replacing.restorable;
                    guards.makes_up |= replaces && pii.replacing.synthetic;
                }
                Kind::Remote(remote) => {
                    guards.replaces |= replaces;
                    guards.restores |= replaces && remote.restore;
                }
                Kind::Regex(_) | Kind::Classifier(_) | Kind::Grounded(_) | Kind::Topics(_) => {}
            }
            for stage in &guard.manner.on {
                guards.stage_mut(*stage).add(guard, *stage);
            }
        }
        guards
    }

    /// Whether something is put back into answers.
    #[must_use]
    pub fn restores(&self) -> bool {
        self.restores
    }

    /// What sets it apart from those of other requests: answers that were judged by some are not given to others.
    #[must_use]
    pub fn apart(&self) -> &[Arc<str>] {
        &self.apart
    }

    /// A book for the placeholders of one request.
    #[must_use]
    pub fn placeholders(&self) -> Placeholders {
        if self.makes_up {
            Placeholders::making_up()
        } else if self.replaces {
            Placeholders::new()
        } else {
            Placeholders::default()
        }
    }

    /// The guardrails of a stage.
    #[must_use]
    pub fn for_stage(&self, stage: Stage) -> &StageGuards {
        match stage {
            Stage::Input => &self.input,
            Stage::ToolResult => &self.tool_result,
            Stage::Output => &self.output,
        }
    }

    fn stage_mut(&mut self, stage: Stage) -> &mut StageGuards {
        match stage {
            Stage::Input => &mut self.input,
            Stage::ToolResult => &mut self.tool_result,
            Stage::Output => &mut self.output,
        }
    }
}

impl StageGuards {
    fn add(&mut self, guard: &Guard, stage: Stage) {
        match &guard.kind {
            Kind::Pii(guard) if guard.asks(stage) => self.asking.add_entities(guard.patience),
            Kind::Classifier(guard) => self.asking.add_head(guard.head, guard.patience),
            Kind::Topics(guard) => self.asking.add_vectors(guard.patience),
            Kind::Pii(_) | Kind::Regex(_) | Kind::Remote(_) | Kind::Grounded(_) => {}
        }
        let at = self.guards.len();
        let is_service = |guard: &Guard| matches!(guard.kind, Kind::Remote(_));
        // Services are asked together as long as they see the same texts: until one has changed them.
        let leads = |guard: &Guard| is_service(guard) && guard.manner.action != Action::Redact;
        match self.legs.last_mut() {
            Some(leg) if !is_service(guard) || self.guards[leg.clone()].iter().all(leads) => leg.end = at + 1,
            _ => self.legs.push(at..at + 1),
        }
        self.guards.push(guard.clone());
    }
}
