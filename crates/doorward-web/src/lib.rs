//! HTTP: routes, pages, cookies, protocol doors.
