//! Runs the customers until the time is over or somebody presses Ctrl-C, and prints the report.

use std::{
    cell::RefCell,
    io::{IsTerminal, Write},
    process,
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chassis::{
    config::{StartError, counted},
    server::shutdown_signal,
};
use tokio::{sync::watch, time::interval};

use super::{
    client::Client,
    customer::{Customer, Shop},
    pace::Pace,
    report,
    settings::Settings,
    tally::Tally,
};

/// How often the line in the terminal changes.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Clears the line.
const CLEAR: &str = "\r\x1b[K";

/// Sends requests as the settings say, and prints what came of them. The requests in flight at the end are waited for; a
/// second Ctrl-C prints at once.
///
/// # Errors
/// A request has failed.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let interrupted = shutdown_signal();
    let (end, over) = watch::channel(false);
    let shop = Rc::new(Shop {
        client: Client::new(&settings),
        pace: Pace::new(settings.rate, over),
        settings,
        tally: RefCell::new(Tally::default()),
        run: run_id(),
    });
    let settings = &shop.settings;
    let began = Instant::now();
    let customers: Vec<_> =
        (0..settings.users).map(|number| actix_rt::spawn(Customer::new(Rc::clone(&shop), number).live())).collect();
    tokio::select! {
        () = interrupted => {}
        () = tokio::time::sleep(settings.duration) => {}
        () = show_progress(&shop, began) => {}
    }
    let elapsed = began.elapsed();
    end.send_replace(true);
    tokio::select! {
        () = shutdown_signal() => {}
        () = async { for customer in customers { let _ = customer.await; } } => {}
    }
    let tally = shop.tally.borrow();
    if std::io::stderr().is_terminal() {
        eprint!("{CLEAR}");
    }
    print!("{}", report::table(&tally, elapsed, settings));
    match tally.all().failed {
        0 => Ok(()),
        failed => Err(StartError::failed(format!(
            "{} failed",
            counted(usize::try_from(failed).unwrap_or(usize::MAX), "request")
        ))),
    }
}

/// Shows how it goes, if a person is looking; otherwise waits forever.
async fn show_progress(shop: &Shop, began: Instant) {
    let mut terminal = std::io::stderr();
    if !terminal.is_terminal() {
        return std::future::pending().await;
    }
    let mut ticks = interval(PROGRESS_INTERVAL);
    loop {
        ticks.tick().await;
        let line = report::progress(&shop.tally.borrow(), began.elapsed(), &shop.settings);
        // Where the terminal is gone, nobody misses the line.
        let _ = write!(terminal, "{CLEAR}{line}").and_then(|()| terminal.flush());
    }
}

/// No other run has the same, so that no order is taken for one of another run.
fn run_id() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("load-{}-{}", since_epoch.as_millis(), process::id())
}
