use proptest::prelude::*;

use super::*;

fn list(text: &str) -> TraceState<'_> {
    TraceState::parse([text.as_bytes()]).unwrap()
}

fn numbered(count: usize) -> String {
    (1..=count)
        .map(|number| format!("k{number}={number}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn one_untouched_value_is_borrowed_byte_for_byte() {
    let text = " a=1 ,,\tb=2,";
    let state = list(text);
    assert!(matches!(state.text, Cow::Borrowed(_)));
    assert_eq!(state.as_str(), text);
    assert_eq!(state.len(), 2);
}

#[test]
fn headers_without_members_do_not_cost_a_copy() {
    let state = TraceState::parse([b"".as_slice(), b"a=1", b" ,"]).unwrap();
    assert!(matches!(state.text, Cow::Borrowed("a=1")));
}

#[test]
fn several_headers_are_joined() {
    let state = TraceState::parse([b"a=1".as_slice(), b"b=2,c=3", b"d=4"]).unwrap();
    assert_eq!(state.as_str(), "a=1,b=2,c=3,d=4");
    assert_eq!(state.len(), 4);
}

#[test]
fn errors_tell_the_member_and_what_is_wrong_with_it() {
    for (text, position, error) in [
        ("a=1,b", 1, InvalidMember::NoEquals),
        ("a=1,,B=2", 1, InvalidMember::Key),
        ("=1", 0, InvalidMember::Key),
        ("a=1,b=2,c=", 2, InvalidMember::Value),
        ("a=b=c", 0, InvalidMember::Value),
    ] {
        let found = TraceState::parse([text.as_bytes()]).unwrap_err();
        assert_eq!(found, TraceStateError::Member { position, error }, "{text}");
        assert!(found.to_string().contains("expected"), "{found}");
    }
    let error = TraceState::parse([numbered(33).as_bytes()]).unwrap_err();
    assert_eq!(error, TraceStateError::TooMany);
}

#[test]
fn get_finds_whole_keys_and_the_left_most_of_duplicates() {
    let state = list("ab=1,a=2 , a=3");
    assert_eq!(state.get("a"), Some("2"));
    assert_eq!(state.get("ab"), Some("1"));
    assert_eq!(state.get("b"), None);
    assert_eq!(state.get(""), None);
}

#[test]
fn a_space_before_a_value_belongs_to_it() {
    assert_eq!(list("a=  1 ").get("a"), Some("  1"));
}

#[test]
fn a_changed_member_moves_to_the_left() {
    assert_eq!(
        list("a=1, b=2 ,c=3").with("b", "9").unwrap().as_str(),
        "b=9,a=1,c=3"
    );
}

#[test]
fn a_new_member_is_put_to_the_left() {
    assert_eq!(list("a=1").with("b", "9").unwrap().as_str(), "b=9,a=1");
    assert_eq!(
        TraceState::default().with("b", "9").unwrap().as_str(),
        "b=9"
    );
}

#[test]
fn a_change_replaces_all_duplicates_and_no_longer_key() {
    assert_eq!(
        list("a=1,ab=2,a=3").with("a", "9").unwrap().as_str(),
        "a=9,ab=2"
    );
}

#[test]
fn a_new_member_of_a_full_list_drops_the_right_most() {
    let text = numbered(32);
    let state = list(&text).with("ot", "th:0").unwrap();
    assert_eq!(state.len(), 32);
    assert_eq!(state.as_str(), format!("ot=th:0,{}", numbered(31)));
}

#[test]
fn a_changed_member_of_a_full_list_drops_none() {
    let text = numbered(32);
    let state = list(&text).with("k32", "x").unwrap();
    assert_eq!(state.as_str(), format!("k32=x,{}", numbered(31)));
}

#[test]
fn an_illegal_member_is_not_added() {
    let state = list("a=1");
    assert_eq!(state.with("A", "1"), Err(InvalidMember::Key));
    assert_eq!(state.with("", "1"), Err(InvalidMember::Key));
    for value in ["", "a ", "a,b", "a=b", "\u{e9}"] {
        assert_eq!(state.with("a", value), Err(InvalidMember::Value), "{value}");
    }
}

#[test]
fn without_removes_every_member_of_the_key() {
    assert_eq!(list("a=1,b=2,a=3").without("a").as_str(), "b=2");
    let emptied = list("a=1").without("a");
    assert!(emptied.is_empty() && emptied.as_str().is_empty());
    assert!(matches!(
        list("a=1, b=2").without("c").text,
        Cow::Borrowed("a=1, b=2")
    ));
}

#[test]
fn a_list_that_fits_is_not_cut() {
    assert!(matches!(
        list("a=1, b=2").truncated(8).text,
        Cow::Borrowed("a=1, b=2")
    ));
}

#[test]
fn white_space_goes_before_any_member_does() {
    assert_eq!(list("a=1 , b=2").truncated(7).as_str(), "a=1,b=2");
}

#[test]
fn a_list_is_cut_by_whole_members_from_the_right() {
    assert_eq!(list("a=1,b=2,c=3").truncated(10).as_str(), "a=1,b=2");
    assert_eq!(list("a=1,b=2,c=3").truncated(3).as_str(), "a=1");
    assert_eq!(list("a=1,b=2,c=3").truncated(2).as_str(), "");
    assert_eq!(list("a=1,b=2,c=3").truncated(0).len(), 0);
}

#[test]
fn large_entries_are_cut_first() {
    let large = format!("l={}", "v".repeat(127));
    let limit = format!("m={}", "v".repeat(126));
    assert_eq!((large.len(), limit.len()), (129, 128));
    let text = format!("a=1,{large},{limit},z=26");
    assert_eq!(
        list(&text).truncated(200).as_str(),
        format!("a=1,{limit},z=26")
    );
    let two = format!("{large},a=1,{large}");
    assert_eq!(list(&two).truncated(140).as_str(), format!("{large},a=1"));
    assert_eq!(list(&text).truncated(8).as_str(), "a=1");
}

fn member() -> impl Strategy<Value = (String, String)> {
    (
        "[a-z0-9][a-z0-9_*/@-]{0,12}",
        "[ -+\\--<>-~]{0,12}[!-+\\--<>-~]",
    )
}

prop_compose! {
    fn members(count: std::ops::RangeInclusive<usize>)(
        members in prop::collection::vec(member(), count),
    ) -> Vec<(String, String)> {
        members
    }
}

fn joined(members: &[(String, String)]) -> String {
    members
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

proptest! {
    #[test]
    fn parse_reverses_format(members in members(0..=32)) {
        let text = joined(&members);
        let state = TraceState::parse([text.as_bytes()]).unwrap();
        prop_assert_eq!(state.as_str(), &text);
        prop_assert_eq!(state.len(), members.len());
        let found: Vec<_> = state.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(found, members);
    }

    #[test]
    fn however_a_list_is_split_into_headers_it_reads_the_same(
        members in members(1..=32),
        split in 0..32_usize,
    ) {
        let (left, right) = members.split_at(split.min(members.len()));
        let (left, right) = (joined(left), joined(right));
        let state = TraceState::parse([left.as_bytes(), right.as_bytes()]).unwrap();
        let text = joined(&members);
        prop_assert_eq!(state.as_str(), text);
    }

    #[test]
    fn more_than_32_members_are_refused(members in members(33..=40)) {
        let text = joined(&members);
        let error = TraceState::parse([text.as_bytes()]).unwrap_err();
        prop_assert_eq!(error, TraceStateError::TooMany);
    }

    #[test]
    fn with_is_left_most_unique_and_keeps_the_order_of_the_others(
        members in members(0..=32),
        (key, value) in member(),
    ) {
        let text = joined(&members);
        let state = list(&text).with(&key, &value).unwrap();
        let mut expected = vec![(key.clone(), value)];
        expected.extend(members.into_iter().filter(|(other, _)| *other != key));
        expected.truncate(TraceState::MAX_MEMBERS);
        prop_assert_eq!(state.as_str(), joined(&expected));
        prop_assert_eq!(state.len(), expected.len());
        let again = list(state.as_str());
        prop_assert_eq!(&again, &state);
    }

    #[test]
    fn a_cut_list_fits_and_is_part_of_the_list_in_order(
        members in members(0..=32),
        max in 0..600_usize,
    ) {
        let text = joined(&members);
        let cut = list(&text).truncated(max);
        prop_assert!(cut.as_str().len() <= max);
        let mut rest = members.iter();
        for (key, value) in cut.iter() {
            prop_assert!(rest.any(|(k, v)| k == key && v == value));
        }
        // No member here is large, so the cut is from the right and takes no more than it must.
        let prefix = joined(&members[..cut.len()]);
        prop_assert_eq!(cut.as_str(), prefix);
        if let Some(next) = members.get(..=cut.len()) {
            prop_assert!(joined(next).len() > max);
        }
    }

    #[test]
    fn no_bytes_panic(values: Vec<Vec<u8>>) {
        if let Ok(state) = TraceState::parse(values.iter().map(Vec::as_slice)) {
            prop_assert_eq!(state.iter().count(), state.len());
            let _ = state.truncated(3);
        }
    }

    #[test]
    fn nearly_valid_text_does_not_panic_and_reads_again(text in "[a-cA@ \t=,]{0,40}") {
        if let Ok(state) = TraceState::parse([text.as_bytes()]) {
            prop_assert_eq!(state.iter().count(), state.len());
            prop_assert_eq!(&list(state.as_str()), &state);
        }
    }
}
