//! The plugin `context_compression`: which parts of a long request are made shorter, and to what length.

use crate::config::plugins::{CompressionSettings, CompressionTarget, TokenLimit};

/// What is made shorter. Lengths are in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Whether a request that is not too long is made shorter, too.
    pub always: bool,
    /// From which length a request is too long; what its model can take less the answer, where absent.
    pub trigger: Option<u64>,
    /// To which length it is brought; the trigger where absent.
    pub target: Option<u64>,
    /// Kept free for the answer; what is asked for, where absent.
    pub reserve: Option<u64>,
    /// Results of tools: from which length each is made shorter, and to which.
    pub tool_outputs: Option<ItemBounds>,
    /// Earlier turns, where the request is too long.
    pub history: Option<ItemBounds>,
    /// What was looked up for the prompt.
    pub rag: Option<ItemBounds>,
    /// What is remembered of the user.
    pub memory: Option<ItemBounds>,
    /// What clients may ask for.
    pub controls: Option<CompressionControls>,
    /// How what is left out can be read again, where any of it can.
    pub recovery: Option<Recovery>,
    /// A request that stays too long is refused.
    pub strict: bool,
}

/// How what is left out can be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Most times that a model reads any of it.
    pub most_reads: u32,
    /// Most bytes of a request.
    pub most_bytes: usize,
    /// Most bytes of all requests together.
    pub most_of_all: usize,
}

/// Lengths of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemBounds {
    /// Shorter ones stay.
    pub least: u64,
    /// To which length.
    pub target: u64,
    /// Whether what is left out can be read again.
    pub recoverable: bool,
}

/// What clients may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressionControls {
    /// In which header, in lower case.
    pub header: String,
    /// Whether they may do without.
    pub bypass: bool,
    /// Whether they may name a length.
    pub target: bool,
    /// The greatest that they may name.
    pub most: Option<u64>,
}

/// Results of tools, where nothing is said.
const TOOL_OUTPUTS: ItemBounds = ItemBounds {
    least: 2_000,
    target: 1_000,
    recoverable: false,
};
/// Everything else, where nothing is said.
const OTHERS: ItemBounds = ItemBounds {
    least: 200,
    target: 100,
    recoverable: false,
};
const HEADER: &str = "x-vsr-compression-control";
/// Times that what is left out is read again, where nothing is said, and at most.
const READS: u64 = 8;
const MOST_READS: u64 = 32;
/// Bytes of it that are kept of a request, and of all.
const REQUEST: u64 = 10 << 20;
const ALL: u64 = 256 << 20;

impl Compression {
    pub(super) fn of(form: &CompressionSettings) -> Result<Option<Self>, String> {
        let mode = form.mode.as_deref().unwrap_or("auto");
        if !["auto", "always", "off"].contains(&mode) {
            return Err(format!(
                "context_compression.mode: unknown mode {mode:?}; use auto, always or off"
            ));
        }
        if let Some(scoring) = &form.scoring
            && let Some(method) = scoring.method.as_deref().filter(|method| *method != "bm25")
        {
            return Err(format!(
                "context_compression.scoring.method {method:?} is not supported in this version; use bm25"
            ));
        }
        let recovery = recovery(form)?;
        let strict = match form.failure_mode.as_deref() {
            None | Some("fail_open") => false,
            Some("fail_closed") => true,
            Some(other) => {
                return Err(format!(
                    "context_compression.failure_mode: unknown mode {other:?}; use fail_open or fail_closed"
                ));
            }
        };
        let budget = form.budget.clone().unwrap_or_default();
        let targets = form.targets.clone().unwrap_or_default();
        if targets
            .current_user
            .as_ref()
            .is_some_and(|target| target.mode.as_deref() == Some("extractive"))
        {
            return Err(
                "context_compression.targets.current_user is not supported in this version but to preserve: what the \
                 user says now stays as it is"
                    .to_owned(),
            );
        }
        let compression = Self {
            always: mode == "always",
            trigger: limit("trigger_tokens", budget.trigger_tokens)?,
            target: limit("target_tokens", budget.target_tokens)?,
            reserve: limit("reserve_output_tokens", budget.reserve_output_tokens)?,
            tool_outputs: item("tool_outputs", targets.tool_outputs.as_ref(), true, TOOL_OUTPUTS)?,
            history: item("history", targets.history.as_ref(), false, OTHERS)?,
            rag: item("rag", targets.rag.as_ref(), false, OTHERS)?,
            memory: item("memory", targets.memory.as_ref(), false, OTHERS)?,
            controls: controls(form)?,
            recovery,
            strict,
        };
        compression.recoverable()?;
        Ok((form.enabled && mode != "off").then_some(compression))
    }
}

