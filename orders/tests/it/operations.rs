//! For operators: health, metrics, request ids.

use chassis::testing::{Connection, get};
use serde_json::Value;

use crate::{
    fixture::{ANN, Folder, in_memory, new_order},
    process,
};

#[test]
fn health_and_metrics_need_no_caller() {
    let service = in_memory();
    assert_eq!(get("/health/live").send(service.addr()).status, 200);
    let ready = get("/health/ready").send(service.addr());
    assert_eq!((ready.status, &ready.json()["checks"]["store"]), (200, &serde_json::json!("ok")));
}

#[test]
fn batches_commits_and_reads_are_measured() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    ANN.lists_all(service.addr(), 100);
    let metrics = get("/metrics").send(service.addr()).text();
    for line in [
        "orders_store_batch_size_count 1",
        "orders_store_commit_duration_seconds_count 1",
        "orders_store_failed_commits_total 0",
        "orders_store_writes_waiting 0",
        "orders_store_writes_waiting_max 1024",
        "orders_store_read_wait_seconds_count 1",
        "orders_store_read_duration_seconds_count 1",
        "http_requests_total{method=\"POST\",route=\"/api/orders\",status=\"201\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "`{line}` is not in\n{metrics}");
    }
}

#[test]
fn a_request_keeps_its_id() {
    let service = in_memory();
    let answer = ANN.sends(service.addr(), new_order("a book").header("X-Request-Id", "abc-123"));
    assert_eq!((answer.status, answer.header("x-request-id")), (201, Some("abc-123")));
    let answer = ANN.sends(service.addr(), get("/api/orders/2").header("X-Request-Id", "abc-124"));
    assert_eq!(answer.problem(), "not_found");
    assert_eq!(answer.json()["request_id"], "abc-124");
}

#[test]
fn a_request_that_is_malformed_is_one_line_at_info() {
    let folder = Folder::new();
    let program = process::start(&folder);
    let too_large = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice(), &[b'a'; 200_000]].concat();
    for bytes in
        [b"GET / HTTP/9\r\n\r\n".as_slice(), b"\x16\x03\x01\x00\xff", b"GET / HTTP/1.1\r\n@: b\r\n\r\n", &too_large]
    {
        let mut connection = Connection::open(program.addr());
        connection.send(bytes);
        assert_eq!(connection.try_answer(false).unwrap().unwrap().status / 100, 4);
    }
    program.signal("TERM");
    let (_, log) = program.ended();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let unreadable = lines.iter().filter(|line| line["message"].as_str().unwrap().contains("could not be read"));
    assert_eq!(unreadable.count(), 4, "{log}");
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{log}");
}
