//! The accounts service from outside: real sockets, real files, and the real process where it is killed or its disk fails.

mod fixture;
mod process;

mod crash;
mod direct;
mod faults;
mod listing;
mod login;
mod openapi;
mod rules;
mod start;
mod users;
mod wire;