impl Compression {
    /// Only what can be read again is said to be, and only where that is switched on.
    fn recoverable(&self) -> Result<(), String> {
        let says = |bounds: Option<ItemBounds>| bounds.is_some_and(|bounds| bounds.recoverable);
        for (name, bounds) in [("rag", self.rag), ("memory", self.memory)] {
            if says(bounds) {
                return Err(format!(
                    "context_compression.targets.{name}: of tool_outputs and history only what is left out can be read again"
                ));
            }
        }
        if self.recovery.is_none() && (says(self.tool_outputs) || says(self.history)) {
            return Err("context_compression.targets: recoverable needs recovery.enabled".to_owned());
        }
        Ok(())
    }
}

/// How what is left out can be read again; `store` and `ttl_seconds` change nothing: it is kept with the request, and no
/// longer.
fn recovery(form: &CompressionSettings) -> Result<Option<Recovery>, String> {
    let Some(recovery) = form.recovery.as_ref().filter(|recovery| recovery.enabled) else {
        return Ok(None);
    };
    let bytes = |field: &str, value: Option<u64>, usual: u64| {
        let value = value.filter(|value| *value > 0).unwrap_or(usual);
        usize::try_from(value).map_err(|_| format!("context_compression.recovery.{field} is too large"))
    };
    let reads = recovery
        .max_retrievals
        .filter(|reads| *reads > 0)
        .unwrap_or(READS);
    if reads > MOST_READS {
        return Err(format!(
            "context_compression.recovery.max_retrievals is at most {MOST_READS}"
        ));
    }
    Ok(Some(Recovery {
        most_reads: u32::try_from(reads).unwrap_or(u32::MAX),
        most_bytes: bytes("max_bytes_per_request", recovery.max_bytes_per_request, REQUEST)?,
        most_of_all: bytes("max_total_bytes", recovery.max_total_bytes, ALL)?,
    }))
}

fn limit(name: &str, limit: Option<TokenLimit>) -> Result<Option<u64>, String> {
    match limit {
        None => Ok(None),
        Some(TokenLimit::Tokens(tokens)) if tokens > 0 => Ok(Some(tokens)),
        Some(TokenLimit::Word(word)) if word == "auto" => Ok(None),
        Some(_) => Err(format!(
            "context_compression.budget.{name} is a number of tokens, or auto"
        )),
    }
}

fn item(
    name: &str,
    target: Option<&CompressionTarget>,
    usually: bool,
    usual: ItemBounds,
) -> Result<Option<ItemBounds>, String> {
    let Some(target) = target else {
        return Ok(usually.then_some(usual));
    };
    let extracts = match target.mode.as_deref() {
        None => usually,
        Some("extractive" | "recoverable") => true,
        Some("preserve") => false,
        Some(other) => {
            return Err(format!(
                "context_compression.targets.{name}.mode {other:?} is not supported in this version; use extractive, \
                 recoverable or preserve"
            ));
        }
    };
    let bounds = ItemBounds {
        least: target.min_tokens.unwrap_or(usual.least),
        target: target.target_tokens.unwrap_or(usual.target),
        recoverable: target.mode.as_deref() == Some("recoverable"),
    };
    if extracts && (bounds.target == 0 || bounds.target >= bounds.least) {
        return Err(format!(
            "context_compression.targets.{name}.target_tokens must be above 0 and below its min_tokens"
        ));
    }
    Ok(extracts.then_some(bounds))
}

