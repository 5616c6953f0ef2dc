//! What a client's certificate says of it. Whoever shows one here has proved that it is theirs, and that an authority of the
//! listener has signed it: the handshake has seen to that.

use pointsman_governance::introspection::CertificateName;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Names of a certificate that are looked at, at most.
const MAX_NAMES: usize = 64;

/// The names of a client's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    uris: Vec<String>,
    dns: Vec<String>,
}

impl Certificate {
    /// The first of those that a client has shown; nothing where it has shown none, or one that cannot be read.
    pub fn read(shown: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let certificate = EndEntityCert::try_from(shown?.first()?).ok()?;
        Some(Self {
            uris: kept(certificate.valid_uri_names()),
            dns: kept(certificate.valid_dns_names()),
        })
    }

    /// The one name of this kind; nothing where there is none, or another.
    pub fn name(&self, kind: CertificateName) -> Option<&str> {
        let all = match kind {
            CertificateName::Uri => &self.uris,
            CertificateName::Dns => &self.dns,
        };
        match all.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

fn kept<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.take(MAX_NAMES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str], dns: &[&str]) -> Certificate {
        let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().unwrap()));
        }
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(Some(&[signed.der().clone()])).unwrap()
    }

    #[test]
    fn one_name_says_who_it_is_and_several_say_nothing() {
        let one = certificate(
            &["spiffe://example.org/app"],
            &["app.example.org", "www.example.org"],
        );
        assert_eq!(one.name(CertificateName::Uri), Some("spiffe://example.org/app"));
        assert_eq!(one.name(CertificateName::Dns), None);
        let other = certificate(&[], &["app.example.org"]);
        assert_eq!(other.name(CertificateName::Uri), None);
        assert_eq!(other.name(CertificateName::Dns), Some("app.example.org"));
    }

    #[test]
    fn who_shows_none_has_none() {
        assert_eq!(Certificate::read(None), None);
        assert_eq!(Certificate::read(Some(&[])), None);
        assert_eq!(
            Certificate::read(Some(&[CertificateDer::from(vec![1, 2, 3])])),
            None
        );
    }
}
