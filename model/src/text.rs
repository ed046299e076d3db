//! Text for people, in Chinese and English.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name or advice in both languages of the screens. In YAML either `{ zh: …, en: … }` or one plain
/// string that serves for both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(from = "Written")]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Both(Both),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    #[serde(default)]
    zh: String,
    #[serde(default)]
    en: String,
}

impl From<Written> for Text {
    fn from(written: Written) -> Text {
        let (mut zh, mut en) = match written {
            Written::One(text) => (text.clone(), text),
            Written::Both(Both { zh, en }) => (zh, en),
        };
        if zh.is_empty() {
            zh.clone_from(&en);
        }
        if en.is_empty() {
            en.clone_from(&zh);
        }
        Text { zh, en }
    }
}

impl Text {
    /// The same words in both languages.
    #[must_use]
    pub fn same(text: &str) -> Text {
        Text {
            zh: text.to_owned(),
            en: text.to_owned(),
        }
    }

    /// Whether there is nothing to read in either language.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zh.is_empty() && self.en.is_empty()
    }
}
