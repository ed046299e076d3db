//! The grammar of numbers inside an expression: arithmetic, names, functions and parentheses.
//! Continues `syntax`; owns nothing but this part of the precedence.

use std::ops::Range;

use super::syntax::Parser;
use super::token::{Mistake, TokenKind};
use super::tree::{Kind, Tree};
use crate::ast::Arithmetic;

impl Parser {
    pub(super) fn sum(&mut self) -> Tree {
        self.left_to_right(Parser::product, |kind| {
            matches!(kind, Arithmetic::Add | Arithmetic::Subtract)
        })
    }

    fn product(&mut self) -> Tree {
        self.left_to_right(Parser::unary, |kind| {
            matches!(kind, Arithmetic::Multiply | Arithmetic::Divide)
        })
    }

    fn left_to_right(
        &mut self,
        part: fn(&mut Parser) -> Tree,
        wanted: fn(Arithmetic) -> bool,
    ) -> Tree {
        let mut left = part(self);
        while let TokenKind::Arithmetic(operator) = *self.peek()
            && wanted(operator)
        {
            self.at += 1;
            let right = part(self);
            let range = left.range.start..right.range.end;
            left = Tree {
                kind: Kind::Arithmetic(Box::new(left), operator, Box::new(right)),
                range,
            };
        }
        left
    }

    fn unary(&mut self) -> Tree {
        let start = self.token().range.start;
        if self.peek() != &TokenKind::Arithmetic(Arithmetic::Subtract) {
            return self.primary();
        }
        self.at += 1;
        // a sign before digits belongs to the number, so that printing -3 and reading it again is the same
        if let TokenKind::Number(number) = *self.peek() {
            let range = start..self.token().range.end;
            self.at += 1;
            return Tree {
                kind: Kind::Number(-number),
                range,
            };
        }
        let Some(inner) = self.deeper(Parser::unary) else {
            return self.too_deep();
        };
        let range = start..inner.range.end;
        Tree {
            kind: Kind::Negate(Box::new(inner)),
            range,
        }
    }

    fn primary(&mut self) -> Tree {
        let token = self.token().clone();
        let kind = match token.kind {
            TokenKind::Number(number) => Kind::Number(number),
            TokenKind::Duration(duration) => Kind::Duration(duration),
            TokenKind::Distance(metres) => Kind::Distance(metres),
            TokenKind::Quoted(name) => Kind::Quoted(name),
            TokenKind::Open => return self.parenthesised(&token.range),
            TokenKind::Word(word) => {
                self.at += 1;
                if self.peek() == &TokenKind::Open {
                    return self.call(word, &token.range);
                }
                return Tree {
                    kind: Kind::Name(word),
                    range: token.range,
                };
            }
            kind => {
                let message = format!("a value is missing before {}", kind.describe());
                self.mistakes
                    .push(Mistake::new(token.range.clone(), message, None));
                return Tree {
                    kind: Kind::Wrong,
                    range: token.range,
                };
            }
        };
        self.at += 1;
        Tree {
            kind,
            range: token.range,
        }
    }

    fn parenthesised(&mut self, open: &Range<usize>) -> Tree {
        self.at += 1;
        let Some(inner) = self.deeper(Parser::or) else {
            return self.too_deep();
        };
        let end = self.close(open, false);
        Tree {
            kind: end.map_or(Kind::Wrong, |_| inner.kind),
            range: open.start..end.unwrap_or(inner.range.end),
        }
    }

    fn call(&mut self, function: String, name: &Range<usize>) -> Tree {
        let open = self.token().range.clone();
        self.at += 1;
        let mut arguments = Vec::new();
        if self.peek() != &TokenKind::Close {
            loop {
                let Some(argument) = self.deeper(Parser::or) else {
                    return self.too_deep();
                };
                arguments.push(argument);
                if self.peek() != &TokenKind::Comma {
                    break;
                }
                self.at += 1;
            }
        }
        match self.close(&open, true) {
            Some(end) => Tree {
                kind: Kind::Call(function, arguments),
                range: name.start..end,
            },
            None => Tree {
                kind: Kind::Wrong,
                range: name.start..self.token().range.start,
            },
        }
    }

    /// The end of the closing parenthesis; where something else stands, reports it and skips to the end of
    /// this parenthesis, so that what follows can still be read.
    fn close(&mut self, open: &Range<usize>, of_call: bool) -> Option<usize> {
        let token = self.token().clone();
        match token.kind {
            TokenKind::Close => {
                self.at += 1;
                return Some(token.range.end);
            }
            TokenKind::End if self.gave_up => return None,
            TokenKind::End => {
                self.mistakes.push(Mistake::new(
                    open.clone(),
                    "this `(` is not closed",
                    "add `)`".to_owned(),
                ));
                return None;
            }
            kind if of_call => {
                let message = format!("`,` or `)` is missing before {}", kind.describe());
                self.mistakes.push(Mistake::new(token.range, message, None));
            }
            _ => self.unexpected(),
        }
        let mut open_inside = 0_usize;
        while self.peek() != &TokenKind::End {
            self.at += 1;
            match self.tokens[self.at - 1].kind {
                TokenKind::Open => open_inside += 1,
                TokenKind::Close if open_inside == 0 => break,
                TokenKind::Close => open_inside -= 1,
                _ => {}
            }
        }
        None
    }
}
