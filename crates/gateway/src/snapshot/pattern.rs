//! Models whose name stands for many: `gpt-*`.

use std::sync::Arc;

use pointsman_catalog::Catalog;

use super::{Model, Target};

/// A model whose name holds one `*`, which stands for any run of letters.
pub struct Pattern {
    before: String,
    after: String,
    model: Arc<Model>,
}

impl Pattern {
    /// The pattern of a model's name, if it is one.
    pub fn new(model: &Arc<Model>) -> Option<Self> {
        let (before, after) = model.name.split_once('*')?;
        Some(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            model: Arc::clone(model),
        })
    }

    /// How much of a name it says: patterns that say more come first.
    pub fn length(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The model of `name`, if the pattern stands for it. A `*` in the name of a target becomes what it stood for.
    pub fn model(&self, catalog: &Catalog, name: &str) -> Option<Arc<Model>> {
        let rest = name.strip_prefix(self.before.as_str())?;
        let stood_for = rest.strip_suffix(self.after.as_str())?;
        let targets = self.model.targets.iter().map(|target| {
            let model = target.model.replacen('*', stood_for, 1);
            Target {
                max_output: target
                    .max_output
                    .or_else(|| target.provider.facts(catalog, &model)?.max_output),
                price: target
                    .price
                    .clone()
                    .or_else(|| target.provider.facts(catalog, &model)?.price.clone()),
                features: target
                    .provider
                    .facts(catalog, &model)
                    .map_or(target.features, |facts| facts.features),
                model,
                ..target.clone()
            }
        });
        Some(Arc::new(Model {
            name: name.to_owned(),
            targets: targets.collect(),
            balance: Arc::clone(&self.model.balance),
            retry: self.model.retry.clone(),
            fallback: self.model.fallback.clone(),
            guardrails: Arc::clone(&self.model.guardrails),
            agent: None,
            meets_agents: self.model.meets_agents,
        }))
    }
}

#[cfg(test)]
mod tests {
    use pointsman_config::{Environment, parse};

    use crate::snapshot::{Lasting, Snapshot, compile};

    fn snapshot(text: &str) -> Snapshot {
        let config = parse(text, "p.yaml", &Environment::of(&[])).unwrap().config;
        compile(&config, &Lasting::default()).unwrap()
    }

    #[test]
    fn a_star_stands_for_any_run_of_letters_and_is_carried_over() {
        let snapshot = snapshot(
            r#"
providers: { o: { kind: openai, auth: { api_key: k } }, g: { kind: groq, auth: { api_key: k } } }
models:
  gpt-5-mini: { targets: [ { provider: g, model: exact } ] }
  "gpt-*": { targets: [ { provider: o, model: "gpt-*" } ] }
  "gpt-5*": { targets: [ { provider: o, model: "openai/gpt-5*" } ] }
  "*": { targets: [ { provider: g, model: everything } ] }
"#,
        );
        for (name, target) in [
            ("gpt-5-mini", "exact"),
            ("gpt-4o", "gpt-4o"),
            ("gpt-5-nano", "openai/gpt-5-nano"),
            ("gpt-5", "openai/gpt-5"),
            ("claude", "everything"),
        ] {
            let model = snapshot.resolve(name).unwrap();
            assert_eq!(
                (model.name.as_str(), model.targets[0].model.as_str()),
                (name, target)
            );
        }
        assert!(snapshot.resolve("gpt-4o").unwrap().targets[0].price.is_some());
    }
}
