//! One module per subcommand.

pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod report;
pub(crate) mod run;
