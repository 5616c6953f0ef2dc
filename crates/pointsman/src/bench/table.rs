//! The figures as a table.

use std::fmt::Write;

use serde_json::Value;

/// Writes the table, for people or in Markdown.
pub(crate) fn render(figures: &Value, markdown: bool) -> String {
    let mut out = String::new();
    let columns = [
        "load",
        "route",
        "p50 µs",
        "p99 µs",
        "added p50 µs",
        "added p99 µs",
        "first piece p50 µs",
        "requests/s",
        "CPU µs/request",
        "× nginx",
    ];
    row(&mut out, &columns.map(str::to_owned), markdown);
    if markdown {
        row(&mut out, &columns.map(|_| "---".to_owned()), true);
    }
    for (load, routes) in figures["loads"].as_object().into_iter().flatten() {
        let number = |route: &str, field: &str| routes[route][field].as_f64();
        for route in ["direct", "nginx", "pointsman"] {
            let Some(p50) = number(route, "p50_us") else {
                continue;
            };
            let added =
                |field: &str| number(route, field).unwrap_or(0.0) - number("direct", field).unwrap_or(0.0);
            let cpu = number(route, "cpu_us_per_request").filter(|cpu| *cpu > 0.0);
            let ratio = cpu
                .zip(number("nginx", "cpu_us_per_request"))
                .map(|(own, nginx)| own / nginx);
            let cells = [
                load.clone(),
                route.to_owned(),
                format!("{p50:.0}"),
                format!("{:.0}", number(route, "p99_us").unwrap_or(0.0)),
                format!("{:.0}", added("p50_us")),
                format!("{:.0}", added("p99_us")),
                format!("{:.0}", number(route, "first_piece_p50_us").unwrap_or(0.0)),
                format!("{:.0}", number(route, "requests_per_second").unwrap_or(0.0)),
                cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.1}")),
                ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            ];
            row(&mut out, &cells, markdown);
        }
    }
    let kib = |value: &Value| value.as_f64().unwrap_or(0.0) / 1024.0;
    let streams = &figures["open_streams"];
    let _ = write!(
        out,
        "\nmemory: idle {:.1} MiB; {} open streams {:.1} KiB each",
        kib(&figures["idle_bytes"]) / 1024.0,
        streams["streams"],
        kib(&streams["bytes_each"])
    );
    out
}

fn row(out: &mut String, cells: &[String; 10], markdown: bool) {
    if markdown {
        let _ = writeln!(out, "| {} |", cells.join(" | "));
        return;
    }
    let widths = [24, 10, 8, 8, 13, 13, 19, 11, 15, 8];
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(out, "{cell:<width$} ");
    }
    out.push('\n');
}
