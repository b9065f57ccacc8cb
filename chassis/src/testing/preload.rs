//! Compiles a small library in C, which `LD_PRELOAD` puts between a program and the C library.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles `source` into `folder`, and returns the path of the library.
///
/// # Panics
/// Where there is no C compiler, which building the services needs, too.
pub(super) fn compile(name: &str, source: &str, folder: &Path) -> PathBuf {
    let (source_file, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    fs::write(&source_file, source).expect("a folder that can be written to");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source_file).arg("-ldl");
    let compiled = compiler.output().expect("a C compiler");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    library
}
