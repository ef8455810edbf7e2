//! A cycle through several services: a lane for each, with what its threads hold and wait for.

use lockdep::record::MergedEdge;
use maud::{Markup, html};

/// Renders the lanes. Nothing if all threads are of one service, or the services are not known.
pub(super) fn lanes(cycle: &[MergedEdge]) -> Markup {
    let services = services(cycle);
    html! {
        @if services.len() > 1 {
            div.lanes {
                table {
                    thead { tr { @for service in &services { th scope="col" { (service) } } } }
                    tbody {
                        @for (at, edge) in cycle.iter().enumerate() {
                            (step(&services, edge, &cycle[(at + 1) % cycle.len()]))
                        }
                    }
                }
            }
        }
    }
}

/// Returns the services in the order of the cycle.
fn services(cycle: &[MergedEdge]) -> Vec<&str> {
    let mut services = Vec::new();
    for service in cycle.iter().filter_map(|edge| edge.service.as_deref()) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// Renders a thread in its lane. The next one holds what it waits for.
fn step(services: &[&str], edge: &MergedEdge, next: &MergedEdge) -> Markup {
    let holder = next.service.as_ref().filter(|_| next.service != edge.service);
    html! {
        tr {
            @for &service in services {
                td {
                    @if edge.service.as_deref() == Some(service) {
                        p.who {
                            (edge.who().replace('`', ""))
                            @if let Some(host) = &edge.host { " on " (host) }
                        }
                        p { "holds " code { (edge.held) } }
                        p {
                            "waits for " code { (edge.wanted) }
                            @if let Some(holder) = holder { ", which " b { (holder) } " holds" }
                        }
                    }
                }
            }
        }
    }
}
