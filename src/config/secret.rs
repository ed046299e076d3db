//! Passwords and tokens of the configuration: in place, or in a file with nothing else. They are never shown.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

/// A secret that stands in the configuration itself.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secret of the setting `key`, from wherever it stands; `None` if there is none.
///
/// # Errors
/// If it stands in both places, or its file cannot be read or is empty.
pub fn read(
    key: &str,
    inline: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<String>, String> {
    let path = match (inline, file) {
        (Some(_), Some(_)) => {
            return Err(format!(
                "`{key}` and `{key}_file` are both there; leave one out"
            ));
        }
        (Some(Secret(text)), None) => return Ok(Some(text.clone())),
        (None, Some(path)) => path,
        (None, None) => return Ok(None),
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        format!("`{key}_file` {path} cannot be read: {error}; the service's user must be able to")
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("`{key}_file` {} is empty", path.display()));
    }
    Ok(Some(text.to_owned()))
}
