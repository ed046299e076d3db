//! What an expression consists of: words, signs and their spellings, and how a mistake among them is noted.
//! Plain data and tables.

use std::ops::Range;

use citywatch_model::Duration;

use crate::ast::{Arithmetic, Operator};

/// Something wrong in an expression; `range` in bytes of the expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mistake {
    pub range: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl Mistake {
    pub fn new(
        range: Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> Mistake {
        Mistake {
            range,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// A word with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Number(f64),
    Duration(Duration),
    /// In metres.
    Distance(f64),
    /// A bare name or a keyword.
    Word(String),
    /// A quoted name, or the id inside `sensor(…`.
    Quoted(String),
    Compare(Operator),
    Arithmetic(Arithmetic),
    Keyword(Keyword),
    Open,
    Close,
    Comma,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    For,
    In,
    Samples,
}

/// How keywords are written.
pub(super) const KEYWORDS: [(&str, Keyword); 7] = [
    ("and", Keyword::And),
    ("or", Keyword::Or),
    ("not", Keyword::Not),
    ("for", Keyword::For),
    ("in", Keyword::In),
    ("samples", Keyword::Samples),
    ("sample", Keyword::Samples),
];

/// Signs, longest first; with the right spelling where people write another one.
pub(super) const SIGNS: [(&str, TokenKind, Option<&str>); 37] = {
    use TokenKind::{Arithmetic as A, Close, Comma, Compare as C, Keyword as K, Open};
    [
        (">=", C(Operator::GreaterEqual), None),
        ("<=", C(Operator::LessEqual), None),
        ("===", C(Operator::Equal), Some("==")),
        ("==", C(Operator::Equal), None),
        ("!==", C(Operator::NotEqual), Some("!=")),
        ("!=", C(Operator::NotEqual), None),
        ("=>", C(Operator::GreaterEqual), Some(">=")),
        ("=<", C(Operator::LessEqual), Some("<=")),
        ("<>", C(Operator::NotEqual), Some("!=")),
        ("&&", K(Keyword::And), Some("and")),
        ("||", K(Keyword::Or), Some("or")),
        (">", C(Operator::Greater), None),
        ("<", C(Operator::Less), None),
        ("=", C(Operator::Equal), Some("==")),
        ("&", K(Keyword::And), Some("and")),
        ("|", K(Keyword::Or), Some("or")),
        ("!", K(Keyword::Not), Some("not")),
        ("+", A(Arithmetic::Add), None),
        ("-", A(Arithmetic::Subtract), None),
        ("*", A(Arithmetic::Multiply), None),
        ("/", A(Arithmetic::Divide), None),
        ("(", Open, None),
        (")", Close, None),
        (",", Comma, None),
        ("≥", C(Operator::GreaterEqual), Some(">=")),
        ("≤", C(Operator::LessEqual), Some("<=")),
        ("≠", C(Operator::NotEqual), Some("!=")),
        ("＞", C(Operator::Greater), Some(">")),
        ("＜", C(Operator::Less), Some("<")),
        ("−", A(Arithmetic::Subtract), Some("-")),
        ("–", A(Arithmetic::Subtract), Some("-")),
        ("×", A(Arithmetic::Multiply), Some("*")),
        ("÷", A(Arithmetic::Divide), Some("/")),
        ("（", Open, Some("(")),
        ("）", Close, Some(")")),
        ("，", Comma, Some(",")),
        ("＝", C(Operator::Equal), Some("==")),
    ]
};

/// Whether `letter` may stand in a bare name; digits not at its front.
pub(super) fn is_name_letter(letter: char) -> bool {
    // digits of other scripts would make a name of what was meant as a number
    letter.is_alphabetic() || letter.is_ascii_digit() || letter == '_'
}

/// Whether `letter` may stand in a bare sensor id.
pub(super) fn is_id_letter(letter: char) -> bool {
    letter.is_alphanumeric() || "_-.:/#@+".contains(letter)
}

impl TokenKind {
    /// The word in backquotes, for messages.
    pub fn describe(&self) -> String {
        match self {
            TokenKind::Number(number) => format!("`{number}`"),
            TokenKind::Duration(duration) => format!("`{duration}`"),
            TokenKind::Distance(metres) => format!("`{metres}m`"),
            TokenKind::Word(word) | TokenKind::Quoted(word) => format!("`{word}`"),
            TokenKind::Compare(operator) => format!("`{operator}`"),
            TokenKind::Arithmetic(operator) => format!("`{operator}`"),
            TokenKind::Keyword(keyword) => {
                let word = KEYWORDS
                    .iter()
                    .find(|(_, known)| known == keyword)
                    .map_or("", |(word, _)| word);
                format!("`{word}`")
            }
            TokenKind::Open => "`(`".to_owned(),
            TokenKind::Close => "`)`".to_owned(),
            TokenKind::Comma => "`,`".to_owned(),
            TokenKind::End => "the end".to_owned(),
        }
    }
}
