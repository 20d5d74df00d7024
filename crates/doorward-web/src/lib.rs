//! HTTP: routes, pages, cookies, protocol doors.

pub mod assets;
pub mod locale;
pub mod pages;
