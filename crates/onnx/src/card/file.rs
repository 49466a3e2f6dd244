//! `card.json`, the card beside a model.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::{Card, CardError, MAX_BYTES, edit::edited};
use crate::{Error, write_atomic};

impl Card {
    /// Reads a `card.json`, as [`Card::parse`].
    ///
    /// # Errors
    /// When the file cannot be read or is not a card that can be used; the error names the file once, the lines and the keys.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let unreadable = |source| Error::Io {
            path: path.into(),
            source,
        };
        let mut bytes = Vec::new();
        // One more, by which a file that is too long shows.
        fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() > MAX_BYTES {
            let message = format!("the file has more than the {MAX_BYTES} bytes of a card");
            return Err(CardError::new(&origin).with(None, message).into());
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let message = format!(
                "not UTF-8 from byte {} on: save it as UTF-8",
                error.valid_up_to()
            );
            CardError::new(&origin).with(None, message)
        })?;
        Ok(Self::parse(text, &origin)?)
    }

    /// Reads the `card.json` beside a model; `None` where there is none.
    ///
    /// # Errors
    /// As [`Card::read`]; also where it is a link to nothing or not an ordinary file: what it would say is not known.
    pub fn beside(model: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let path = model.as_ref().with_file_name("card.json");
        let unreadable = |source| Error::Io {
            path: path.clone(),
            source,
        };
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
            Ok(_) => (),
        }
        if !path.metadata().map_err(unreadable)?.is_file() {
            let origin = path.display().to_string();
            return Err(CardError::new(&origin)
                .with(None, "not an ordinary file")
                .into());
        }
        Self::read(&path).map(Some)
    }

    /// Writes a `card.json`, indented for people, replacing an existing one in one step. Of one that is a card already, comments,
    /// order and layout are kept; of a link, the file that it leads to is replaced.
    ///
    /// # Errors
    /// When the card is one that could not be read again, or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        self.check(&path.display().to_string())?;
        let target = match path.symlink_metadata() {
            Ok(_) => path.canonicalize(),
            Err(_) => Ok(path.to_owned()),
        };
        let target = target.map_err(|source| Error::Io {
            path: path.into(),
            source,
        })?;
        let edited = fs::read_to_string(path)
            .ok()
            .and_then(|text| edited(&text, self));
        let json = match edited {
            Some(text) => text,
            None => {
                serde_json::to_string_pretty(self).map_err(|source| Error::Json {
                    what: path.display().to_string(),
                    source,
                })? + "\n"
            }
        };
        write_atomic(&target, json.as_bytes()).map_err(|source| Error::Io {
            path: target,
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
    fn a_broken_card_is_named_once_with_line_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.json");
        fs::write(&path, "{\n  \"name\": 3\n}").unwrap();
        let error = Card::read(&path).unwrap_err();
        let text = error.to_string();
        assert_eq!(text.matches("card.json").count(), 1, "{text}");
        assert!(text.contains("line 2: `name` should be text"), "{text}");
        // A chain of causes says nothing twice.
        assert!(std::error::Error::source(&error).is_none());
    }

    #[test]
    fn what_is_not_text_or_too_long_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.json");
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Card::read(&path).unwrap_err().to_string()
        };
        let text = refused(b"\xff\xfe{\0}\0");
        assert!(text.contains("save it as UTF-8"), "{text}");
        let text = refused(&vec![b' '; MAX_BYTES + 1]);
        assert!(text.contains("more than the"), "{text}");
        fs::write(
            &path,
            "\u{feff}{\"name\": \"of an editor that marks UTF-8\"}",
        )
        .unwrap();
        Card::read(&path).unwrap();
    }

    #[test]
    fn a_card_beside_a_model_is_read_or_absent_or_in_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model.onnx");
        assert_eq!(Card::beside(&model).unwrap(), None);
        let path = dir.path().join("card.json");
        Card::default().write(&path).unwrap();
        assert_eq!(Card::beside(&model).unwrap(), Some(Card::default()));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(
            Card::beside(&model)
                .unwrap_err()
                .to_string()
                .contains("not an ordinary file")
        );
        #[cfg(unix)]
        for target in ["nowhere.json", "card.json"] {
            let _ = fs::remove_dir(&path);
            let _ = fs::remove_file(&path);
            std::os::unix::fs::symlink(target, &path).unwrap();
            assert!(
                matches!(Card::beside(&model), Err(Error::Io { path: named, .. }) if named == path)
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_card_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("blob"), dir.path().join("card.json"));
        fs::write(&file, "{}").unwrap();
        std::os::unix::fs::symlink("blob", &link).unwrap();
        let card = Card {
            name: "digits".into(),
            ..Card::default()
        };
        card.write(&link).unwrap();
        assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
        assert_eq!(Card::read(&file).unwrap(), card);
        fs::remove_file(&file).unwrap();
        let error = card.write(&link).unwrap_err();
        assert!(matches!(error, Error::Io { path, .. } if path == link));
        assert!(link.symlink_metadata().is_ok());
    }

    #[test]
    fn a_card_that_could_not_be_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.json");
        let card = Card {
            name: "a\0b".into(),
            ..Card::default()
        };
        assert!(
            card.write(&path)
                .unwrap_err()
                .to_string()
                .contains("U+0000")
        );
        assert!(!path.exists());
    }
}
