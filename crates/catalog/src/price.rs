//! What an answer costs: rates by kind, service tier and size of the prompt.

use std::sync::Arc;

use pointsman_wire::form::Usage;

use crate::money::Money;
use crate::named::named;
use crate::rate::{Rate, RateKind};

mod read;

named! {
    /// How urgent a request is, as far as its price is concerned.
    ServiceTier: "service tier" {
        /// As usual.
        Standard = "standard",
        /// In a batch, within a day.
        Batch = "batch",
        /// When there is room.
        Flex = "flex",
        /// Before the others.
        Priority = "priority",
    }
}

impl ServiceTier {
    /// The tier that a provider or client calls so; what is not known is priced as usual.
    #[must_use]
    pub fn said(name: Option<&str>) -> Self {
        name.and_then(Self::from_name).unwrap_or(Self::Standard)
    }
}

named! {
    /// How much context a search of the web brings.
    SearchSize: "search size" {
        /// Little.
        Low = "low",
        /// The ordinary amount.
        Medium = "medium",
        /// Much.
        High = "high",
    }
}

/// What a price depends on beside the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The service tier that was billed.
    pub tier: ServiceTier,
    /// How much context each search brought.
    pub search: SearchSize,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            tier: ServiceTier::Standard,
            search: SearchSize::Medium,
        }
    }
}

impl From<ServiceTier> for Context {
    fn from(tier: ServiceTier) -> Self {
        Self {
            tier,
            ..Self::default()
        }
    }
}

/// Rates of a model. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    entries: Arc<[Entry]>,
}

/// A rate, and when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is for.
    pub kind: RateKind,
    /// For requests of this tier.
    pub tier: ServiceTier,
    /// For prompts of more tokens than this.
    pub above: u32,
    /// The rate.
    pub rate: Rate,
}

impl Entry {
    /// Whether it is for a tier, or for a size, where the other is for all.
    fn is_closer_than(&self, other: &Self) -> bool {
        let closeness = |entry: &Self| (entry.tier != ServiceTier::Standard, entry.above);
        closeness(self) > closeness(other)
    }
}

impl Price {
    /// A price of rates; of two for the same thing, the later one counts.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut all: Vec<Entry> = Vec::new();
        for entry in entries {
            let same = |other: &Entry| {
                (other.kind, other.tier, other.above) == (entry.kind, entry.tier, entry.above)
            };
            all.retain(|other| !same(other));
            all.push(entry);
        }
        // The largest prompts first: the first that fits is the one that holds.
        all.sort_by_key(|entry| (entry.tier, std::cmp::Reverse(entry.above), entry.kind));
        Self { entries: all.into() }
    }

    /// All rates, standard tier first, within a tier those for the largest prompts first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The price of a provider's batches, whatever tier an answer names: the model's own rates for batches, or, where
    /// it has none at all, `percent` of the usual ones for tokens.
    #[must_use]
    pub fn in_batches(&self, percent: u8) -> Self {
        let of = |tier| self.entries.iter().filter(move |entry| entry.tier == tier);
        let cheaper = of(ServiceTier::Batch).next().is_none();
        let has_own = |kind| of(ServiceTier::Batch).any(|own| own.kind == kind);
        let usual = of(ServiceTier::Standard).filter(|entry| !has_own(entry.kind));
        let usual = usual.map(|entry| match cheaper && !entry.kind.is_each() {
            true => Entry {
                rate: entry.rate.percent(percent),
                ..*entry
            },
            false => *entry,
        });
        Self::new(usual.chain(of(ServiceTier::Batch).map(|entry| Entry {
            tier: ServiceTier::Standard,
            ..*entry
        })))
    }

    /// Whether everything is free.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.entries.iter().all(|entry| entry.rate == Rate::default())
    }

    /// The rate of the standard tier for small prompts, where the price names one.
    #[must_use]
    pub fn listed(&self, kind: RateKind) -> Option<Rate> {
        let listed =
            |entry: &&Entry| entry.kind == kind && entry.tier == ServiceTier::Standard && entry.above == 0;
        self.entries.iter().find(listed).map(|entry| entry.rate)
    }

    /// The rate that holds for a kind, at a tier, for a prompt: the tier's own for that size or the next smaller one,
    /// else the standard one, else that of what the kind is a part of. Thoughts are output: where a tier or a size names
    /// a rate of output alone, they cost that, whatever they cost usually.
    #[must_use]
    pub fn rate(&self, kind: RateKind, tier: ServiceTier, prompt: u64) -> Option<Rate> {
        let entry = self.entry(kind, tier, prompt)?;
        let entry = match self.entry(RateKind::Output, tier, prompt) {
            Some(output) if kind == RateKind::Reasoning && output.is_closer_than(entry) => output,
            _ => entry,
        };
        Some(entry.rate)
    }

    fn entry(&self, kind: RateKind, tier: ServiceTier, prompt: u64) -> Option<&Entry> {
        let mut kind = Some(kind);
        while let Some(wanted) = kind {
            let own = self
                .own(wanted, tier, prompt)
                .or_else(|| self.own(wanted, ServiceTier::Standard, prompt));
            if own.is_some() {
                return own;
            }
            kind = wanted.whole();
        }
        None
    }

    fn own(&self, kind: RateKind, tier: ServiceTier, prompt: u64) -> Option<&Entry> {
        let holds = |entry: &&Entry| {
            entry.kind == kind && entry.tier == tier && (entry.above == 0 || prompt > u64::from(entry.above))
        };
        self.entries.iter().find(holds)
    }

    /// What `usage` costs: exact, rounded once, half up, to a billionth of a dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage, context: impl Into<Context>) -> Money {
        let bill = Bill {
            price: self,
            usage,
            context: context.into(),
        };
        // In thousandths of a unit of `Rate`, so that milliseconds count exactly.
        let total = bill.tokens().saturating_add(bill.pieces());
        let rounded = total.saturating_add(500_000_000) / 1_000_000_000;
        Money::from_nanodollars(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

/// The price of one answer, being added up.
struct Bill<'a> {
    price: &'a Price,
    usage: &'a Usage,
    context: Context,
}

