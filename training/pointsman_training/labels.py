"""The label sets of all heads, in the order of their columns."""

DOMAIN = [
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
]  # fmt: skip
JAILBREAK = ["benign", "injection", "jailbreak"]
HARMFUL = ["benign", "harmful"]
HAZARDS = [
    "violence", "criminal_activity", "sexual_content", "child_exploitation", "hate",
    "harassment_abuse", "regulated_substances", "weapons", "self_harm", "privacy",
    "specialized_advice", "misinformation",
]  # fmt: skip
DIFFICULTY = ["easy", "hard", "beyond"]
FACT_CHECK = ["no_fact_check_needed", "fact_check_needed"]
FEEDBACK = ["none", "satisfied", "need_clarification", "wrong_answer", "want_different"]
MODALITY = ["text", "image", "both"]
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
    "hazards": HAZARDS,
    "difficulty": DIFFICULTY,
    "fact_check": FACT_CHECK,
    "feedback": FEEDBACK,
    "modality": MODALITY,
}
PAIR = ["different", "same"]
"""The head that reads two questions at once, for answers from a cache."""
ALL_HEADS = {**TEXT_HEADS, "pair": PAIR}

NEGATIVE = {
    "pair": "different",
    "jailbreak": "benign",
    "harmful": "benign",
    "fact_check": "no_fact_check_needed",
}
SIGMOID = {"hazards"}
MAX_WINDOW = {"jailbreak", "harmful", "hazards"}
"""Heads that look for something anywhere in a text; the others take the mean of the windows."""
