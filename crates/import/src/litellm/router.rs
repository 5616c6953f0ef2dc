//! `router_settings`, and what `litellm_settings` says of the same things: retries, cooldowns, timeouts, fallbacks,
//! aliases.

use super::deployment::tell_stream_timeout;
use super::{Files, Import};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Errors that are worth another attempt, by their names in a retry policy.
const RETRIED: [(&str, &[&str]); 5] = [
    ("TimeoutErrorRetries", &["timeout", "connect", "408"]),
    ("RateLimitErrorRetries", &["429"]),
    ("InternalServerErrorRetries", &["5xx", "reset"]),
    ("ServiceUnavailableErrorRetries", &["503"]),
    ("DefaultRetries", &[]),
];

/// Errors that are never worth another attempt.
const NEVER_RETRIED: [&str; 4] = [
    "BadRequestErrorRetries",
    "AuthenticationErrorRetries",
    "ContentPolicyViolationErrorRetries",
    "NotFoundErrorRetries",
];

/// What both blocks may say.
struct Both<'a> {
    router: Option<&'a Item>,
    library: Option<&'a Item>,
}

impl<'a> Both<'a> {
    fn new(files: &'a Files) -> Self {
        Self {
            router: files.map("router_settings"),
            library: files.map("litellm_settings"),
        }
    }

    /// A setting: the router's own wins.
    fn get(&self, import: &mut Import, key: &str) -> Option<&'a Item> {
        let find = |block: Option<&'a Item>| block?.get(key).filter(|item| !item.is_nothing());
        match (find(self.router), find(self.library)) {
            (Some(own), Some(other)) => {
                import
                    .draft
                    .report
                    .lost(other, "router_settings says it, too, and wins", "");
                Some(own)
            }
            (own, other) => own.or(other),
        }
    }
}

/// A further name of a model.
pub(super) struct Alias {
    name: String,
    of: String,
}

/// Reads what holds for every deployment, and the aliases.
pub(super) fn policy(import: &mut Import, files: &Files) -> Vec<Alias> {
    let both = Both::new(files);
    strategy(import, &both);
    retries(import, &both);
    cooldown(import, &both);
    import.policy.timeout = both
        .get(import, "timeout")
        .and_then(Item::seconds)
        .or_else(|| both.library?.get("request_timeout")?.seconds());
    if let Some(item) = both.get(import, "stream_timeout") {
        tell_stream_timeout(import, item);
        import.policy.stream_timeout = item.seconds();
    }
    if let Some(library) = both.library {
        import.policy.drop_params = library.get("drop_params").and_then(Item::flag) == Some(true);
        let entra = library.get("enable_azure_ad_token_refresh");
        import.policy.azure_entra = entra.and_then(Item::flag) == Some(true);
    }
    aliases(import, &both)
}

fn strategy(import: &mut Import, both: &Both<'_>) {
    let Some(router) = both.router else { return };
    let checks = router
        .get("optional_pre_call_checks")
        .map(Item::items)
        .unwrap_or_default();
    for check in checks {
        if check.peek() == Some("enforce_model_rate_limits") {
            check.accept();
            import.policy.limits = true;
        }
    }
    if let Some(item) = router.get("enable_pre_call_checks")
        && item.flag() == Some(true)
    {
        import.draft.report.nearest(
            item,
            "prompts that do not fit are found by the provider's answer, after which fallback.context_window takes over; rpm and tpm become limits of provider keys",
            "",
        );
        import.policy.limits = true;
    }
    let Some(item) = router.get("routing_strategy") else {
        return;
    };
    match item.text().unwrap_or_default() {
        "simple-shuffle" => {}
        "least-busy" => import.policy.balance = Some("least_busy"),
        "latency-based-routing" => import.policy.balance = Some("lowest_latency"),
        "usage-based-routing" | "usage-based-routing-v2" => {
            import.policy.balance = Some("least_busy");
            import.policy.limits = true;
            import.draft.report.nearest(
                item,
                "the target with the fewest requests under way is taken, not the one with the fewest tokens in the minute; rpm and tpm become limits of provider keys",
                "",
            );
        }
        _ => import.draft.report.lost(
            item,
            "there is no such policy; targets are picked by weight",
            "set models.NAME.balance.policy to round_robin, least_busy or lowest_latency, or order targets by priority",
        ),
    }
}

