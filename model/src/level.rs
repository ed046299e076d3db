//! The four warning levels. One internal type; colour words, CAP severity and national codes are views of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A warning level, the worst one greatest. "No level" is `Option::None`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Level {
    /// IV 蓝色, 一般
    Blue = 1,
    /// III 黄色, 较重
    Yellow = 2,
    /// II 橙色, 严重
    Orange = 3,
    /// I 红色, 特别严重
    Red = 4,
}

/// A word that names no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level: write blue, yellow, orange or red")]
pub struct UnknownLevel(pub String);

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Level; 4] = [Level::Blue, Level::Yellow, Level::Orange, Level::Red];

    /// The word used in rules, files and the API: `blue`, `yellow`, `orange`, `red`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Level::Blue => "blue",
            Level::Yellow => "yellow",
            Level::Orange => "orange",
            Level::Red => "red",
        }
    }

    /// The Chinese colour word of warnings: 蓝色, 黄色, 橙色, 红色.
    #[must_use]
    pub const fn zh(self) -> &'static str {
        match self {
            Level::Blue => "蓝色",
            Level::Yellow => "黄色",
            Level::Orange => "橙色",
            Level::Red => "红色",
        }
    }

    /// 1 (blue) to 4 (red), the number kept in the ledger.
    #[must_use]
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// The level of a rank between 1 and 4.
    #[must_use]
    pub const fn from_rank(rank: u8) -> Option<Level> {
        match rank {
            1 => Some(Level::Blue),
            2 => Some(Level::Yellow),
            3 => Some(Level::Orange),
            4 => Some(Level::Red),
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        Level::ALL
            .into_iter()
            .find(|level| level.word() == text)
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_is_greatest_and_ranks_go_round() {
        assert!(Level::Blue < Level::Yellow && Level::Orange < Level::Red);
        for level in Level::ALL {
            assert_eq!(Level::from_rank(level.rank()), Some(level));
            assert_eq!(level.word().parse(), Ok(level));
        }
        assert!("purple".parse::<Level>().is_err());
    }
}
