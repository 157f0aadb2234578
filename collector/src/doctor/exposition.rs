//! Reads Prometheus' text format 0.0.4. Lines that are none are passed over; types, help and time stamps
//! are not needed.

/// What a collector shows of itself at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Metrics(Vec<Sample>);

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(Sample::parse).collect())
    }

    /// Every number of one metric.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// Every number of the metrics whose names begin so.
    pub(super) fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Sample> {
        let samples = self.0.iter();
        samples.filter(move |sample| sample.name.starts_with(prefix))
    }

    /// The sum of all that have these labels; `None` if there is none.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fitting = self.of(name).filter(|sample| sample.has(labels));
        fitting
            .map(|sample| sample.value)
            .reduce(|sum, one| sum + one)
    }

    /// What `sample` was then; 0 if it was not there yet.
    pub(super) fn same(&self, sample: &Sample) -> f64 {
        let is_same = |one: &&Sample| one.name == sample.name && one.labels == sample.labels;
        self.0.iter().find(is_same).map_or(0.0, |one| one.value)
    }
}

// === impl Sample ===

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }

    /// What comes behind `prefix` in its name.
    pub(super) fn name_after(&self, prefix: &str) -> &str {
        self.name.strip_prefix(prefix).unwrap_or(&self.name)
    }

    /// The value of a label; empty without it.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.label(name) == *value)
    }
}

/// Labels up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        rest = loop {
            match characters.next()? {
                (at, '"') => break quoted.get(at + 1..)?,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Registry;

    #[test]
    fn what_the_registry_writes_is_read() {
        let registry = Registry::default();
        let nasty = "a\\b\"c\nd, {e}=\"f\" g";
        let labels = [("exporter", nasty), ("reason", "x")];
        registry.counter("n", "A counter.", &labels).add(3);
        registry
            .counter("n", "A counter.", &[("exporter", "other")])
            .add(4);
        registry.gauge("g", "A gauge.", &[], || 1.5e12);
        let metrics = Metrics::parse(&registry.encode());
        assert_eq!(metrics.sum("g", &[]), Some(1.5e12));
        assert_eq!(metrics.sum("n", &[]), Some(7.0));
        assert_eq!(metrics.sum("n", &[("exporter", nasty)]), Some(3.0));
        assert_eq!(metrics.sum("n", &[("exporter", "none")]), None);
        assert_eq!(metrics.sum("m", &[]), None);
    }

    #[test]
    fn what_is_no_sample_is_passed_over() {
        for line in [
            "",
            "a",
            "a b",
            "a{",
            "a{b} 1",
            "a{b=\"c} 1",
            "a{b=\"c\"}",
            "{",
        ] {
            assert_eq!(Metrics::parse(line), Metrics::default(), "{line}");
        }
        assert_eq!(Metrics::parse("a 1 1700000000000").sum("a", &[]), Some(1.0));
    }
}
