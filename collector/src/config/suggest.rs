//! The nearest valid name for one that is not.

/// The names that are most like `name`, best first, at most three; those that have little in common
/// with it are left out.
pub fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (name.len() / 2).max(2);
    let mut ranked: Vec<(usize, &str)> = valid
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || candidate.contains(name))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, name)| name).collect()
}

/// `; did you mean "x"?`, or the list of what is valid if nothing is near.
pub(super) fn hint(name: &str, valid: &[&str]) -> String {
    let quoted = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        names.join(", ")
    };
    match nearest(name, valid.iter().copied()).as_slice() {
        [] if valid.is_empty() => "; none is valid here".to_owned(),
        [] => format!("; expected one of {}", quoted(valid)),
        names => format!("; did you mean {}?", quoted(names)),
    }
}

/// How many characters have to be added, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let valid = ["endpoint", "headers", "timeout"];
        assert_eq!(nearest("endpont", valid), ["endpoint"]);
        assert_eq!(nearest("time_out", valid), ["timeout"]);
        assert!(nearest("zzz", valid).is_empty());
    }

    #[test]
    fn a_hint_names_everything_if_nothing_is_near() {
        assert_eq!(hint("xyz", &["a", "bc"]), r#"; expected one of "a", "bc""#);
    }
}
