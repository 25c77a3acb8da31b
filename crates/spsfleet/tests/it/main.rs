//! The program from outside: its real binary, by exit code, standard output and standard error.

mod ask;
mod check;
mod db;
mod decide;
mod demo;
mod gates;
mod holds;
mod plan;
mod report;
mod roll;
mod storage;
mod support;