impl Bill<'_> {
    fn rate(&self, kind: RateKind) -> Option<Rate> {
        self.price.rate(kind, self.context.tier, self.usage.input)
    }

    /// Thousandths of `count` units.
    fn charge(&self, kind: RateKind, thousandths: u128) -> i128 {
        if thousandths == 0 {
            return 0;
        }
        let rate = self.rate(kind).map_or(0, |rate| rate.per_million().nanodollars());
        i128::try_from(thousandths)
            .unwrap_or(i128::MAX)
            .saturating_mul(i128::from(rate))
    }

    fn units(&self, kind: RateKind, count: u64) -> i128 {
        self.charge(kind, u128::from(count) * 1_000)
    }

    /// Tokens: each is charged once, as the most special kind it is of.
    fn tokens(&self) -> i128 {
        let usage = self.usage;
        let units = &usage.units;
        let mut text = usage.uncached_input();
        let mut cached = usage.cache_read;
        let mut answer = usage.output;
        let take = |from: &mut u64, count: u64| {
            let taken = count.min(*from);
            *from -= taken;
            taken
        };
        let cached_audio = take(&mut cached, units.cache_read_audio);
        let cached_image = take(&mut cached, units.cache_read_image);
        let audio = take(&mut text, usage.audio_input.saturating_sub(cached_audio));
        let image = take(&mut text, usage.image_input.saturating_sub(cached_image));
        let video = take(&mut text, usage.video_input);
        let audio_made = take(&mut answer, usage.audio_output);
        let image_made = take(&mut answer, usage.image_output);
        let reasoning = take(&mut answer, usage.reasoning);
        [
            (RateKind::Input, text),
            (RateKind::AudioInput, audio),
            (RateKind::ImageInput, image),
            (RateKind::VideoInput, video),
            (RateKind::CacheRead, cached),
            (RateKind::CacheReadAudio, cached_audio),
            (RateKind::CacheReadImage, cached_image),
            (RateKind::CacheWrite, usage.cache_write),
            (RateKind::CacheWrite1h, usage.cache_write_1h),
            (RateKind::Output, answer),
            (RateKind::AudioOutput, audio_made),
            (RateKind::ImageOutput, image_made),
            (RateKind::Reasoning, reasoning),
        ]
        .into_iter()
        .map(|(kind, count)| self.units(kind, count))
        .fold(0, i128::saturating_add)
    }

    /// What is charged by the piece, unless tokens have paid for it already.
    fn pieces(&self) -> i128 {
        let usage = self.usage;
        let units = &usage.units;
        let paid = |kind: RateKind, tokens: u64| tokens > 0 && self.price.has(kind);
        let images_in = if paid(RateKind::ImageInput, usage.image_input) {
            0
        } else {
            units.images_in
        };
        let images_out = if paid(RateKind::ImageOutput, usage.image_output) {
            0
        } else {
            units.images_out
        };
        let by_piece = |kind: RateKind, images: u64| images > 0 && self.price.has(kind);
        let pixels_in = if by_piece(RateKind::PerImageInput, units.images_in) {
            0
        } else {
            units.pixels_in
        };
        let pixels_out = if by_piece(RateKind::PerImageOutput, units.images_out)
            || paid(RateKind::ImageOutput, usage.image_output)
        {
            0
        } else {
            units.pixels_out
        };
        let time_in = if paid(RateKind::AudioInput, usage.audio_input) {
            0
        } else {
            units.milliseconds_in
        };
        let time_out = if paid(RateKind::AudioOutput, usage.audio_output) {
            0
        } else {
            units.milliseconds_out
        };
        let search = match self.context.search {
            SearchSize::Low => RateKind::PerSearchLow,
            SearchSize::Medium => RateKind::PerSearch,
            SearchSize::High => RateKind::PerSearchHigh,
        };
        let whole = [
            (RateKind::PerRequest, units.requests),
            (RateKind::PerQuery, units.queries),
            (RateKind::PerPage, units.pages),
            (RateKind::PerImageInput, images_in),
            (RateKind::PerImageOutput, images_out),
            (RateKind::PerPixelInput, pixels_in),
            (RateKind::PerPixelOutput, pixels_out),
            (RateKind::PerCharacterInput, units.characters_in),
            (RateKind::PerCharacterOutput, units.characters_out),
            (search, usage.searches),
        ];
        whole
            .into_iter()
            .map(|(kind, count)| self.units(kind, count))
            .chain([
                self.charge(RateKind::PerSecondInput, u128::from(time_in)),
                self.charge(RateKind::PerSecondOutput, u128::from(time_out)),
            ])
            .fold(0, i128::saturating_add)
    }
}

impl Price {
    fn has(&self, kind: RateKind) -> bool {
        self.entries.iter().any(|entry| entry.kind == kind)
    }
}
