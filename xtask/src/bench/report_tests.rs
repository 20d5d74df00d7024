//! The arithmetic of the page.

use super::{at_most, median, share, thousands};

#[test]
fn the_median_is_a_number_that_was_measured() {
    assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    assert!((median(&[4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
    assert!(median(&[]).abs() < f64::EPSILON);
}

#[test]
fn an_aim_is_reached_from_the_right_side() {
    assert!(at_most("x", "25 MiB", 25.0, 25.0, "MiB").reached);
    assert!(!at_most("x", "25 MiB", 25.1, 25.0, "MiB").reached);
    assert!(share("x".to_owned(), "90 %", 0.9, 0.9).reached);
    assert!(!share("x".to_owned(), "90 %", 0.89, 0.9).reached);
}

#[test]
fn thousands_are_set_apart() {
    assert_eq!(thousands(7), "7");
    assert_eq!(thousands(1_000), "1,000");
    assert_eq!(thousands(1_234_567), "1,234,567");
}
