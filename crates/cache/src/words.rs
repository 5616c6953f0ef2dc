//! Words that bind an answer to its moment, to whoever asks, or to chance: to such a question no earlier answer is given,
//! however alike.
//!
//! Lists in the main languages. They err to the side of asking again: a word too many costs an answer, a word too few
//! gives a wrong one.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What an answer is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The moment: tomorrow it is another.
    Time,
    /// Whoever asks.
    Personal,
    /// Chance: whoever asks wants another each time.
    Chance,
}

/// Of days, of what is new, and of what changes by itself.
const TIME: &str = "today|todays|tonight|now|nowadays|currently|current|latest|newest|recent|recently|yesterday|tomorrow|this week|\
    this month|this year|this morning|this afternoon|this evening|last night|last week|last month|last year|next week|next month|\
    next year|so far|as of|up to date|breaking|news|headlines|weather|forecast|stock price|share price|exchange rate|live score|\
    right away|at the moment|these days|what time is it|what day is it|what date|what is the time|what is the date|what year is it|\
    is it open|traffic|hoy|ahora|actual|actuales|actualmente|último|última|últimos|últimas|ultimo|ultima|ultimos|ultimas|reciente|\
    recientes|ayer|mañana|esta semana|este mes|este año|esta noche|noticias|tiempo hace|qué hora|que hora|clima|\
    aujourd hui|maintenant|actuellement|actuel|actuelle|actuels|actuelles|dernier|dernière|derniers|dernières|récent|récente|\
    récemment|hier|demain|cette semaine|ce mois|cette année|ce soir|ce matin|actualités|actualité|météo|quelle heure|en ce moment|\
    heute|heutige|heutigen|jetzt|aktuell|aktuelle|aktuellen|aktueller|aktuelles|derzeit|derzeitige|momentan|gegenwärtig|neueste|\
    neuesten|neuester|kürzlich|gestern|morgen|diese woche|diesen monat|dieses jahr|heute abend|nachrichten|wetter|wie spät|\
    wieviel uhr|wie viel uhr|oggi|adesso|ora|attuale|attuali|attualmente|ultime|recente|recenti|recentemente|ieri|domani|\
    questa settimana|questo mese|quest anno|stasera|notizie|meteo|che ore|hoje|agora|atual|atuais|atualmente|últimas|recentes|\
    recentemente|ontem|amanhã|esta semana|este mês|este ano|hoje à noite|notícias|previsão|que horas|bugün|bugünkü|şimdi|şu an|\
    şu anki|şu anda|güncel|son dakika|en son|dün|yarın|bu hafta|bu ay|bu yıl|bu akşam|haberler|hava durumu|saat kaç|vandaag|nu|\
    momenteel|huidige|laatste|nieuwste|recente|gisteren|morgen|deze week|deze maand|dit jaar|nieuws|weer|hoe laat|dzisiaj|dziś|\
    teraz|obecnie|obecny|aktualny|najnowszy|wczoraj|jutro|wiadomości|pogoda|сегодня|сейчас|теперь|текущий|последний|последние|\
    последняя|недавно|вчера|завтра|новости|погода|который час";
/// Where somebody tells of themselves, or of what was said before.
const TELLING: &str = "my name|i am a|i am an|i m a|i m an|years old|my email|my address|my phone|my birthday|my number|i live|i was born|\
    born in|remember|as i said|i told you|you said|you told me|earlier|previously|last time|we talked|we discussed|mi nombre|me llamo|\
    soy un|soy una|tengo años|mi correo|mi dirección|vivo en|nací|recuerda|te dije|dijiste|mon nom|je m appelle|je suis un|\
    je suis une|j habite|mon adresse|je suis né|souviens|je t ai dit|tu as dit|mein name|ich heiße|ich heisse|ich bin ein|\
    ich bin eine|jahre alt|ich wohne|meine adresse|ich wurde geboren|erinnere|ich habe dir|du hast gesagt|vorhin|mi chiamo|\
    sono un|sono una|ho anni|abito|sono nato|ricorda|ti ho detto|hai detto|meu nome|me chamo|sou um|sou uma|moro em|nasci|lembra|\
    eu te disse|você disse|benim adım|adım|ben bir|yaşındayım|oturuyorum|hatırla|sana söyledim|dedin|mijn naam|ik heet|ik ben een|\
    jaar oud|ik woon|nazywam się|jestem|mieszkam|меня зовут|мне лет|я живу|я родился|помнишь";
