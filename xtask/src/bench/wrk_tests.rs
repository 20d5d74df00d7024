//! Reading wrk's report.

use super::{Sample, milliseconds, read};

const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 16 connections\n  Latency Distribution\n     \
    50%  612.00us\n     99%    1.25ms\n  40000 requests in 2.00s, 4.00MB read\nRequests/sec:  20000.50\n";

#[test]
fn rate_latency_and_processor_time_come_from_the_report() {
    assert_eq!(
        read(GOOD, 2.0, 8.0),
        Ok(Sample {
            per_second: 20000.5,
            p50_ms: 0.612,
            p99_ms: 1.25,
            requests: 40000.0,
            processor_us: 50.0,
            resident_mib: 8.0
        })
    );
}

#[test]
fn a_run_with_refusals_or_lost_connections_is_no_measurement() {
    let refused = format!("{GOOD}  Non-2xx or 3xx responses: 3\n");
    assert_eq!(
        read(&refused, 2.0, 8.0),
        Err("3 answers were refusals".to_owned())
    );
    let lost = format!("{GOOD}  Socket errors: connect 0, read 2, write 0, timeout 0\n");
    assert!(read(&lost, 2.0, 8.0).is_err());
    assert!(read("nothing", 2.0, 8.0).is_err());
}

#[test]
fn units_of_time_are_read() {
    assert_eq!(milliseconds("500.00us"), Some(0.5));
    assert_eq!(milliseconds("2.00s"), Some(2000.0));
    assert_eq!(milliseconds("1.00m"), Some(60_000.0));
    assert_eq!(milliseconds("fast"), None);
}