fn retries(import: &mut Import, both: &Both<'_>) {
    let mut retry = Map::default();
    if let Some(retries) = both.get(import, "num_retries").and_then(Item::whole) {
        retry.set("attempts", Yaml::plain(retries.saturating_add(1).min(100)));
    }
    if let Some(policy) = both.get(import, "retry_policy") {
        retry = by_policy(import, policy, retry);
    }
    import.policy.retry = retry;
    let groups = both.get(import, "model_group_retry_policy");
    for (name, policy) in groups.map(Item::entries).unwrap_or_default() {
        let retry = by_policy(import, policy, import.policy.retry.clone());
        import.policy.retries.push((name.clone(), retry));
    }
    if let Some(item) = both.router.and_then(|router| router.get("retry_after"))
        && let Some(least) = item.seconds()
    {
        if least == "0s" {
            return;
        }
        import.draft.report.nearest(
            item,
            "the wait is random and grows; a provider's Retry-After is the least",
            "set retry.backoff.base",
        );
    }
}

/// Numbers of retries by sort of error: one number, and what it is for.
fn by_policy(import: &mut Import, policy: &Item, mut retry: Map) -> Map {
    let mut most = None;
    let mut on: Vec<&str> = Vec::new();
    let mut numbers = Vec::new();
    for (name, tokens) in RETRIED {
        let Some(item) = policy.get(name) else {
            // What a policy does not name is tried again as everything else is.
            on.extend(tokens);
            continue;
        };
        let Some(number) = item.whole() else { continue };
        numbers.push((item, number));
        most = most.max(Some(number));
        if number > 0 {
            on.extend(tokens);
        }
    }
    for (item, number) in numbers {
        if Some(number) != most && number > 0 {
            import.draft.report.nearest(
                item,
                "there is one number of attempts for all errors: the largest counts",
                "",
            );
        }
    }
    for (name, item) in policy.entries() {
        if !NEVER_RETRIED.contains(&name.as_str()) {
            continue;
        }
        if item.whole().is_some_and(|number| number > 0) {
            import.draft.report.lost(
                item,
                "such an error would come again: it is never tried again at the same target",
                "",
            );
        }
    }
    let Some(most) = most else { return retry };
    retry.set("attempts", Yaml::plain(most.saturating_add(1).min(100)));
    on.dedup();
    if most > 0 {
        retry.set("on", Yaml::texts(on));
    }
    retry
}

fn cooldown(import: &mut Import, both: &Both<'_>) {
    let mut health = Map::default();
    if let Some(item) = both.get(import, "allowed_fails")
        && let Some(fails) = item.whole()
    {
        health.set(
            "consecutive_failures",
            Yaml::plain(fails.saturating_add(1).min(10_000)),
        );
        import.draft.report.nearest(
            item,
            "failures are counted one after another, not in a minute, and for the provider's server, not for a deployment",
            "see health.failure_ratio for a share of failures in a window",
        );
    }
    if let Some(item) = both.get(import, "cooldown_time")
        && let Some(time) = item.seconds()
    {
        health.set("open_for", Yaml::text(&time));
        if item.decimal().and_then(|time| time.shifted(3).whole()) > Some(60_000) {
            health.set("max_open_for", Yaml::text(&time));
        }
        import.draft.report.nearest(
            item,
            "it is the first rest of a server that fails, doubled up to health.max_open_for while it goes on failing",
            "",
        );
    }
    if both.get(import, "disable_cooldowns").and_then(Item::flag) == Some(true) {
        health.set("consecutive_failures", Yaml::plain(0));
        health.set("failure_ratio", Yaml::plain(0));
    }
    import.policy.health = health;
}

fn aliases(import: &mut Import, both: &Both<'_>) -> Vec<Alias> {
    let mut aliases = Vec::new();
    let items = [
        both.get(import, "model_group_alias"),
        both.library.and_then(|library| library.get("model_alias_map")),
    ];
    for (name, item) in items.into_iter().flatten().flat_map(Item::entries) {
        let of = item.get("model").unwrap_or(item);
        if let Some(of) = of.text() {
            aliases.push(Alias {
                name: name.clone(),
                of: of.to_owned(),
            });
        }
        if let Some(hidden) = item.get("hidden")
            && hidden.flag() == Some(true)
        {
            import
                .draft
                .report
                .lost(hidden, "every model is listed for keys that may use it", "");
        }
    }
    aliases
}

