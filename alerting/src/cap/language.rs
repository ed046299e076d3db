//! The two languages of every message. CAP takes a missing language for English, so both are always named.

use citywatch_model::Text;

/// A language of messages and feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Chinese as written on the mainland.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// In the order in which messages carry them.
    pub const ALL: [Language; 2] = [Language::Chinese, Language::English];

    /// RFC 3066.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Language::Chinese => "zh-CN",
            Language::English => "en-US",
        }
    }

    /// The words in this language, else in the other one: any words are better than none.
    #[must_use]
    pub fn of(self, text: &Text) -> &str {
        let (first, second) = match self {
            Language::Chinese => (&text.zh, &text.en),
            Language::English => (&text.en, &text.zh),
        };
        if first.is_empty() { second } else { first }
    }

    pub(super) const fn nowhere(self) -> &'static str {
        match self {
            Language::Chinese => "未注明区域",
            Language::English => "area not stated",
        }
    }
}
