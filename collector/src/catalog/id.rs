//! Random identities, and the form in which Kafka shows them: 22 characters of base64url.

use rand::RngCore;
use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A version 4 uuid whose base64 form does not start with `-`, which command lines would take for an option.
pub(super) fn random_uuid(rng: &mut dyn RngCore) -> Uuid {
    loop {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        if !base64url(id).starts_with('-') {
            return id;
        }
    }
}

/// The 22 characters in which Kafka's tools print a uuid.
pub(super) fn base64url(id: Uuid) -> String {
    let bits = id.as_u128();
    (0..22)
        .map(|digit| {
            // 22 digits of 6 bits are 132 bits: the last digit holds 2 bits of the id and 4 zeros.
            let sixtet = if digit < 21 {
                bits >> (122 - 6 * digit)
            } else {
                bits << 4
            };
            let index = usize::try_from(sixtet & 63).unwrap_or_default();
            char::from(ALPHABET.get(index).copied().unwrap_or_default())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_uuids_as_kafka_does() {
        assert_eq!(base64url(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64url(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id: Uuid = "f47ac10b-58cc-4372-a567-0e02b2c3d479".parse().unwrap();
        assert_eq!(base64url(id), "9HrBC1jMQ3KlZw4CssPUeQ");
    }

    #[test]
    fn random_ids_never_look_like_an_option() {
        let mut rng = rand::rng();
        for _ in 0..2_000 {
            assert!(!base64url(random_uuid(&mut rng)).starts_with('-'));
        }
    }
}
