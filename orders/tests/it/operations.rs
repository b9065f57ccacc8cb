//! For operators: health, metrics, request ids.

use chassis::testing::get;

use crate::fixture::{ANN, in_memory, new_order};

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
