//! The subcommands, one file each.

pub mod backtest;
pub mod check;
pub mod run;
pub mod simulate;
