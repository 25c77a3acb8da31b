//! What a rollout came to. [`ReportFacts`] are made once, from the folded log; every form shows
//! them and nothing else: the end of `run`, text, Markdown, HTML, JSON.

mod brief;
mod calendars;
mod facts;
mod html;
mod log;
mod make;
mod markdown;
mod said;
mod text;
mod timeline;
mod verdict;

#[cfg(test)]
mod tests;

pub(crate) use brief::brief;
pub(crate) use facts::ReportFacts;
pub(crate) use html::html;
pub(crate) use log::Log;
pub(crate) use markdown::markdown;
pub(crate) use text::text;
