//! What services call kinds of personal data, and what we call them.

use super::finding::kind;

/// Ours, and the names that services have for it: Presidio, Amazon, Google and Lakera. Ours first, where a service has it, too.
const NAMES: [(&str, &[&str]); 17] = [
    (
        "PERSON",
        &["PERSON", "NAME", "PERSON_NAME", "FIRST_NAME", "LAST_NAME"],
    ),
    ("LOCATION", &["LOCATION", "GPE"]),
    ("STREET_ADDRESS", &["STREET_ADDRESS", "ADDRESS"]),
    ("ORGANIZATION", &["ORGANIZATION", "ORGANIZATION_NAME"]),
    ("NRP", &["NRP"]),
    ("EMAIL_ADDRESS", &["EMAIL_ADDRESS", "EMAIL"]),
    ("PHONE_NUMBER", &["PHONE_NUMBER", "PHONE"]),
    (
        "CREDIT_CARD",
        &["CREDIT_CARD", "CREDIT_CARD_NUMBER", "CREDIT_DEBIT_CARD_NUMBER"],
    ),
    ("CRYPTO_WALLET", &["CRYPTO"]),
    (
        "IBAN_CODE",
        &["IBAN_CODE", "IBAN", "INTERNATIONAL_BANK_ACCOUNT_NUMBER"],
    ),
    ("BANK_ACCOUNT", &["US_BANK_NUMBER", "US_BANK_ACCOUNT_NUMBER"]),
    ("US_SSN", &["US_SSN", "US_SOCIAL_SECURITY_NUMBER"]),
    ("IP_ADDRESS", &["IP_ADDRESS"]),
    ("DOMAIN_NAME", &["URL", "DOMAIN_NAME"]),
    ("DATE_TIME", &["DATE_TIME", "DATE"]),
    (
        "US_DRIVER_LICENSE",
        &["US_DRIVER_LICENSE", "DRIVER_ID", "US_DRIVERS_LICENSE_NUMBER"],
    ),
    ("MEDICAL_LICENSE", &["MEDICAL_LICENSE"]),
];

/// National numbers that Presidio recognises, one name each.
const NATIONAL: [&str; 36] = [
    "AU_ABN",
    "AU_ACN",
    "AU_MEDICARE",
    "AU_TFN",
    "CA_SIN",
    "DE_HEALTH_INSURANCE",
    "DE_ID_CARD",
    "DE_SOCIAL_SECURITY",
    "DE_TAX_ID",
    "DE_TAX_NUMBER",
    "ES_NIE",
    "ES_NIF",
    "FI_PERSONAL_IDENTITY_CODE",
    "IN_AADHAAR",
    "IN_GSTIN",
    "IN_PAN",
    "IN_VOTER",
    "IT_FISCAL_CODE",
    "IT_IDENTITY_CARD",
    "IT_VAT_CODE",
    "KR_BRN",
    "KR_FRN",
    "KR_RRN",
    "NG_NIN",
    "PL_PESEL",
    "SE_ORGANISATIONSNUMMER",
    "SE_PERSONNUMMER",
    "SG_NRIC_FIN",
    "SG_UEN",
    "TH_TNIN",
    "TR_NATIONAL_ID",
    "UK_NHS",
    "UK_NINO",
    "US_ITIN",
    "US_MBI",
    "US_NPI",
];

/// A service's name for a kind, in our words. One that is not known stays, in plain letters.
pub(crate) fn ours(theirs: &str) -> String {
    let plain = kind(theirs);
    let name = plain.strip_prefix("PII_").unwrap_or(&plain);
    if let Some((ours, _)) = NAMES.iter().find(|(_, theirs)| theirs.contains(&name)) {
        return (*ours).to_owned();
    }
    if NATIONAL.contains(&name) {
        return "NATIONAL_ID".to_owned();
    }
    if name.ends_with("_PASSPORT") || name.ends_with("PASSPORT_NUMBER") {
        return "PASSPORT".to_owned();
    }
    name.to_owned()
}

/// What Presidio is asked for where we say `ours`: all that it has for it. A name that is not ours is taken for its own.
pub(crate) fn presidios(ours: &str) -> Vec<&str> {
    const PASSPORTS: [&str; 5] = [
        "US_PASSPORT",
        "UK_PASSPORT",
        "IT_PASSPORT",
        "IN_PASSPORT",
        "KR_PASSPORT",
    ];
    match ours {
        "NATIONAL_ID" => NATIONAL.to_vec(),
        "PASSPORT" => PASSPORTS.to_vec(),
        "GPE" | "STREET_ADDRESS" => vec!["LOCATION"],
        _ => {
            let known = NAMES.iter().find(|(name, _)| *name == ours);
            vec![known.map_or(ours, |(_, theirs)| theirs[0])]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_over_and_come_back() {
        for (theirs, expected) in [
            ("CRYPTO", "CRYPTO_WALLET"),
            ("IT_FISCAL_CODE", "NATIONAL_ID"),
            ("US_PASSPORT", "PASSPORT"),
            ("pii/credit_card", "CREDIT_CARD"),
            ("CREDIT_DEBIT_CARD_NUMBER", "CREDIT_CARD"),
            ("MY_TICKET", "MY_TICKET"),
        ] {
            assert_eq!(ours(theirs), expected);
        }
        for (name, _) in NAMES {
            for theirs in presidios(name) {
                // It has one word for all places.
                let back = if name == "STREET_ADDRESS" {
                    "LOCATION"
                } else {
                    name
                };
                assert_eq!(ours(theirs), back);
            }
        }
        for name in ["NATIONAL_ID", "PASSPORT"] {
            assert!(presidios(name).into_iter().all(|theirs| ours(theirs) == name));
        }
        assert_eq!(presidios("MY_TICKET"), ["MY_TICKET"]);
    }
}
