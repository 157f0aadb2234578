//! An Envoy cluster as the target of a gRPC call.
//!
//! Envoy first takes a target for a serialised `GrpcService` message, and only if it is none for
//! the name of a cluster. Many a name is a valid message by accident, with unknown fields only
//! (`ingestion`, `envoy`, `mimir`): Envoy 1.40 then ends with "unset oneof". So a name is sent as
//! it is only if no message can begin like it, and as a message otherwise.
//!
//! Source: Envoy, `Context::grpcCall`, and `envoy/config/core/v3/grpc_service.proto`.

use spanmesh_otlp::encode::put_bytes;

/// `GrpcService.envoy_grpc`.
const ENVOY_GRPC: u32 = 1;
/// `GrpcService.EnvoyGrpc.cluster_name`.
const CLUSTER_NAME: u32 = 1;
/// Wire types 6 and 7 do not exist.
const FIRST_INVALID_WIRE_TYPE: u8 = 6;

/// A cluster's name, and what names it to Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    name: String,
    target: String,
}

impl Cluster {
    /// A cluster of this name.
    ///
    /// # Errors
    /// What was expected of a name that cannot be sent.
    pub fn new(name: String) -> Result<Self, String> {
        let is_no_message = name
            .bytes()
            .next()
            .is_some_and(|byte| byte & 7 >= FIRST_INVALID_WIRE_TYPE);
        if is_no_message {
            return Ok(Self {
                target: name.clone(),
                name,
            });
        }
        let (mut envoy_grpc, mut service) = (Vec::new(), Vec::new());
        put_bytes(&mut envoy_grpc, CLUSTER_NAME, name.as_bytes());
        put_bytes(&mut service, ENVOY_GRPC, &envoy_grpc);
        // The SDK takes text only, and the lengths of a long message are none.
        match String::from_utf8(service) {
            Ok(target) if !name.is_empty() => Ok(Self { name, target }),
            _ => Err(format!(
                "found {name:?}, expected a name of 1 to 125 bytes, or a longer one that begins \
                 with one of f, g, n, o, v and w"
            )),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `dispatch_grpc_call` takes.
    pub fn target(&self) -> &str {
        &self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> String {
        Cluster::new(name.to_owned()).unwrap().target().to_owned()
    }

    #[test]
    fn a_name_that_no_message_begins_like_goes_as_it_is() {
        for name in [
            "outbound|4317||spanmesh-collector.observability.svc.cluster.local",
            "go",
        ] {
            assert_eq!(target(name), name);
        }
    }

    #[test]
    fn any_other_name_goes_as_a_message() {
        assert_eq!(target("ingestion"), "\n\u{b}\n\tingestion");
        assert_eq!(
            target("spanmesh-collector"),
            "\n\u{14}\n\u{12}spanmesh-collector"
        );
    }

    #[test]
    fn a_name_that_cannot_be_sent_is_refused() {
        assert!(Cluster::new(String::new()).is_err());
        assert!(Cluster::new("a".repeat(125)).is_ok());
        let error = Cluster::new("a".repeat(126)).unwrap_err();
        assert!(error.contains("125 bytes"), "{error}");
        assert!(Cluster::new("o".repeat(300)).is_ok());
    }
}
