use super::*;

/// What Envoy 1.40 returned for a `Struct` in the filter state, a `CelState` of the schema
/// `google.protobuf.Struct` like Istio's, with the fields that Istio's filter writes.
const STRUCT: &str = "\
    0a000000040000000a000000040000001b00000007000000080000000300000008000000080000002a000000\
    07000000020000000900000004000000080000000b0000000800000002000000070000000a00000074797065\
    006465706c6f796d656e74006e616d650066726f6e74656e642d76312d3764346239633666352d7832783771\
    00736572766963650066726f6e74656e64006170700066726f6e74656e64006964656e746974790073706966\
    66653a2f2f636c75737465722e6c6f63616c2f6e732f73686f702f73612f66726f6e74656e64007665727369\
    6f6e007631006e616d6573706163650073686f7000776f726b6c6f61640066726f6e74656e642d7631007265\
    766973696f6e00763100636c7573746572004b756265726e6574657300";
/// What Envoy 1.40 returned for a list of five strings, of which the last is empty, in a list.
const LIST: &str = "\
    05000000120000000000000003000000000000000f0000000000000004000000000000000000000000000000\
    507974686f6e2d75726c6c69622f332e3131000047455400003132372e302e302e313a323133333900006874\
    74700000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn a_struct_is_read_by_its_names() {
    let expected = Peer {
        workload: b"frontend-v1",
        namespace: b"shop",
        service: b"frontend",
        revision: b"v1",
        cluster: b"Kubernetes",
    };
    assert_eq!(Peer::new(&bytes(STRUCT)), expected);
}

#[test]
fn a_list_is_read_by_its_order() {
    let expected = Peer {
        workload: b"Python-urllib/3.11",
        namespace: b"GET",
        service: b"127.0.0.1:21339",
        revision: b"http",
        cluster: b"",
    };
    assert_eq!(Peer::new(&bytes(LIST)), expected);
}

#[test]
fn what_is_no_peer_is_none() {
    for text in ["", "peer_not_found", "unknown", "\0\0\0\0"] {
        assert_eq!(Peer::new(text.as_bytes()), Peer::default(), "{text}");
    }
}

#[test]
fn a_cut_peer_is_a_shorter_one() {
    for whole in [bytes(STRUCT), bytes(LIST)] {
        for length in 0..whole.len() {
            let _ = Peer::new(&whole[..length]);
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Peer::new(&bytes);
    }
}