fn controls(form: &CompressionSettings) -> Result<Option<CompressionControls>, String> {
    let Some(controls) = form.request_controls.as_ref() else {
        return Ok(None);
    };
    let known = ["bypass", "target"];
    if let Some(unknown) = controls
        .allowed
        .iter()
        .find(|word| !known.contains(&word.as_str()))
    {
        return Err(format!(
            "context_compression.request_controls.allowed: unknown word {unknown:?}; use bypass or target"
        ));
    }
    let may =
        |word: &str| controls.allowed.is_empty() || controls.allowed.iter().any(|allowed| allowed == word);
    Ok(controls.enabled.then(|| CompressionControls {
        header: controls
            .header
            .as_deref()
            .unwrap_or(HEADER)
            .trim()
            .to_ascii_lowercase(),
        bypass: may("bypass"),
        target: may("target"),
        most: controls.max_target_tokens,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: serde_json::Value) -> Result<Option<Compression>, String> {
        Compression::of(&serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn tool_outputs_are_shortened_unless_said_otherwise() {
        let usual = of(json!({"enabled": true})).unwrap().unwrap();
        assert_eq!(
            (usual.tool_outputs, usual.history, usual.always),
            (Some(TOOL_OUTPUTS), None, false)
        );
        let other = of(json!({
            "enabled": true, "mode": "always", "failure_mode": "fail_closed",
            "budget": {"trigger_tokens": "auto", "target_tokens": 900},
            "targets": {"tool_outputs": {"mode": "preserve"}, "history": {"mode": "extractive", "min_tokens": 50, "target_tokens": 20}},
            "request_controls": {"enabled": true, "allowed": ["bypass"]}
        }))
        .unwrap()
        .unwrap();
        assert_eq!(
            (other.tool_outputs, other.trigger, other.target),
            (None, None, Some(900))
        );
        assert_eq!(
            other.history,
            Some(ItemBounds {
                least: 50,
                target: 20,
                recoverable: false
            })
        );
        assert!(other.strict && other.always);
        let controls = other.controls.unwrap();
        assert!(controls.bypass && !controls.target);
        assert_eq!(of(json!({"enabled": false})), Ok(None));
        assert_eq!(of(json!({"enabled": true, "mode": "off"})), Ok(None));
    }

    #[test]
    fn what_is_left_out_can_be_read_again() {
        let known = of(json!({
            "enabled": true, "recovery": {"enabled": true, "store": "redis", "ttl_seconds": 900, "max_retrievals": 3},
            "targets": {"tool_outputs": {"mode": "recoverable"}}
        }))
        .unwrap()
        .unwrap();
        assert!(known.tool_outputs.unwrap().recoverable);
        let recovery = known.recovery.unwrap();
        assert_eq!((recovery.most_reads, recovery.most_bytes), (3, 10 << 20));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for wrong in [
            json!({"enabled": true, "mode": "sometimes"}),
            json!({"enabled": true, "scoring": {"method": "embedding"}}),
            json!({"enabled": true, "recovery": {"enabled": true, "max_retrievals": 100}}),
            json!({"enabled": true, "recovery": {"enabled": true}, "targets": {"rag": {"mode": "recoverable"}}}),
            json!({"enabled": true, "failure_mode": "fail"}),
            json!({"enabled": true, "budget": {"trigger_tokens": "many"}}),
            json!({"enabled": true, "targets": {"history": {"mode": "recoverable"}}}),
            json!({"enabled": true, "targets": {"tool_outputs": {"mode": "extractive", "min_tokens": 10, "target_tokens": 10}}}),
            json!({"enabled": true, "targets": {"current_user": {"mode": "extractive"}}}),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
