//! The broker's own tests; what it shares with a real Kafka is in `tests/contract`.
