//! An Envoy cluster as the target of a gRPC call.
//!
//! Envoy first takes a target for a serialised `GrpcService` message, and only if it is none for
//! the name of a cluster. Many a name is a valid message by accident, with unknown fields only
//! (`ingestion`, `envoy`, `mimir`): Envoy 1.40 then ends with "unset oneof". So a name is sent as
//! it is only if no message can begin like it, and as a message otherwise.
//!
//! The `:authority` of a call is the cluster's name, unless the message says otherwise. The names of
//! Istio's clusters are no authorities: an HTTP/2 server that parses them, such as hyper's, resets
//! the stream, and the filter sees UNAVAILABLE. So these go as a message with the host that they end
//! with.
//!
//! Source: Envoy, `Context::grpcCall`, and `envoy/config/core/v3/grpc_service.proto`.

use spanmesh_otlp::encode::put_bytes;

/// `GrpcService.envoy_grpc`.
const ENVOY_GRPC: u32 = 1;
/// `GrpcService.EnvoyGrpc.cluster_name`.
const CLUSTER_NAME: u32 = 1;
/// `GrpcService.EnvoyGrpc.authority`.
const AUTHORITY: u32 = 2;
/// Wire types 6 and 7 do not exist.
const FIRST_INVALID_WIRE_TYPE: u8 = 6;

/// The separator in the names of Istio's clusters: `direction|port|subset|host`.
const ISTIO_SEPARATOR: char = '|';

/// A cluster's name, and what names it to Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    name: String,
    grpc_service: Vec<u8>,
}

impl Cluster {
    /// A cluster of this name; `None` if it is empty.
    pub fn new(name: String) -> Option<Self> {
        let first = name.bytes().next()?;
        let host = host(&name);
        if host == name && first & 7 >= FIRST_INVALID_WIRE_TYPE {
            let grpc_service = name.clone().into_bytes();
            return Some(Self { name, grpc_service });
        }
        let (mut envoy_grpc, mut grpc_service) = (Vec::new(), Vec::new());
        put_bytes(&mut envoy_grpc, CLUSTER_NAME, name.as_bytes());
        if host != name {
            put_bytes(&mut envoy_grpc, AUTHORITY, host.as_bytes());
        }
        put_bytes(&mut grpc_service, ENVOY_GRPC, &envoy_grpc);
        Some(Self { name, grpc_service })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `grpc_call` takes.
    pub fn grpc_service(&self) -> &[u8] {
        &self.grpc_service
    }

    /// The `:authority` of requests to it: the host in a name of Istio's, else the name.
    pub fn authority(&self) -> &str {
        host(&self.name)
    }
}

/// The host in a name of Istio's, else the name.
fn host(name: &str) -> &str {
    let mut parts = name.rsplit(ISTIO_SEPARATOR);
    parts.find(|part| !part.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> Cluster {
        Cluster::new(name.to_owned()).unwrap()
    }

    #[test]
    fn a_name_that_no_message_begins_like_goes_as_it_is() {
        for name in ["go", "otlp"] {
            assert_eq!(cluster(name).grpc_service(), name.as_bytes());
        }
    }

    #[test]
    fn a_name_of_istios_goes_as_a_message_with_its_host() {
        assert_eq!(
            cluster("outbound|4317||c.o.svc").grpc_service(),
            b"\n\x21\n\x16outbound|4317||c.o.svc\x12\x07c.o.svc"
        );
        // Without a host there is nothing better than the name.
        assert_eq!(cluster("||").grpc_service(), b"\n\x04\n\x02||");
    }

    #[test]
    fn any_other_name_goes_as_a_message() {
        assert_eq!(cluster("ingestion").grpc_service(), b"\n\x0b\n\tingestion");
        let long = "a".repeat(200);
        let service = cluster(&long);
        assert!(
            service
                .grpc_service()
                .starts_with(&[0x0a, 0xcb, 1, 0x0a, 0xc8, 1])
        );
        assert!(service.grpc_service().ends_with(long.as_bytes()));
    }

    #[test]
    fn an_empty_name_is_none() {
        assert_eq!(Cluster::new(String::new()), None);
    }

    #[test]
    fn the_authority_is_a_host_where_the_name_has_one() {
        assert_eq!(cluster("outbound|4318||a.b.svc").authority(), "a.b.svc");
        assert_eq!(cluster("collector").authority(), "collector");
        assert_eq!(cluster("inbound|8080||").authority(), "8080");
        assert_eq!(cluster("|").authority(), "|");
    }
}
