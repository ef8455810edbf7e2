//! One module per subcommand.

pub(crate) mod doctor;
pub(crate) mod explain;
mod interrupt;
mod messages;
pub(crate) mod order;
pub(crate) mod records;
pub(crate) mod report;
pub(crate) mod run;
