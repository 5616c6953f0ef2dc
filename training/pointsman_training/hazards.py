"""Hazards of harmful requests: categories of the sources where they fit, else words that tell."""

import re

from .labels import HAZARDS

FAMILIES = {
    "Adult Content": "sexual_content", "Sexual content": "sexual_content",
    "Sexual/Adult content": "sexual_content", "Child Abuse": "child_exploitation",
    "Economic Harm": "criminal_activity", "Fraud/Deception": "criminal_activity",
    "Illegal Activity": "criminal_activity", "Malware Viruses": "criminal_activity",
    "Non-violent crimes": "criminal_activity", "Malware/Hacking": "criminal_activity",
    "Physical Harm": "violence", "Physical harm": "violence", "Violence": "violence",
    "Hate, harassment and discrimination": "hate",
    "Privacy Violation Activity": "privacy", "Privacy": "privacy",
    "Tailored Financial Advice": "specialized_advice", "Expert advice": "specialized_advice",
    "Disinformation": "misinformation", "Disinformation and deception": "misinformation",
}  # fmt: skip

WORDS = {
    "violence": r"\b(kill|murder|assassinat|attack (a|the|some)|stab|beat(ing)? up|torture|maim|"
    r"massacre|shooting|terroris|bomb|kidnap|hurt (a|some|my)|assault|poison(ing)? (a|some|my))",
    "criminal_activity": r"\b(steal|theft|rob\b|robbery|burgl|fraud|scam|launder|forge|counterfeit|"
    r"hack|malware|ransomware|phish|keylogger|virus that|worm that|exploit(s)? (a|the)? ?vulnerab|"
    r"smuggl|embezzl|brib|blackmail|extort|insider trading|tax evasion|evade tax|shoplift|pirat|"
    r"identity theft|carjack|break into|hotwire|pick a lock|illegal(ly)?)",
    "sexual_content": r"\b(porn|sexual(ly)? (explicit|fantas|content|act)|erotic|nude|nudes|"
    r"strip(per|tease)|orgy|bdsm|incest|bestiality|sex (scene|story|with)|explicit (story|scene))",
    "child_exploitation": r"\b(child (porn|abuse|labor|exploit|traffick)|groom(ing)? (a|minors|child)|"
    r"(sex\w*|erotic|nude)[^.]{0,40}(minor|child|teen|underage)|pedophil|paedophil|underage)",
    "hate": r"\b(racis|racial(ly)? (slur|superior|inferior)|inferior (race|people|to)|slur|nazi|"
    r"antisemit|islamophob|homophob|transphob|ethnic cleans|white suprem|supremac|sexist|misogyn|"
    r"hate (speech|crime)|discriminat|genocide|xenophob|stereotyp)",
    "harassment_abuse": r"\b(harass|bully|bullied|cyberbull|stalk|intimidat|threaten|humiliat|revenge porn|"
    r"doxx?|gaslight|manipulat(e|ing) (a|my|some|people)|blackmail|coerc|insult|spread rumou?rs|abusive)",
    "regulated_substances": r"\b(meth\b|methamphet|cocaine|heroin|fentanyl|lsd\b|mdma|ecstasy|crack\b|"
    r"opioid|ghb|drug(s)? (deal|smuggl|traffick|lab)|illegal drugs|narcotic|marijuana|cannabis|steroids)",
    "weapons": r"\b(bomb|explosiv|firearm|gun\b|guns\b|rifle|ghost gun|silencer|grenade|molotov|"
    r"ammunition|weapon|nerve (gas|agent)|sarin|anthrax|bioweapon|chemical weapon|napalm|landmine)",
    "self_harm": r"\b(suicid|self[- ]harm|kill (myself|yourself|themsel)|cut(ting)? (myself|yourself)|"
    r"anorexi|bulimi|pro-ana|overdose|starv(e|ing) (myself|yourself)|end (my|your|their) (own )?life)",
    "privacy": r"\b(dox|doxx|home address of|personal (data|information|details)|social security num|"
    r"track (a|some|my|his|her)|spy(ing)? on|wiretap|surveil|without (their|her|his) "
    r"(knowledge|consent)|medical records|private (photos|messages|information)|credit card numbers)",
    "specialized_advice": r"\b(diagnos|dosage|prescri(be|ption)|stop taking|cure (for )?cancer|"
    r"legal advice|invest (all|my)|which stocks?|should i (buy|sell|invest)|miracle cure|"
    r"instead of (chemo|seeing a doctor)|portfolio)",
    "misinformation": r"\b(fake (news|article|review|stud|evidence)|disinform|misinform|conspirac|"
    r"propagand|hoax|deepfake|defamat|vaccines? (cause|are)|holocaust (did|never|den)|flat earth|"
    r"election (was|is) (rigged|stolen)|manipulate (public|voters|an election)|rumou?r)",
}  # fmt: skip
PATTERNS = {hazard: re.compile(words, re.IGNORECASE) for hazard, words in WORDS.items()}


def hazards_of(text: str, family: str, harmful: bool) -> list[float]:
    """One number a hazard; a harmless text has none."""
    if not harmful:
        return [0.0] * len(HAZARDS)
    given = FAMILIES.get(family)
    if family == "Hate/Harass/Violence" or family == "Harassment/Discrimination":
        given = "hate" if PATTERNS["hate"].search(text) else "harassment_abuse"
    found = {hazard for hazard, words in PATTERNS.items() if words.search(text)}
    return [1.0 if hazard == given or hazard in found else 0.0 for hazard in HAZARDS]
