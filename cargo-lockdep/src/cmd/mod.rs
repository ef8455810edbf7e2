//! One module per subcommand.

pub(crate) mod doctor;
pub(crate) mod explain;
mod interrupt;
pub(crate) mod report;
pub(crate) mod run;