/// Where somebody speaks of what is theirs.
const OWN: &str = "i|my|mine|me|myself|we|our|ours|us|yo|mi|mis|mío|mía|nuestro|nuestra|nosotros|je|j|mon|ma|mes|moi|notre|nos|nous|ich|\
    mein|meine|meinen|meinem|meiner|mich|mir|wir|unser|unsere|uns|io|mio|mia|miei|mie|nostro|nostra|noi|eu|meu|minha|meus|minhas|\
    nosso|nossa|nós|ben|benim|bana|beni|bizim|biz|ik|mijn|mij|onze|ons|wij|ja|mój|moja|moje|mnie|nasz|я|мой|моя|моё|мои|мне|меня|\
    наш|наша";
/// Where somebody wants another each time.
const CHANCE: &str = "random|randomly|another|another one|again|something else|surprise me|a different|different one|one more|new one|\
    roll a|flip a coin|pick a number|shuffle|aleatorio|al azar|otro|otra|otra vez|de nuevo|sorpréndeme|au hasard|aléatoire|un autre|\
    une autre|encore|surprends moi|zufällig|zufällige|nochmal|noch einmal|noch einen|noch eine|ein anderes|überrasch|a caso|casuale|\
    un altro|un altra|di nuovo|sorprendimi|ao acaso|aleatória|aleatório|outro|outra|de novo|rastgele|başka bir|tekrar|bir daha|\
    willekeurig|opnieuw|nog een|losowy|jeszcze raz|случайный|случайное|ещё раз|другой";

/// The same for languages that put no blanks between words, or particles behind them.
const UNSPACED: [(Bound, &str); 4] = [
    (
        Bound::Time,
        "今日|本日|今は|現在|最新|最近|昨日|明日|今週|今月|今年|今夜|今朝|ニュース|天気|何時|いま|今の|오늘|지금|현재|최신|최근|어제|내일|이번 주|\
         이번 달|올해|오늘밤|뉴스|날씨|몇 시|몇시|今天|现在|目前|昨天|明天|本周|本月|新闻|天气|几点|刚刚|当前",
    ),
    (
        Bound::Personal,
        "私の名前|僕の名前|歳です|に住んで|覚えて|さっき|前に言|제 이름|내 이름|살입니다|살이에요|살고 있|기억|아까|我叫|我的名字|我住|岁了|记得|刚才",
    ),
    (
        Bound::Chance,
        "ランダム|もう一つ|もう一度|別の|他の|무작위|랜덤|다른 거|하나 더|다시|随机|再来|再说|另一个|换一个",
    ),
    // Of what is one's own, for whom several are answered alike.
    (
        Bound::Personal,
        "私|僕|俺|自分|わたし|저의|제가|저는|내가|나는|나의|우리|我|我们|咱",
    ),
];

type Phrases = HashMap<&'static str, Vec<(Bound, &'static str)>, foldhash::fast::RandomState>;

/// Phrases by their first word; those of one's own aside.
static PHRASES: LazyLock<(Phrases, Phrases)> = LazyLock::new(|| {
    let lists = [
        (Bound::Time, TIME),
        (Bound::Personal, TELLING),
        (Bound::Chance, CHANCE),
    ];
    (by_first_word(&lists), by_first_word(&[(Bound::Personal, OWN)]))
});

