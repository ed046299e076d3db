//! The tree of an expression as it was written, before conditions and numbers are told apart.
//! Plain data with places.

use std::ops::Range;

use citywatch_model::Duration;

use crate::ast::{Arithmetic, Operator};

/// A piece of the tree with its bytes in the expression.
#[derive(Debug)]
pub(super) struct Tree {
    pub kind: Kind,
    pub range: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Number(f64),
    Duration(Duration),
    /// In metres.
    Distance(f64),
    Name(String),
    Quoted(String),
    Call(String, Vec<Tree>),
    Negate(Box<Tree>),
    Arithmetic(Box<Tree>, Arithmetic, Box<Tree>),
    Compare(Box<Comparing>),
    Not(Box<Tree>),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    /// What could not be read; reported already.
    Wrong,
}

/// `left operator right [for D] [in N samples]`.
#[derive(Debug)]
pub(super) struct Comparing {
    pub left: Tree,
    pub operator: Operator,
    pub right: Tree,
    pub lasting: Option<Duration>,
    pub samples: Option<u32>,
}

/// A function that is 1 or 0 as the condition that it is 1.
pub(super) fn holds(call: Tree) -> Tree {
    let range = call.range.clone();
    let right = Tree {
        kind: Kind::Number(1.0),
        range: range.end..range.end,
    };
    let comparing = Comparing {
        left: call,
        operator: Operator::Equal,
        right,
        lasting: None,
        samples: None,
    };
    Tree {
        kind: Kind::Compare(Box::new(comparing)),
        range,
    }
}
