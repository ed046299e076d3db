//! The grammar of expressions: words to a tree in which conditions and numbers are not yet told apart.
//! Owns the precedence of conditions (that of numbers is in `values`) and recovery. After a mistake it goes on behind the next `and` or `or`.

use citywatch_model::Duration;

use super::lexer::lex;
use super::token::{Keyword, Mistake, Token, TokenKind};
use super::tree::{Comparing, Kind, Tree, holds};

/// Deeper nesting and longer texts are no rule that a person can read; the bounds keep recursion shallow.
const MAX_DEPTH: usize = 32;
const MAX_TOKENS: usize = 1_000;

/// Reads one condition. The tree is worth a look even after mistakes.
pub(super) fn parse(text: &str) -> (Tree, Vec<Mistake>) {
    let (tokens, mistakes) = lex(text);
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        gave_up: false,
        mistakes,
    };
    if parser.tokens.len() > MAX_TOKENS {
        let message = format!("more than {MAX_TOKENS} words in one expression");
        let help = "split it into several rules".to_owned();
        parser
            .mistakes
            .push(Mistake::new(0..text.len(), message, help));
        return (
            Tree {
                kind: Kind::Wrong,
                range: 0..text.len(),
            },
            parser.mistakes,
        );
    }
    let tree = parser.whole();
    (tree, parser.mistakes)
}

/// A cursor over the words of one expression.
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    /// Whether the rest was left unread, so that what is missing there is nobody's mistake.
    pub(super) gave_up: bool,
    pub(super) mistakes: Vec<Mistake>,
}

impl Parser {
    fn whole(&mut self) -> Tree {
        let tree = self.or();
        while self.peek() != &TokenKind::End {
            self.unexpected();
            while !matches!(
                self.peek(),
                TokenKind::End | TokenKind::Keyword(Keyword::And | Keyword::Or)
            ) {
                self.at += 1;
            }
            if self.peek() != &TokenKind::End {
                self.at += 1;
                // read only for its mistakes: the whole is refused anyway
                self.or();
            }
        }
        tree
    }

    pub(super) fn unexpected(&mut self) {
        let token = self.token().clone();
        let (message, help) = match &token.kind {
            TokenKind::Close => ("this `)` closes nothing".to_owned(), None),
            TokenKind::Comma => (
                "a comma stands only between the parts of a function".to_owned(),
                Some("write decimals with a dot, and conditions with `and` or `or`".to_owned()),
            ),
            TokenKind::Keyword(Keyword::Samples) => (
                "`samples` without a number before it".to_owned(),
                Some("write `in 3 samples`".to_owned()),
            ),
            kind => (
                format!("an operator is missing before {}", kind.describe()),
                Some(
                    "join values with a comparison such as `>=`, conditions with `and` or `or`"
                        .to_owned(),
                ),
            ),
        };
        self.mistakes.push(Mistake::new(token.range, message, help));
    }

