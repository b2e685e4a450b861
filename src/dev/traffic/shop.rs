//! Traffic for the shop.

use super::{Made, Traffic, event};
use crate::record::Millis;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Articles of the shop.
const SKUS: usize = 60;
/// Customers.
const USERS: usize = 500;
/// A cancellation comes so many orders after its order at most: some meet it before it was paid, some long after.
const CANCEL_WITHIN: usize = 200;

/// Orders, cancellations, goods; of a hundred records some are repeated and one is garbage.
pub struct Shop {
    rng: fastrand::Rng,
    /// Number of the next order.
    next_order: u64,
    prefix: String,
    /// Articles that have not got their first goods yet.
    to_stock: usize,
    recent: VecDeque<String>,
    last: Option<Made>,
}

impl Shop {
    /// Traffic from a seed. Orders are numbered from `first`, so that a shop whose log is kept gets new ones.
    pub fn new(seed: u64, first: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed ^ first.rotate_left(32)),
            next_order: first,
            prefix: format!("o{seed}"),
            to_stock: SKUS,
            recent: VecDeque::new(),
            last: None,
        }
    }

    fn receive(&mut self, now: Millis, sku: usize, quantity: u64) -> Made {
        let sku = sku_name(sku);
        let data = json!({ "sku": sku, "quantity": quantity });
        Made {
            topic: "stock.commands".into(),
            key: sku.into(),
            value: Some(event(&mut self.rng, now, "stock.receive.v1", &data)),
            headers: vec![],
        }
    }

    fn order(&mut self, now: Millis) -> Made {
        let order = format!("{}-{:06}", self.prefix, self.next_order);
        self.next_order += 1;
        let data = json!({
            "orderId": order,
            "userId": format!("user-{}", self.rng.usize(..USERS)),
            "items": self.items(),
        });
        let value = event(&mut self.rng, now, "order.create.v1", &data);
        self.recent.push_back(order.clone());
        if self.recent.len() > CANCEL_WITHIN {
            self.recent.pop_front();
        }
        Made { topic: "orders.commands".into(), key: order.into(), value: Some(value), headers: vec![] }
    }

    fn items(&mut self) -> Value {
        let first = self.rng.usize(..SKUS);
        let count = self.rng.usize(1..=3);
        // Neighbours of a random article: no article stands in an order twice.
        let items = (0..count).map(|n| {
            let sku = (first + n) % SKUS;
            json!({ "sku": sku_name(sku), "quantity": self.rng.u64(1..=3), "price": 199 + 100 * sku })
        });
        items.collect()
    }

    fn cancel(&mut self, now: Millis) -> Option<Made> {
        let order = self.recent.get(self.rng.usize(..self.recent.len().max(1)))?.clone();
        let data = json!({ "orderId": order, "reason": "CHANGED_MIND" });
        Some(Made {
            topic: "orders.commands".into(),
            key: order.into(),
            value: Some(event(&mut self.rng, now, "order.cancel.v1", &data)),
            headers: vec![],
        })
    }

    /// What a foreign producer may send by mistake.
    fn garbage(&mut self, now: Millis) -> Made {
        let key = format!("garbage-{}", self.rng.u32(..));
        let order = |data: &Value, rng: &mut fastrand::Rng| event(rng, now, "order.create.v1", data);
        let item = json!({ "sku": "sku-00", "quantity": 1, "price": 1 });
        let rng = &mut self.rng;
        let value = match rng.u8(..10) {
            0 => b"not json at all".to_vec(),
            1 => vec![0xff, 0xfe, 0x00],
            2 => b"{\"type\":\"order.create.v1\",\"data\":".to_vec(),
            3 => "[".repeat(10_000).into_bytes(),
            4 => Vec::new(),
            5 => json!({ "data": { "orderId": key } }).to_string().into_bytes(),
            6 => order(&json!({ "orderId": key, "userId": "user-1", "items": [] }), rng),
            7 => order(&json!({ "orderId": key, "items": [item] }), rng),
            8 => order(
                &json!({ "orderId": key, "userId": "user-1", "items": [{ "sku": "sku-00", "quantity": -1, "price": 1 }] }),
                rng,
            ),
            _ => order(&json!({ "orderId": "another", "userId": "user-1", "items": [item] }), rng),
        };
        Made { topic: "orders.commands".into(), key: key.into(), value: Some(value), headers: vec![] }
    }
}

fn sku_name(sku: usize) -> String {
    format!("sku-{sku:02}")
}

impl Traffic for Shop {
    fn next(&mut self, now: Millis) -> Made {
        if self.to_stock > 0 {
            self.to_stock -= 1;
            let quantity = self.rng.u64(10..60);
            return self.receive(now, self.to_stock, quantity);
        }
        let made = match self.rng.u16(..1_000) {
            // An order takes four pieces on average; what arrives is a little less, so that some orders come up short.
            0..30 => {
                let (sku, quantity) = (self.rng.usize(..SKUS), self.rng.u64(50..160));
                self.receive(now, sku, quantity)
            }
            30..60 => match self.cancel(now) {
                Some(cancel) => cancel,
                None => self.order(now),
            },
            60..65 => self.garbage(now),
            // A producer that was not sure sends the same bytes again.
            65..70 => self.last.clone().unwrap_or_else(|| self.order(now)),
            70..72 => {
                let mut empty = self.order(now);
                empty.value = None;
                empty
            }
            _ => self.order(now),
        };
        self.last = Some(made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(seed: u64, count: usize) -> Vec<Made> {
        let mut shop = Shop::new(seed, 0);
        (0..count).map(|n| shop.next(1_000 + n as i64)).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_records() {
        assert_eq!(made(7, 500), made(7, 500));
        assert_ne!(made(7, 500), made(8, 500));
    }

    #[test]
    fn all_kinds_of_records_come_up() {
        let records = made(1, 20_000);
        let with = |part: &str| {
            records
                .iter()
                .filter(|made| made.value.as_ref().is_some_and(|value| String::from_utf8_lossy(value).contains(part)))
                .count()
        };
        assert!(with("stock.receive.v1") >= SKUS);
        assert!(with("order.create.v1") > 17_000);
        assert!(with("order.cancel.v1") > 300);
        assert!(with("not json at all") > 0);
        assert!(records.iter().any(|made| made.value.is_none()));
        assert!(records.windows(2).any(|pair| pair[0] == pair[1]), "a repetition");
    }

    #[test]
    fn a_shop_that_goes_on_gets_new_orders() {
        let keys = |first: u64| {
            let mut shop = Shop::new(1, first);
            (0..1_000).map(|_| shop.next(0).key).filter(|key| key.starts_with(b"o1-")).collect::<std::collections::HashSet<_>>()
        };
        assert!(keys(0).is_disjoint(&keys(10_000)));
    }
}
