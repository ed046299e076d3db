//! What is in force: rules, sensors, zones and plans as versions in the ledger, and how one takes the place of the
//! other. Everything that can fail is done before anything is written; a bad file leaves the old version in force.
//!
//! The ledger is right. A change is first a version there, then a record of the journal, from which the engine
//! takes it up at an exact position. If the process dies between the two, the next start journals what the ledger
//! holds.

mod begin;
mod change;
mod difference;
mod edit;
mod history;
mod keeper;
mod present;
mod rule_text;

pub use begin::{apply, begin};
pub use change::{ChangeError, Outcome, Request};
pub use difference::{Difference, unified};
pub use edit::{Edit, Target};
pub use history::{RuleStep, difference_of, rule_steps};
pub use keeper::Keeper;
pub use present::{Present, Wish, propose, told};
pub use rule_text::whole_file as rule_alone;
