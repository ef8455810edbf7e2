//! The first lock of the process.

#[cfg(all(unix, not(loom)))]
use super::forks;
use crate::{
    finding::OtherHolds,
    ledger, source,
    validator::{context::current::inside, graph, monitor},
};

/// Called with the first lock of the process. Starts what the environment asks for.
pub(in crate::validator) fn process_begins() {
    #[cfg(all(unix, not(loom)))]
    forks::watch();
    inside(|| {
        if let Some(doctest) = source::doctest::look() {
            doctest.of_this_process();
        }
    });
    // The record has the entries of the configuration.
    ledger::note_config();
    inside(open_record);
    let settings = ledger::settings();
    let answers = settings.signal.as_deref().is_some_and(listen_for);
    if settings.watchdog.is_some() || answers {
        monitor::watchdog::await_threads(settings.watchdog);
    }
}

/// Listens for signals by name. Returns `true` if the watchdog must answer any of them.
fn listen_for(signals: &str) -> bool {
    #[cfg(all(unix, feature = "signals"))]
    return monitor::on_signal::start(signals);
    #[cfg(not(all(unix, feature = "signals")))]
    {
        let reason = if cfg!(unix) {
            "this build lacks the feature `signals` of lockdep"
        } else {
            "it needs Unix"
        };
        ledger::print_past_capture(&format!(
            "lockdep: LOCKDEP_SIGNAL={signals} is ignored: {reason}"
        ));
        false
    }
}

/// Opens the record on disk, if one is requested, and writes edges that other threads have added
/// meanwhile.
fn open_record() {
    ledger::open_record();
    if ledger::records() {
        let graph = graph::lock().snapshot();
        let edges = graph.as_petgraph().edge_weights().map(|edge| {
            // What else was held is not known any more.
            (edge.clone(), OtherHolds { may_be_more: true, ..OtherHolds::default() })
        });
        ledger::record_edges(&edges.collect::<Vec<_>>());
    }
}
