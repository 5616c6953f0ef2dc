"""The label sets of all heads, in the order of their columns."""

DOMAIN = [
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
]  # fmt: skip
HAZARDS = [
    "violence", "criminal_activity", "sexual_content", "child_exploitation", "hate",
    "harassment_abuse", "regulated_substances", "weapons", "self_harm", "privacy",
    "specialized_advice", "misinformation",
]  # fmt: skip
JAILBREAK = ["attack", "injection", "jailbreak"]
"""Any attack first, then of which kind it is."""
HARMFUL = ["harmful", *HAZARDS]
DIFFICULTY = ["easy", "hard", "beyond"]
FACT_CHECK = ["no_fact_check_needed", "fact_check_needed"]
FEEDBACK = ["none", "satisfied", "need_clarification", "wrong_answer", "want_different"]
MODALITY = ["text", "image", "both"]
PAIR = ["same"]
"""The head that reads two questions at once, for answers from a cache."""
PII_TYPES = [
    "AGE", "BANK_ACCOUNT", "CREDENTIAL", "CREDIT_CARD", "CRYPTO_WALLET", "DATE_TIME",
    "DOMAIN_NAME", "EMAIL_ADDRESS", "GPE", "IBAN_CODE", "IP_ADDRESS", "MEDICAL_LICENSE",
    "NATIONAL_ID", "NRP", "ORGANIZATION", "PASSPORT", "PERSON", "PHONE_NUMBER",
    "STREET_ADDRESS", "TITLE", "US_DRIVER_LICENSE", "US_SSN", "ZIP_CODE",
]  # fmt: skip
PII_TAGS = ["O"] + [f"{part}-{kind}" for kind in PII_TYPES for part in "BI"]

TEXT_HEADS: dict[str, list[str]] = {
    "domain": DOMAIN,
    "jailbreak": JAILBREAK,
    "harmful": HARMFUL,
    "difficulty": DIFFICULTY,
    "fact_check": FACT_CHECK,
    "feedback": FEEDBACK,
    "modality": MODALITY,
}
ALL_HEADS = {**TEXT_HEADS, "pair": PAIR}
LABELS = {**ALL_HEADS, "has_pii": ["no", "yes"]}
"""All heads of both stages."""
SIGMOID = {"jailbreak", "harmful", "pair"}
"""Heads whose labels hold or not each by itself; these are also the ones that look for something
anywhere in a text (the highest logit of all windows), the others take the mean of the windows."""
ASKED = {"jailbreak": 0, "harmful": 0, "fact_check": 1, "has_pii": 1, "pair": 0}
"""Heads of one question, and the label that says yes."""
UNKNOWN = -1.0
"""A target that says nothing."""
