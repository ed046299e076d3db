//! The words of an expression. Owns how numbers, durations, names and signs are written; knows no grammar.
//! Whatever it does not understand it reports, and goes on with what was probably meant.

use super::token::{KEYWORDS, Mistake, SIGNS, Token, TokenKind, is_id_letter, is_name_letter};

/// The words of `text`, the last one always `End`.
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<Mistake>) {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        mistakes: Vec::new(),
    };
    lexer.run();
    (lexer.tokens, lexer.mistakes)
}

pub(super) struct Lexer<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    tokens: Vec<Token>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let Some(letter) = self.text[self.at..].chars().next() else {
                break;
            };
            if self.expects_id() && is_id_letter(letter) {
                let length = self.length_while(is_id_letter);
                self.push(
                    length,
                    TokenKind::Quoted(self.text[self.at..self.at + length].to_owned()),
                );
            } else if letter.is_ascii_digit() || self.is_fraction(letter) {
                if self.expects_distance() {
                    self.distance();
                } else {
                    self.number();
                }
            } else if is_name_letter(letter) {
                self.word();
            } else if letter == '"' || letter == '\'' {
                self.quoted(letter);
            } else {
                self.sign(letter);
            }
        }
        self.push(0, TokenKind::End);
    }

    /// Inside `sensor(` an id may hold signs that mean something elsewhere.
    fn expects_id(&self) -> bool {
        let [.., before, last] = self.tokens.as_slice() else {
            return false;
        };
        last.kind == TokenKind::Open && before.kind == TokenKind::Word("sensor".to_owned())
    }

    /// Behind `near(MEASUREMENT,` stands a distance, in which `m` is metres.
    fn expects_distance(&self) -> bool {
        let [.., function, open, _, comma] = self.tokens.as_slice() else {
            return false;
        };
        matches!(&function.kind, TokenKind::Word(word) if word == "near" || word == "count_near")
            && open.kind == TokenKind::Open
            && comma.kind == TokenKind::Comma
    }

    fn is_fraction(&self, letter: char) -> bool {
        letter == '.' && self.text[self.at + 1..].starts_with(|c: char| c.is_ascii_digit())
    }

    fn length_while(&self, accept: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[self.at..];
        rest.find(|c: char| !accept(c)).unwrap_or(rest.len())
    }

    pub(super) fn push(&mut self, length: usize, kind: TokenKind) {
        self.tokens.push(Token {
            kind,
            range: self.at..self.at + length,
        });
        self.at += length;
    }

    fn word(&mut self) {
        let mut length = self.length_while(is_name_letter);
        let rest = &self.text[self.at + length..];
        if rest.starts_with('.') {
            length = self.length_while(|c| is_name_letter(c) || c == '.');
            let word = self.text[self.at..self.at + length].to_owned();
            let message = format!("`{word}` is not a bare name: names hold letters, digits and _");
            let help = format!("write \"{word}\" in quotes");
            self.mistakes
                .push(Mistake::new(self.at..self.at + length, message, help));
            return self.push(length, TokenKind::Quoted(word));
        }
        let word = self.text[self.at..self.at + length].to_owned();
        let lower = word.to_lowercase();
        let kind = match KEYWORDS.iter().find(|(keyword, _)| *keyword == lower) {
            Some((keyword, kind)) => {
                if *keyword != word {
                    let message = format!("`{word}` must be written in small letters");
                    let help = format!("write `{keyword}`");
                    self.mistakes
                        .push(Mistake::new(self.at..self.at + length, message, help));
                }
                TokenKind::Keyword(*kind)
            }
            None => TokenKind::Word(word),
        };
        self.push(length, kind);
    }

    fn quoted(&mut self, quote: char) {
        let inside = &self.text[self.at + 1..];
        let length = inside.find(quote);
        let name = inside[..length.unwrap_or(inside.len())].to_owned();
        let length = length.map_or(1 + inside.len(), |length| length + 2);
        if length < name.len() + 2 {
            let help = format!("close it with {quote}");
            self.mistakes.push(Mistake::new(
                self.at..self.at + 1,
                "this quote is never closed",
                help,
            ));
        } else if name.trim().is_empty() {
            let range = self.at..self.at + length;
            self.mistakes.push(Mistake::new(
                range,
                "a name in quotes must not be empty",
                None,
            ));
        }
        self.push(length, TokenKind::Quoted(name));
    }

    fn sign(&mut self, letter: char) {
        let rest = &self.text[self.at..];
        let Some((sign, kind, right)) = SIGNS.iter().find(|(sign, ..)| rest.starts_with(sign))
        else {
            let range = self.at..self.at + letter.len_utf8();
            self.mistakes.push(Mistake::new(
                range.clone(),
                format!("`{letter}` has no meaning in an expression"),
                None,
            ));
            self.at = range.end;
            return;
        };
        if let Some(right) = right {
            let range = self.at..self.at + sign.len();
            let help = format!("write `{right}`");
            self.mistakes.push(Mistake::new(
                range,
                format!("`{sign}` is not used in rules"),
                help,
            ));
        }
        self.push(sign.len(), kind.clone());
    }
}
