//! The kinds of values that several keys share: counts, durations, sizes, paths. Each has its form, for the schema, beside
//! its parser. Knows no key.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    parse,
    shape::{
        Kind, Scalar,
        Shape::{Either, Flag, Form, Text, Whole, Words},
    },
};
use crate::{
    limit::rate::Rate,
    upstream::settings::{HostHeader, TargetAddress},
};

pub(crate) const TEXT: Kind<Scalar<String>> = Kind { shape: Text, parse: parse::text };
pub(crate) const FILE_NAME: Kind<Scalar<PathBuf>> = Kind { shape: Text, parse: parse::file_name };
pub(crate) const ADDRESS: Kind<Scalar<SocketAddr>> = Kind { shape: Text, parse: parse::address };
pub(crate) const FLAG: Kind<Scalar<bool>> = Kind { shape: Flag, parse: parse::boolean };
pub(crate) const COUNT: Kind<Scalar<usize>> = Kind { shape: Whole(1, u64::MAX), parse: parse::count };
/// For counters of 32 bits.
pub(crate) const COUNT_U32: Kind<Scalar<u32>> = Kind { shape: COUNT.shape, parse: parse::count_u32 };
pub(crate) const STATUS: Kind<Scalar<u16>> =
    Kind { shape: Either(&[Form("^[1-5][0-9][0-9]$"), Whole(100, 599)]), parse: parse::status };
pub(crate) const DURATION: Kind<Scalar<Duration>> =
    Kind { shape: Form(r"^\s*0*[1-9][0-9]*(ms|s|m|h|d)\s*$"), parse: parse::duration };
/// The minimum rate of a body; `None` is no minimum.
pub(crate) const BODY_RATE_VALUE: Kind<Scalar<Option<u64>>> = Kind {
    shape: Either(&[Words(&["off"]), Form(r"^0*[1-9][0-9]*\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?/s$")]),
    parse: parse::body_rate,
};
pub(crate) const SIZE: Kind<Scalar<u64>> = Kind {
    shape: Either(&[Form(r"^[0-9]+\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?\s*$"), Whole(0, u64::MAX)]),
    parse: parse::bytes,
};
/// From 0 %.
pub(crate) const PERCENT: Kind<Scalar<u8>> = Kind { shape: Form(r"^(100|0*[0-9]{1,2})%$"), parse: parse::percent };
/// From 1 %.
pub(crate) const SHARE: Kind<Scalar<u8>> = Kind { shape: Form(r"^(100|0*[1-9][0-9]?)%$"), parse: parse::share };
pub(crate) const PATH: Kind<Scalar<String>> = Kind { shape: Form("^/"), parse: parse::path };
pub(crate) const PATH_AND_QUERY: Kind<Scalar<String>> = Kind { shape: PATH.shape, parse: parse::path_and_query };
/// The path of a page; `None` is off.
pub(crate) const PAGE: Kind<Scalar<Option<String>>> =
    Kind { shape: Either(&[Words(&["off"]), PATH.shape]), parse: parse::page };
pub(crate) const TARGET_URL: Kind<Scalar<TargetAddress>> = Kind { shape: Form("^https?://"), parse: parse::target };
/// `target`, `keep`, or a host with or without a port.
pub(crate) const HOST_HEADER: Kind<Scalar<HostHeader>> = Kind {
    shape: Form(r"^(target|keep|[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9a-fA-F:.]+\](:[0-9]+)?)$"),
    parse: parse::host_header,
};
pub(crate) const RATE_LIMIT: Kind<Scalar<Rate>> = Kind {
    shape: Form(
        r"^0*[1-9][0-9]* */ *(s|sec|second|m|min|minute|h|hour|d|day) +per +(ip|user|header +[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*$",
    ),
    parse: parse::rate,
};