fn by_first_word(lists: &[(Bound, &'static str)]) -> Phrases {
    let mut phrases = Phrases::default();
    for (bound, list) in lists {
        for phrase in list.split('|').map(str::trim) {
            let first = phrase.split(' ').next().unwrap_or(phrase);
            phrases.entry(first).or_default().push((*bound, phrase));
        }
    }
    phrases
}

/// What the answer to this question is bound to, if to anything. Where several people are answered alike (`of_many`),
/// to whoever speaks of what is theirs.
#[must_use]
pub fn bound(text: &str, of_many: bool) -> Option<Bound> {
    let text = text.to_lowercase();
    let unspaced = UNSPACED.iter().take(if of_many { 4 } else { 3 });
    for (bound, list) in unspaced {
        if !text.is_ascii() && list.split('|').any(|phrase| text.contains(phrase.trim())) {
            return Some(*bound);
        }
    }
    let words: Vec<&str> = text
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let (general, own) = &*PHRASES;
    let stands = |place: usize, phrase: &str| {
        phrase
            .split(' ')
            .eq(words[place..].iter().take(phrase.split(' ').count()).copied())
    };
    let found = |phrases: &Phrases| {
        words.iter().enumerate().find_map(|(place, word)| {
            let phrases = phrases.get(word)?.iter();
            phrases.copied().find(|(_, phrase)| stands(place, phrase))
        })
    };
    let found = found(general).or_else(|| if of_many { found(own) } else { None });
    found.map(|(bound, _)| bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "\\PC{0,80}") {
            let alone = bound(&text, false);
            prop_assert!(alone.is_none() || bound(&text, true).is_some(), "a wider scope binds no less");
        }
    }

    #[test]
    fn what_is_bound_to_its_moment_is_known_in_the_main_languages() {
        for text in [
            "What's the weather in Oslo?",
            "Who is the CURRENT president of France?",
            "What time is it?",
            "¿Qué pasa hoy en Madrid?",
            "Quelles sont les actualités d'aujourd'hui ?",
            "Wie ist das Wetter?",
            "Che ore sono?",
            "Quais são as últimas notícias?",
            "Bugün hava nasıl?",
            "今日の東京は？",
            "오늘은 무슨 날이야?",
            "现在几点",
            "Какая сегодня погода?",
        ] {
            assert_eq!(bound(text, false), Some(Bound::Time), "{text}");
        }
    }

    #[test]
    fn who_tells_of_themselves_is_not_answered_as_another() {
        for text in [
            "My name is Ann. What is my name?",
            "I'm a nurse, what should I read?",
            "What did I say? I told you before.",
            "Me llamo Ana. ¿Cómo me llamo?",
            "Ich heiße Anna. Wie heiße ich?",
            "Je m'appelle Anne.",
            "私の名前はアンです",
        ] {
            assert_eq!(bound(text, false), Some(Bound::Personal), "{text}");
        }
    }

    #[test]
    fn what_is_ones_own_binds_where_several_are_answered_alike() {
        for text in ["How do I reset my password?", "Wo ist meine Karte?", "我的密码"] {
            assert_eq!(bound(text, true), Some(Bound::Personal), "{text}");
            assert_eq!(bound(text, false), None, "{text}");
        }
    }

    #[test]
    fn who_wants_another_gets_another() {
        for text in [
            "Tell me another joke",
            "Pick a number",
            "Erzähl noch einen Witz",
            "もう一つ",
        ] {
            assert_eq!(bound(text, false), Some(Bound::Chance), "{text}");
        }
    }

    #[test]
    fn what_always_holds_is_bound_to_nothing() {
        for text in [
            "Who wrote Hamlet?",
            "Explain electric charge",
            "What is the capital of Australia?",
            "¿Quién escribió El Quijote?",
            "Wie viele Knochen hat ein Mensch?",
            "なぜ空は青いのですか",
            "",
            "'s ?!",
        ] {
            assert_eq!(bound(text, true), None, "{text}");
        }
    }
}
