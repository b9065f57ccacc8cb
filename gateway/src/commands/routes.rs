//! `gateway routes`: a table of the routes, with who may use each.

use std::{path::Path, process::ExitCode, sync::Arc};

use chassis::config::{StartError, environment};
use serde::Serialize;

use super::output::{Paint, print_json};
use crate::{
    config::{self, Config},
    route::RouteSettings,
    routing::entry::Methods,
};

#[derive(Serialize)]
struct Row {
    methods: String,
    path: String,
    when: String,
    to: String,
    auth: String,
    limit: String,
}

pub(crate) fn run(path: &Path, json: bool) -> Result<ExitCode, StartError> {
    let config = config::load(path, &environment)?;
    let rows = rows(&config);
    if json {
        print_json(&rows)?;
    } else {
        print(&rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(config: &Config) -> Vec<Row> {
    let row = |route: &Arc<RouteSettings>| Row {
        methods: match &route.methods {
            Methods::Any => "*".to_owned(),
            Methods::Only(methods) => methods.join(","),
        },
        path: route.pattern.to_string(),
        when: route.conditions.to_string(),
        to: config.target_name(route),
        auth: route.policy.to_string(),
        limit: route.limits.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    config.routes.iter().map(row).collect()
}

fn print(rows: &[Row]) {
    let paint = Paint::stdout();
    let titles = ["METHODS", "PATH", "WHEN", "TO", "AUTH", "LIMIT"].map(str::to_owned);
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|row| [&row.methods, &row.path, &row.when, &row.to, &row.auth, &row.limit].map(String::clone))
        .collect();
    // Empty columns are left out.
    let shown: Vec<(usize, usize)> = (0..titles.len())
        .filter(|column| cells.iter().any(|row| !row[*column].is_empty()))
        .map(|column| {
            let width = cells.iter().chain([&titles]).map(|row| row[column].chars().count()).max();
            (column, width.unwrap_or_default())
        })
        .collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = shown.iter().map(|(column, width)| format!("{:width$}", row[*column])).collect();
        cells.join("  ").trim_end().to_owned()
    };
    println!("{}", paint.bold(&line(&titles)));
    for row in &cells {
        println!("{}", line(row));
    }
}