    pub(super) fn token(&self) -> &Token {
        // the last one is `End`, and nothing moves past it
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(super) fn peek(&self) -> &TokenKind {
        &self.token().kind
    }

    fn take(&mut self, keyword: Keyword) -> bool {
        let found = self.peek() == &TokenKind::Keyword(keyword);
        self.at += usize::from(found);
        found
    }

    pub(super) fn or(&mut self) -> Tree {
        self.joined(Keyword::Or, Parser::and, Kind::Or)
    }

    fn and(&mut self) -> Tree {
        self.joined(Keyword::And, Parser::not, Kind::And)
    }

    fn joined(
        &mut self,
        keyword: Keyword,
        part: fn(&mut Parser) -> Tree,
        join: fn(Vec<Tree>) -> Kind,
    ) -> Tree {
        let first = part(self);
        if self.peek() != &TokenKind::Keyword(keyword) {
            return first;
        }
        let start = first.range.start;
        let mut parts = vec![first];
        while self.take(keyword) {
            parts.push(part(self));
        }
        let end = parts.last().map_or(start, |last| last.range.end);
        Tree {
            kind: join(parts),
            range: start..end,
        }
    }

    fn not(&mut self) -> Tree {
        let start = self.token().range.start;
        if !self.take(Keyword::Not) {
            return self.comparison();
        }
        let Some(inner) = self.deeper(Parser::not) else {
            return self.too_deep();
        };
        let range = start..inner.range.end;
        Tree {
            kind: Kind::Not(Box::new(inner)),
            range,
        }
    }

    fn comparison(&mut self) -> Tree {
        let left = self.sum();
        let TokenKind::Compare(operator) = *self.peek() else {
            return self.proven(left);
        };
        self.at += 1;
        let right = self.sum();
        let range = left.range.start..right.range.end;
        let mut tree = Tree {
            kind: Kind::Compare(Box::new(Comparing {
                left,
                operator,
                right,
                lasting: None,
                samples: None,
            })),
            range,
        };
        while let TokenKind::Compare(_) = self.peek() {
            let message = "comparisons cannot be chained";
            let help = "write both with `and`, such as `1 < value and value < 5`".to_owned();
            self.mistakes
                .push(Mistake::new(self.token().range.clone(), message, help));
            self.at += 1;
            tree.range.end = self.sum().range.end;
        }
        self.proven(tree)
    }

    /// `for D` and `in N samples` behind the comparison that they bind to.
    fn proven(&mut self, mut tree: Tree) -> Tree {
        while matches!(self.peek(), TokenKind::Keyword(Keyword::For | Keyword::In)) {
            let start = self.token().range.clone();
            let of_time = self.take(Keyword::For) || !self.take(Keyword::In);
            let (lasting, samples) = if of_time {
                (self.lasting(), None)
            } else {
                (None, self.samples())
            };
            let range = start.start..self.tokens[self.at - 1].range.end;
            if let Kind::Call(function, _) = &tree.kind
                && function == "unchanged"
            {
                tree = holds(tree);
            }
            match &mut tree.kind {
                Kind::Wrong => {}
                Kind::Compare(comparing) => {
                    let twice = (lasting.is_some() && comparing.lasting.is_some())
                        || (samples.is_some() && comparing.samples.is_some());
                    if twice {
                        let word = if of_time { "for" } else { "in" };
                        let message = format!("this comparison already has its `{word}`");
                        self.mistakes
                            .push(Mistake::new(range.clone(), message, None));
                    }
                    comparing.lasting = comparing.lasting.or(lasting);
                    comparing.samples = comparing.samples.or(samples);
                }
                _ => {
                    let message = "`for` and `in` belong to one comparison";
                    let help = "write it behind each comparison that must last".to_owned();
                    self.mistakes
                        .push(Mistake::new(range.clone(), message, help));
                }
            }
            tree.range.end = range.end;
        }
        tree
    }

    fn lasting(&mut self) -> Option<Duration> {
        let token = self.token().clone();
        let lasting = match token.kind {
            TokenKind::Duration(duration) => duration,
            TokenKind::Number(seconds) => seconds.to_string().parse().ok()?,
            _ => {
                let message = format!("`for` needs a duration, found {}", token.kind.describe());
                self.mistakes.push(Mistake::new(
                    token.range,
                    message,
                    "write `for 5m`".to_owned(),
                ));
                return None;
            }
        };
        self.at += 1;
        if lasting == Duration::ZERO {
            let help = "leave it out, or give the time that must pass".to_owned();
            self.mistakes
                .push(Mistake::new(token.range, "`for` no time at all", help));
        }
        Some(lasting)
    }

    fn samples(&mut self) -> Option<u32> {
        let token = self.token().clone();
        let TokenKind::Number(number) = token.kind else {
            let message = format!(
                "`in` needs a number of samples, found {}",
                token.kind.describe()
            );
            self.mistakes.push(Mistake::new(
                token.range,
                message,
                "write `in 3 samples`".to_owned(),
            ));
            return None;
        };
        self.at += 1;
        if !self.take(Keyword::Samples) {
            let message = format!("`samples` is missing behind `in {number}`");
            let help = format!("write `in {number} samples`");
            self.mistakes
                .push(Mistake::new(token.range.clone(), message, help));
        }
        let whole = number.fract() == 0.0 && (1.0..=1e6).contains(&number);
        if !whole {
            let message =
                format!("`in {number} samples`: the number must be whole, from 1 to 1000000");
            self.mistakes.push(Mistake::new(token.range, message, None));
        }
        whole.then_some(number as u32)
    }

    pub(super) fn deeper(&mut self, part: fn(&mut Parser) -> Tree) -> Option<Tree> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let tree = part(self);
        self.depth -= 1;
        Some(tree)
    }

    pub(super) fn too_deep(&mut self) -> Tree {
        let range = self.token().range.clone();
        let message = format!("nested more than {MAX_DEPTH} deep");
        self.mistakes.push(Mistake::new(
            range.clone(),
            message,
            "split it into several rules".to_owned(),
        ));
        self.at = self.tokens.len() - 1;
        self.gave_up = true;
        Tree {
            kind: Kind::Wrong,
            range,
        }
    }
}
