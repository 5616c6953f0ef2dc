//! Limits that keys and holders have alike, as the command line says them.

use pointsman_store::{BudgetWindow, Counted, Quota};

#[derive(clap::Args)]
pub(crate) struct Limits {
    /// Tokens of prompts a minute.
    #[arg(long)]
    pub(crate) input_tpm: Option<u64>,
    /// Tokens of answers a minute.
    #[arg(long)]
    pub(crate) output_tpm: Option<u64>,
    /// Requests or tokens in a window: `requests=20/1s`, `output_tokens=50000/day`, or of some models
    /// `tokens=1000000/month:gpt-*,o1`; may be given several times.
    #[arg(long = "quota", value_parser = quota)]
    pub(crate) quotas: Vec<Quota>,
    /// A model that the budget is about, `*` standing for any run of letters; may be given several times. All, when not given.
    #[arg(long = "budget-model")]
    pub(crate) budget_models: Vec<String>,
}

fn quota(text: &str) -> Result<Quota, String> {
    let wrong =
        || format!("{text:?} is no quota: write it like requests=20/1s or tokens=1000000/month:gpt-*");
    let (of, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (amount, rest) = rest.split_once('/').ok_or_else(wrong)?;
    let (window, models) = rest.split_once(':').unwrap_or((rest, ""));
    let of = Counted::ALL.into_iter().find(|counted| counted.as_str() == of);
    let models = models.split(',').filter(|model| !model.is_empty());
    Ok(Quota {
        of: of.ok_or_else(wrong)?,
        amount: amount.parse().map_err(|_| wrong())?,
        window: self::window(window).ok_or_else(wrong)?,
        zone: None,
        models: models.map(str::to_owned).collect(),
    })
}

fn window(text: &str) -> Option<BudgetWindow> {
    Some(match text {
        "total" => BudgetWindow::Total,
        "day" => BudgetWindow::Day,
        "week" => BudgetWindow::Week,
        "month" => BudgetWindow::Month,
        _ => BudgetWindow::Seconds(text.strip_suffix('s')?.parse().ok()?),
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
        for wrong in [
            "",
            "requests",
            "requests=20",
            "money=1/day",
            "requests=-1/day",
            "requests=1/fortnight",
        ] {
            assert!(quota(wrong).is_err(), "{wrong}");
        }
    }
}
