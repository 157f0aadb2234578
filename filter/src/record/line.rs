//! An access log record's body: a line in the combined log format of Apache's httpd, with the
//! duration in milliseconds in place of the referer's column.

use std::io::Write;

use super::{Record, text};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Appends `client - - [date] "method target protocol" status bytes duration "user agent"`, which
/// is UTF-8.
pub(super) fn put_line(line: &mut Vec<u8>, record: &Record<'_>) {
    let attributes = record.attributes;
    // An address, or a name of letters and digits: nothing that could forge a column.
    put_escaped(line, record.client, record.value_limit);
    line.extend_from_slice(b" - - [");
    put_date(line, record.start / 1_000_000_000);
    line.extend_from_slice(b"] \"");
    put_escaped(line, record.request.method, record.value_limit);
    line.push(b' ');
    put_escaped(line, record.request.path(), record.value_limit);
    if !record.query.is_empty() {
        line.push(b'?');
        put_escaped(line, &record.query, record.value_limit);
    }
    line.push(b' ');
    put_escaped(line, attributes.protocol, record.value_limit);
    line.extend_from_slice(b"\" ");
    put_number(line, u64::from(attributes.response_code));
    line.push(b' ');
    put_number(line, attributes.response_size);
    line.push(b' ');
    put_number(line, attributes.duration / 1_000_000);
    line.extend_from_slice(b" \"");
    put_escaped(line, record.request.user_agent, record.value_limit);
    line.push(b'"');
}

/// Appends text so that nobody can forge a line or a column: quotes, backslashes and control
/// characters are escaped as httpd does; what is empty is `-`.
fn put_escaped(line: &mut Vec<u8>, value: &[u8], limit: usize) {
    if value.is_empty() {
        line.push(b'-');
        return;
    }
    if value.len() <= limit && value.iter().all(is_plain) {
        line.extend_from_slice(value);
        return;
    }
    for character in text(value, limit).chars() {
        match character {
            '"' => line.extend_from_slice(b"\\\""),
            '\\' => line.extend_from_slice(b"\\\\"),
            _ if character.is_control() => {
                // Writing to memory cannot fail.
                let _ = write!(line, "\\x{:02x}", u32::from(character));
            }
            _ => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Whether a byte stands for itself in a line, as nearly all do.
fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\'
}

/// Appends a number, without the formatting machinery: it is there in every line three times.
fn put_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    let from = digits.len() - length;
    line.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// Appends a number below 100 with two digits.
fn put_two_digits(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

/// Appends `21/Nov/2026:09:41:00 +0000` for seconds since the Unix epoch.
fn put_date(line: &mut Vec<u8>, seconds: u64) {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    put_two_digits(line, day);
    line.push(b'/');
    line.extend_from_slice(month.as_bytes());
    line.push(b'/');
    put_number(line, year);
    for part in [time / 3600, time / 60 % 60, time % 60] {
        line.push(b':');
        put_two_digits(line, part);
    }
    line.extend_from_slice(b" +0000");
}

/// Year, month (0 to 11) and day of the month of a day since the Unix epoch, in the proleptic
/// Gregorian calendar, counted in eras of 400 years that begin on the first of March.
fn civil(days: u64) -> (u64, usize, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_TO_EPOCH;
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let month = if march_month < 10 {
        march_month + 2
    } else {
        march_month - 10
    };
    let year = era * 400 + year + u64::from(month < 2);
    (year, month as usize, day - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |seconds| {
            let mut line = Vec::new();
            put_date(&mut line, seconds);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(date(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(date(951_827_696), "29/Feb/2000:12:34:56 +0000");
        assert_eq!(date(1_709_251_199), "29/Feb/2024:23:59:59 +0000");
        assert_eq!(date(1_795_253_400), "21/Nov/2026:09:30:00 +0000");
        assert_eq!(date(4_107_542_400), "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 99, 200, 1_234_567, u64::MAX] {
            let mut line = Vec::new();
            put_number(&mut line, number);
            assert_eq!(line, number.to_string().as_bytes());
        }
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let mut line = Vec::new();
        put_escaped(&mut line, b"a\"b\\c\nd\x7f", 100);
        assert_eq!(line, b"a\\\"b\\\\c\\x0ad\\x7f");
    }
}