/// Fallbacks and aliases, once the models are there.
pub(super) fn links(import: &mut Import, files: &Files, aliases: &[Alias]) {
    let both = Both::new(files);
    let lists = [
        ("fallbacks", "any"),
        ("context_window_fallbacks", "context_window"),
        ("content_policy_fallbacks", "content_policy"),
    ];
    for (key, list) in lists {
        for item in both.get(import, key).map(Item::items).unwrap_or_default() {
            for (name, others) in item.entries() {
                fallback(import, name, others, list, aliases);
            }
        }
    }
    if let Some(item) = both.get(import, "default_fallbacks") {
        default_fallbacks(import, item, aliases);
    }
    for alias in aliases {
        let Some(Yaml::Map(model)) = models(import).get(&alias.of).cloned() else {
            tell_alias(import, &both, alias);
            continue;
        };
        if models(import).get(&alias.name).is_some() {
            tell_alias(import, &both, alias);
            continue;
        }
        import
            .draft
            .block("models", |models| models.set(&alias.name, Yaml::Map(model)));
        let note = format!("The same as {:?}, by another name.", alias.of);
        import
            .draft
            .block("models", |models| models.note(&alias.name, note));
    }
}

fn tell_alias(import: &mut Import, both: &Both<'_>, alias: &Alias) {
    let places = [
        both.router
            .and_then(|router| router.at_path(&["model_group_alias", &alias.name])),
        both.library
            .and_then(|library| library.at_path(&["model_group_alias", &alias.name])),
        both.library
            .and_then(|library| library.at_path(&["model_alias_map", &alias.name])),
    ];
    if let Some(item) = places.into_iter().flatten().next() {
        import.draft.report.lost(
            item,
            "the model it names is not there, or a model has the name already",
            "add the model under models",
        );
    }
}

fn models(import: &Import) -> &Map {
    static NONE: std::sync::LazyLock<Map> = std::sync::LazyLock::new(Map::default);
    match import.draft.blocks.get("models") {
        Some(Yaml::Map(models)) => models,
        _ => &NONE,
    }
}

/// The models of a list of fallbacks that are there; the others are told.
fn known(import: &mut Import, others: &Item, aliases: &[Alias]) -> Vec<String> {
    let mut names = Vec::new();
    for other in others.one_or_many() {
        let served = other.peek().is_some_and(|name| {
            models(import).get(name).is_some()
                || aliases
                    .iter()
                    .any(|alias| alias.name == name && models(import).get(&alias.of).is_some())
                || (name.contains('/') && models(import).keys().any(|pattern| matches(pattern, name)))
        });
        match other.peek() {
            Some(name) if served => {
                other.accept();
                names.push(name.to_owned());
            }
            _ => import.draft.report.lost(
                other,
                "a fallback names a model of this file, and this does not",
                "add the model under models",
            ),
        }
    }
    names
}

/// Whether a name with a `*` stands for another.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').is_some_and(|(start, end)| {
        name.len() > start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    })
}

fn fallback(import: &mut Import, name: &str, others: &Item, list: &str, aliases: &[Alias]) {
    if name == "*" && list == "any" {
        default_fallbacks(import, others, aliases);
        return;
    }
    if models(import).get(name).is_none() {
        import.draft.report.lost(
            others,
            "there is no model of this name in the file",
            "add it under models, with its fallback",
        );
        return;
    }
    let names = known(import, others, aliases);
    set_fallback(import, name, list, names);
}

fn set_fallback(import: &mut Import, name: &str, list: &str, names: Vec<String>) {
    let names: Vec<String> = names.into_iter().filter(|other| other != name).collect();
    if names.is_empty() {
        return;
    }
    import.draft.block("models", |models| {
        models.update(name, |model| {
            model.update("fallback", |fallback| fallback.set(list, Yaml::texts(names)));
        });
    });
}

/// What takes over for every model that names nothing itself.
fn default_fallbacks(import: &mut Import, others: &Item, aliases: &[Alias]) {
    let names = known(import, others, aliases);
    let all: Vec<String> = models(import).keys().map(str::to_owned).collect();
    for name in all {
        let own = match models(import).get(&name) {
            Some(Yaml::Map(model)) => match model.get("fallback") {
                Some(Yaml::Map(fallback)) => fallback.get("any").is_some(),
                _ => false,
            },
            _ => false,
        };
        if !own {
            set_fallback(import, &name, "any", names.clone());
        }
    }
}
