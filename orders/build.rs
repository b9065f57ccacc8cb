//! Builds this crate again when a migration changes: they are embedded, and cargo looks only at the crate's own folder.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/orders");
}
