//! Draws the ratios to the raw lock: a line for each workload, a point for each peer.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::{
    plan::{PEERS, Peer, ROWS},
    results::Results,
    show::{Shown, shown},
};

const SIZE: (u32, u32) = (1000, 560);

/// Ours are blue, which colour-blind readers can distinguish from the others.
const COLOURS: [RGBColor; 8] = [
    RGBColor(8, 48, 107),
    RGBColor(33, 113, 181),
    RGBColor(107, 174, 214),
    RGBColor(214, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(230, 159, 0),
    RGBColor(150, 40, 30),
    RGBColor(120, 120, 120),
];

/// Draws to a file.
pub(crate) fn draw(results: &Results, path: &Path) -> Result<()> {
    draw_points(results, path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw_points(results: &Results, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let rows: Vec<_> = ROWS
        .iter()
        .filter(|row| PEERS.iter().any(|peer| ratio(results, row, peer).is_some()))
        .collect();
    // From the top.
    let height = |at: usize| (rows.len() - at) as f64;
    let ratios =
        || rows.iter().flat_map(|row| PEERS.iter().filter_map(|peer| ratio(results, row, peer)));
    // Leaves room for the names on the right.
    let most = ratios().fold(10.0, f64::max) * 20.0;
    let least = ratios().fold(0.8, f64::min) * 0.9;

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Time, as a multiple of the raw lock's", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(250)
        .build_cartesian_2d((least..most).log_scale(), 0.3..rows.len() as f64 + 0.7)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&|ratio| format!("× {ratio}"))
        .light_line_style(BLACK.mix(0.06))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (at, row) in rows.iter().enumerate() {
        chart.draw_series(LineSeries::new(
            [(least, height(at)), (most, height(at))],
            BLACK.mix(0.15),
        ))?;
        let (_, y) = chart.backend_coord(&(least, height(at)));
        root.draw(&Text::new(row.title, (12, y - 7), ("sans-serif", 14)))?;
    }
    chart.draw_series(LineSeries::new([(1.0, 0.3), (1.0, rows.len() as f64 + 0.7)], BLACK))?;

    for (number, peer) in PEERS.iter().filter(|peer| !peer.is_raw()).enumerate() {
        let colour = COLOURS[number];
        let style = if peer.is_ours() { colour.filled() } else { colour.stroke_width(2) };
        let points = rows
            .iter()
            .enumerate()
            .filter_map(|(at, row)| Some((ratio(results, row, peer)?, height(at))));
        chart
            .draw_series(points.map(|point| Circle::new(point, 5, style)))?
            .label(peer.name)
            .legend(move |(x, y)| Circle::new((x + 8, y), 5, style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}

fn ratio(results: &Results, row: &crate::plan::Row, peer: &Peer) -> Option<f64> {
    match shown(results, row, peer) {
        Shown::Measured(measured) => measured.ratio,
        Shown::Dash | Shown::Trouble(_) => None,
    }
}
