use std::{collections::BTreeSet, fmt, num::NonZero};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Predictions, and what there is to know about the models.
    Predict,
    /// Attacks and certificates.
    Attack,
    /// Loading and unloading models.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Predict => "predict",
            Self::Attack => "attack",
            Self::Admin => "admin",
        })
    }
}

/// A key that requests are answered for. To change one, configure the new one beside it until nobody uses the old one.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What it is called in answers and logs.
    pub name: String,
    /// The SHA-256 of the key in hexadecimal digits, as from `printf %s "$KEY" | sha256sum`.
    pub sha256: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// Requests in each second, and as many at once after a pause.
    #[serde(default)]
    pub requests_per_second: Option<NonZero<u32>>,
    /// Rows that its attacks may ask the models for in each minute, counted at the price of an attack: the most that it may ask.
    #[serde(default)]
    pub attack_evaluations_per_minute: Option<NonZero<u32>>,
    /// Requests that may be worked on at the same time; half of the server's `max_requests` without it.
    #[serde(default)]
    pub max_requests: Option<NonZero<usize>>,
}

/// Without the hash: a key that somebody has chosen could be guessed from it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Key");
        shown
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("requests_per_second", &self.requests_per_second)
            .field(
                "attack_evaluations_per_minute",
                &self.attack_evaluations_per_minute,
            )
            .field("max_requests", &self.max_requests)
            .finish_non_exhaustive()
    }
}

/// Why keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Two keys have one name.
    #[error("two keys are named `{0}`: give each its own name")]
    SameName(String),
    /// Two names stand for one key.
    #[error("key `{0}` has the same sha256 as another one: remove one of the two")]
    SameHash(String),
    /// It is no hash.
    #[error(
        "the sha256 of key `{name}` is no 64 hexadecimal digits (it has {length} characters): write what `printf %s \"$KEY\" | \
         sha256sum` prints"
    )]
    Hash {
        /// The key's.
        name: String,
        /// In bytes.
        length: usize,
    },
    /// It is the hash of nothing.
    #[error(
        "key `{0}` is the empty one: choose a random key, for example with `openssl rand -hex 32`"
    )]
    Empty(String),
    /// It is good for nothing.
    #[error("key `{0}` has no scopes: give it some of `predict`, `attack` and `admin`")]
    NoScopes(String),
}

impl Key {
    /// A key with all scopes and no limits. Only its hash is kept.
    pub fn new(name: impl Into<String>, plain: &str) -> Self {
        Self {
            name: name.into(),
            sha256: format!("{:x}", Sha256::digest(plain)),
            scopes: vec![Scope::Predict, Scope::Attack, Scope::Admin],
            requests_per_second: None,
            attack_evaluations_per_minute: None,
            max_requests: None,
        }
    }

    fn hash(&self) -> Result<[u8; 32], KeysError> {
        bytes(&self.sha256).ok_or_else(|| KeysError::Hash {
            name: self.name.clone(),
            length: self.sha256.len(),
        })
    }
}

/// The hash of each key, of which no two are alike.
pub(super) fn hashes(keys: &[Key]) -> Result<Vec<[u8; 32]>, KeysError> {
    let empty: [u8; 32] = Sha256::digest(b"").into();
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::from([empty]);
    let mut hashes = Vec::new();
    for key in keys {
        let name = || key.name.clone();
        let hash = key.hash()?;
        if !names.insert(&key.name) {
            return Err(KeysError::SameName(name()));
        }
        if hash == empty {
            return Err(KeysError::Empty(name()));
        }
        if !seen.insert(hash) {
            return Err(KeysError::SameHash(name()));
        }
        if key.scopes.is_empty() {
            return Err(KeysError::NoScopes(name()));
        }
        hashes.push(hash);
    }
    Ok(hashes)
}

fn bytes(hexadecimal: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = hexadecimal
        .chars()
        .map(|digit| digit.to_digit(16))
        .collect();
    let bytes: Option<Vec<u8>> = digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(16 * high + low).ok(),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_not_be_told_apart_or_never_fit_are_refused() {
        let key = |name: &str, plain: &str| Key::new(name, plain);
        let shout = Key {
            sha256: key("b", "x").sha256.to_uppercase(),
            ..key("b", "x")
        };
        let plain = Key {
            sha256: "a plain key".to_owned(),
            ..key("a", "x")
        };
        let hash = KeysError::Hash {
            name: "a".to_owned(),
            length: 11,
        };
        let idle = Key {
            scopes: Vec::new(),
            ..key("a", "x")
        };
        let a = || "a".to_owned();
        for (keys, error) in [
            (vec![key("a", "x"), key("a", "y")], KeysError::SameName(a())),
            (
                vec![key("a", "x"), shout],
                KeysError::SameHash("b".to_owned()),
            ),
            (vec![plain], hash),
            (vec![key("a", "")], KeysError::Empty(a())),
            (vec![idle], KeysError::NoScopes(a())),
        ] {
            let refused = hashes(&keys).unwrap_err();
            assert!(!refused.to_string().contains("plain key"), "{refused}");
            assert_eq!(refused, error);
        }
        let two = hashes(&[key("a", "abc"), key("b", "y")]).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(two[0][..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_key_is_read_without_surprises_and_shown_without_its_hash() {
        let text = format!(
            "name = 'ci'\nsha256 = '{}'\nscopes = ['predict', 'attack']\nrequests_per_second = 5",
            Key::new("ci", "x").sha256
        );
        let key: Key = toml::from_str(&text).unwrap();
        assert_eq!(key.scopes, [Scope::Predict, Scope::Attack]);
        assert_eq!(key.requests_per_second, NonZero::new(5));
        assert!(!format!("{key:?}").contains(&key.sha256[..8]));
        for wrong in ["\nrate = 5", "\nattack_evaluations_per_minute = 0"] {
            assert!(toml::from_str::<Key>(&format!("{text}{wrong}")).is_err());
        }
    }
}
