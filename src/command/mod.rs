//! The subcommands, one file each.

pub mod backtest;
pub mod check;
pub mod district;
pub mod password;
pub mod run;
pub mod simulate;
pub mod test_channel;
