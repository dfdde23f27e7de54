//! What a certificate says of whose it is.

use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::Principal;

/// The names that RFC 2253 has for attributes; any other is its number.
const SHORT_NAMES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

/// Whose certificate the client showed, if it did.
pub(crate) fn peer_principal<S>(stream: &TlsStream<S>) -> Option<Principal> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    principal(certificates.first()?)
}

/// Whose it is: `User:` and the subject in the form of RFC 2253, as Kafka has it.
fn principal(certificate: &[u8]) -> Option<Principal> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Principal::user(&distinguished_name(certificate.subject())))
}

/// The most specific part first.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let parts = parts.into_iter().rev().map(|part| {
        let attributes: Vec<String> = part.iter().map(attribute).collect();
        attributes.join("+")
    });
    parts.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(number, _)| *number == oid);
    match (short, attribute.as_str()) {
        (Some((_, name)), Ok(value)) => format!("{name}={}", escape(value)),
        (Some((_, name)), Err(_)) => format!("{name}=#{}", hex(attribute.as_slice())),
        (None, Ok(value)) => format!("{oid}={}", escape(value)),
        (None, Err(_)) => format!("{oid}=#{}", hex(attribute.as_slice())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 2253, section 2.4.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (character == '#' && place == 0)
            || (character == ' ' && (place == 0 || place == last));
        if special {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(parts: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_principal_is_the_subject_the_most_specific_part_first() {
        let certificate = certificate(&[
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Logs, Inc. "),
            (DnType::OrganizationalUnitName, "#1"),
            (DnType::CommonName, "agent"),
        ]);
        let principal = principal(&certificate).unwrap();
        assert_eq!(principal.as_str(), "User:CN=agent,OU=\\#1,O=Logs\\, Inc.\\ ,C=DE");
    }

    #[test]
    fn what_is_no_certificate_belongs_to_nobody() {
        assert_eq!(principal(b"nonsense"), None);
    }
}
