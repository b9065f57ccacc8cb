//! The forms of values that several keys share: counts, durations, sizes, paths. Knows no key.

use super::shape::Shape::{self, Either, Form, Whole, Words};

pub(crate) const COUNT: Shape = Whole(1, u64::MAX);
pub(crate) const STATUS: Shape = Either(&[Form("^[1-5][0-9][0-9]$"), Whole(100, 599)]);
pub(crate) const DURATION: Shape = Either(&[Form(r"^\s*0*[1-9][0-9]*(ms|s|m|h|d)?\s*$"), COUNT]);
pub(crate) const RATE: Shape = Either(&[Words(&["off"]), Form(r"^0*[1-9][0-9]*\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?/s$")]);
pub(crate) const SIZE: Shape = Either(&[Form(r"^[0-9]+\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?\s*$"), Whole(0, u64::MAX)]);
pub(crate) const PERCENT: Shape = Form(r"^(100|0*[0-9]{1,2})%$");
pub(crate) const SHARE: Shape = Form(r"^(100|0*[1-9][0-9]?)%$");
pub(crate) const PATH: Shape = Form(r"^/");
pub(crate) const PAGE: Shape = Either(&[Words(&["off"]), PATH]);
