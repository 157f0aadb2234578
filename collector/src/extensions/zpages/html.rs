//! Just enough HTML: a page of headings and tables, which needs nothing from elsewhere.

use std::fmt::Write as _;

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page(String);

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// A name or a sentence.
    Text(String),
    /// A number, to the right.
    Number(String),
    /// What somebody should look at.
    Bad(String),
}

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2em;color:#222}\
table{border-collapse:collapse;margin:.5em 0 1.5em}\
th,td{border:1px solid #ccc;padding:.2em .7em;text-align:left;vertical-align:top}\
th{background:#eee}td.n{text-align:right;font-variant-numeric:tabular-nums}\
td.bad{background:#fdd}nav a{margin-right:1em}";

const LINKS: [(&str, &str); 3] = [
    ("/debug/servicez", "service"),
    ("/debug/pipelinez", "pipelines"),
    ("/debug/queuez", "queues"),
];

// === impl Page ===

impl Page {
    pub(super) fn new(title: &str) -> Self {
        let title = escaped(title);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <title>{title}</title><style>{STYLE}</style></head>\n<body>\n<nav>"
        );
        for (path, name) in LINKS {
            // Writing to a String cannot fail, here and below.
            let _ = write!(page, "<a href=\"{path}\">{name}</a>");
        }
        let _ = writeln!(page, "</nav>\n<h1>{title}</h1>");
        Self(page)
    }

    pub(super) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "<h2>{}</h2>", escaped(text));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.0, "<p>{}</p>", escaped(text));
    }

    /// A table; nothing if it has no rows.
    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<Cell>]) {
        if rows.is_empty() {
            return;
        }
        self.0.push_str("<table>\n<tr>");
        for head in heads {
            let _ = write!(self.0, "<th>{}</th>", escaped(head));
        }
        self.0.push_str("</tr>\n");
        for row in rows {
            self.0.push_str("<tr>");
            for cell in row {
                let (class, text) = match cell {
                    Cell::Text(text) => ("", text),
                    Cell::Number(text) => (" class=\"n\"", text),
                    Cell::Bad(text) => (" class=\"bad\"", text),
                };
                let _ = write!(self.0, "<td{class}>{}</td>", escaped(text));
            }
            self.0.push_str("</tr>\n");
        }
        self.0.push_str("</table>\n");
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</body>\n</html>\n");
        self.0
    }
}

// === impl Cell ===

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number, with its thousands apart.
    pub(super) fn number(number: f64) -> Self {
        Self::Number(grouped(number))
    }

    /// A number that should be 0.
    pub(super) fn loss(number: f64) -> Self {
        if number > 0.0 {
            Self::Bad(grouped(number))
        } else {
            Self::number(number)
        }
    }
}

/// `1 234 567`.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number <= -0.5 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1.5 MiB`.
pub(super) fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = number;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 1024.0 && units.len() > 0 {
        size /= 1024.0;
        unit = units.next();
    }
    let unit = unit.unwrap_or(&"B");
    if *unit == "B" {
        format!("{size:.0} B")
    } else {
        format!("{size:.1} {unit}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_markup() {
        let mut page = Page::new("a<b");
        page.table(&["x"], &[vec![Cell::text("<script>\"&")]]);
        let page = page.finish();
        assert!(page.contains("<h1>a&lt;b</h1>"), "{page}");
        assert!(
            page.contains("<td>&lt;script&gt;&quot;&amp;</td>"),
            "{page}"
        );
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1_572_864.0), "1.5 MiB");
        assert_eq!(bytes(4e18), "3637978.8 TiB");
    }
}
