//! Tests of single parts; the whole under trouble is `tests/sim`.

mod commit;
mod engine;
mod parking;
mod prepare;
mod replays;
mod restore;
mod roads;
mod seeks;
