//! What an operator asks before and while an agent runs: is the configuration right, what would be sent of these lines,
//! what of this file, how far is everything.

mod dry_run;
mod explain;
mod files;
mod running;
mod table;

pub use dry_run::{DryRun, DryRunError};
pub use explain::explain;
pub use files::{Matched, matched};
pub use running::{NotRunning, Running};
pub use table::{Rates, table};
