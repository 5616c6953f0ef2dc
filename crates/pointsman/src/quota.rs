//! Limits that keys and holders have alike, as the command line says them.

use pointsman_governance::check_unit;
use pointsman_store::{BudgetWindow, Counted, Quota, WINDOWS};

#[derive(clap::Args)]
pub(crate) struct Limits {
    /// Tokens of prompts a minute.
    #[arg(long)]
    pub(crate) input_tpm: Option<u64>,
    /// Tokens of answers a minute.
    #[arg(long)]
    pub(crate) output_tpm: Option<u64>,
    /// Requests or tokens in a window: `requests=20/1s`, `output_tokens=50000/day`, in any five hours
    /// `tokens=100000/sliding 5h`, of some models `tokens=1000000/month:gpt-*,o1`, or what an expression says: `cel(input_tokens + output_tokens * 4)=90000/day`; may be
    /// given several times. At some providers alone: `requests=60/sliding 60s at anthropic`, or `tokens=9/day:o1 at openai`.
    #[arg(long = "quota", value_parser = quota)]
    pub(crate) quotas: Vec<Quota>,
    /// A model that the budget is about, `*` standing for any run of letters; may be given several times. All, when not given.
    #[arg(long = "budget-model")]
    pub(crate) budget_models: Vec<String>,
    /// A provider that the budget is about, as above. All, when not given.
    #[arg(long = "budget-provider")]
    pub(crate) budget_providers: Vec<String>,
}

/// The window of a budget, as it is written in the admin API.
pub(crate) fn window(text: &str) -> Result<BudgetWindow, String> {
    BudgetWindow::read(text).ok_or_else(|| format!("it is {WINDOWS}"))
}

fn quota(text: &str) -> Result<Quota, String> {
    let wrong =
        || format!("{text:?} is no quota: write it like requests=20/1s or tokens=1000000/month:gpt-*");
    let custom = text
        .strip_prefix("cel(")
        .map(|rest| rest.rsplit_once(")=").ok_or_else(wrong));
    let (of, cel, rest) = match custom.transpose()? {
        Some((cel, rest)) => {
            check_unit(cel).map_err(|why| format!("the expression of a quota {why}"))?;
            (Some(Counted::Custom), Some(cel.to_owned()), rest)
        }
        None => {
            let (of, rest) = text.split_once('=').ok_or_else(wrong)?;
            let known = Counted::ALL
                .into_iter()
                .filter(|counted| *counted != Counted::Custom);
            (
                known.into_iter().find(|counted| counted.as_str() == of),
                None,
                rest,
            )
        }
    };
    let (amount, rest) = rest.split_once('/').ok_or_else(wrong)?;
    let (rest, providers) = rest.split_once(" at ").unwrap_or((rest, ""));
    let (window, models) = rest.split_once(':').unwrap_or((rest, ""));
    let list = |text: &str| {
        let names = text.split(',').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    Ok(Quota {
        of: of.ok_or_else(wrong)?,
        amount: amount.parse().map_err(|_| wrong())?,
        window: BudgetWindow::read(window).ok_or_else(wrong)?,
        zone: None,
        models: list(models),
        providers: list(providers),
        cel,
        unit: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_and_what_is_none_is_not() {
        let read = quota("tokens=1000000/month:gpt-*,o1").unwrap();
        assert_eq!(
            (read.of, read.amount, read.window),
            (Counted::Tokens, 1_000_000, BudgetWindow::Month)
        );
        assert_eq!(read.models, ["gpt-*", "o1"]);
        assert_eq!(quota("requests=20/1s").unwrap().window, BudgetWindow::Seconds(1));
        let sliding = quota("tokens=100000/sliding 5h:gpt-*").unwrap();
        assert_eq!(
            (sliding.amount, sliding.window),
            (100_000, BudgetWindow::Sliding(18_000))
        );
        assert_eq!(sliding.models, ["gpt-*"]);
        let at = quota("requests=60/sliding 60s at anthropic,azure-*").unwrap();
        assert_eq!(at.providers, ["anthropic", "azure-*"]);
        let both = quota("tokens=9/day:o1 at openai").unwrap();
        assert_eq!(
            (both.models, both.providers),
            (vec!["o1".to_owned()], vec!["openai".to_owned()])
        );
        let custom = quota("cel(output_tokens == 0 ? 1 : output_tokens * 4)=9/day:o1").unwrap();
        assert_eq!((custom.of, custom.amount), (Counted::Custom, 9));
        assert_eq!(
            custom.cel.as_deref(),
            Some("output_tokens == 0 ? 1 : output_tokens * 4")
        );
        assert_eq!(custom.models, ["o1"]);
        for wrong in [
            "",
            "custom=1/day",
            "cel(tokens)=1/day",
            "cel(output_tokens=1/day",
            "requests",
            "requests=20",
            "money=1/day",
            "requests=-1/day",
            "requests=1/fortnight",
            "requests=1/sliding",
            "requests=1/5h",
        ] {
            assert!(quota(wrong).is_err(), "{wrong}");
        }
    }
}
