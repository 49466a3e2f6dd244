use metrics::{counter, gauge};

use super::Metrics;
use crate::connections::Cut;

impl Metrics {
    /// Notes how many connections are open.
    pub fn connections(&self, open: usize) {
        self.record(|| gauge!("buckler_http_connections").set(open as f64));
    }

    /// Notes that a connection is closed for a reason.
    pub fn cut(&self, cut: Cut) {
        self.record(|| {
            counter!("buckler_http_connections_cut_total", "reason" => cut.name()).increment(1);
        });
    }
}

pub(super) fn zeros() {
    gauge!("buckler_http_connections").set(0.0);
    for cut in Cut::ALL {
        counter!("buckler_http_connections_cut_total", "reason" => cut.name()).absolute(0);
    }
}
