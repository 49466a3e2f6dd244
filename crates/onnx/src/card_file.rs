use std::{fs, path::Path};

use crate::{Card, Error, write_atomic};

impl Card {
    /// Reads a `card.json`.
    ///
    /// # Errors
    /// When the file cannot be read or is no card; the error names the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| Error::Io {
            path: path.into(),
            source,
        })?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            what: path.display().to_string(),
            source,
        })
    }

    /// Writes a `card.json`, indented for people, replacing an existing one in one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let mut json = serde_json::to_string_pretty(self).map_err(|source| Error::Json {
            what: path.display().to_string(),
            source,
        })?;
        json.push('\n');
        write_atomic(path, json.as_bytes()).map_err(|source| Error::Io {
            path: path.into(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Head;

    #[test]
    fn a_card_survives_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.json");
        let card = Card {
            name: "digits".into(),
            classes: vec!["0".into(), "1".into()],
            head: Some(Head::Hypersphere {
                feature_norm: true,
                weight_norm: true,
                scale: 15.0,
                margin: 0.2,
            }),
            ..Card::default()
        };
        card.write(&path).unwrap();
        assert_eq!(Card::read(&path).unwrap(), card);
    }

    #[test]
    fn a_broken_card_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.json");
        fs::write(&path, "{\"name\": 3}").unwrap();
        assert!(
            Card::read(&path)
                .unwrap_err()
                .to_string()
                .contains("card.json")
        );
    }
}
