//! Kinds and keys of Kubernetes that have no counterpart.

use crate::hints::Hints;

const CLUSTER: &str = "it is a matter of the cluster";

/// Why, and what instead.
pub(super) const HINTS: Hints = Hints {
    known: &[
        ("GatewayClass", CLUSTER, ""),
        ("Namespace", CLUSTER, ""),
        ("EnvoyProxy", "there is no Envoy", ""),
        ("EnvoyPatchPolicy", "there is no Envoy", ""),
        ("EnvoyExtensionPolicy", "there is no Envoy", ""),
        ("HTTPRoute", "only paths of APIs of models are served", ""),
        ("HTTPRouteFilter", "only paths of APIs of models are served", ""),
        ("ReferenceGrant", "everything is in one file", ""),
        ("Deployment", CLUSTER, ""),
        ("Service", CLUSTER, ""),
        ("ServiceAccount", CLUSTER, ""),
        (
            "ConfigMap",
            "certificates and texts are files",
            "see upstream.tls.ca_file",
        ),
        (
            "SecurityPolicy",
            "callers are known by keys of Pointsman",
            "pointsman key create",
        ),
        (
            "QuotaPolicy",
            "quotas are those of keys",
            "pointsman key create --tpm, --budget",
        ),
        ("MCPRoute", "MCP servers are not part of this version", ""),
        (
            "InferencePool",
            "pools of Kubernetes are not looked up in this version",
            "name the servers as endpoints of a provider of kind vllm or sglang",
        ),
        ("InferenceObjective", "requests have no priority", ""),
        ("InferenceModel", "requests have no priority", ""),
        ("AIGatewayRoute.metadata", CLUSTER, ""),
        ("AIServiceBackend.metadata", CLUSTER, ""),
        ("BackendSecurityPolicy.metadata", CLUSTER, ""),
        ("Backend.metadata", CLUSTER, ""),
        ("BackendTLSPolicy.metadata", CLUSTER, ""),
        ("BackendTrafficPolicy.metadata", CLUSTER, ""),
        ("Gateway.metadata", CLUSTER, ""),
        ("AIGatewayRoute.status", CLUSTER, ""),
        ("AIServiceBackend.status", CLUSTER, ""),
        ("BackendSecurityPolicy.status", CLUSTER, ""),
        ("Backend.status", CLUSTER, ""),
        ("BackendTrafficPolicy.status", CLUSTER, ""),
        ("Gateway.status", CLUSTER, ""),
        (
            "AIGatewayRoute.spec.hostnames",
            "every host name is answered",
            "let a proxy before it look at host names",
        ),
        ("AIGatewayRoute.spec.filterConfig", "there is no filter", ""),
        ("AIGatewayRoute.spec.schema", "clients may speak any format", ""),
        (
            "AIGatewayRoute.spec.rateLimitsFromHeaders",
            "limits are those of keys",
            "pointsman key create --rpm, --tpm",
        ),
        (
            "AIGatewayRoute.spec.rules[].modelsOwnedBy",
            "models are owned by their providers",
            "",
        ),
        (
            "AIGatewayRoute.spec.rules[].modelsCreatedAt",
            "models have no date of their own",
            "",
        ),
        (
            "AIGatewayRoute.spec.rules[].backendRefs[].responseBodyMutation",
            "answers are not changed",
            "",
        ),
        (
            "AIServiceBackend.spec.responseBodyMutation",
            "answers are not changed",
            "",
        ),
        (
            "AIServiceBackend.spec.timeouts",
            "the timeouts of rules are looked at",
            "set timeouts of the provider",
        ),
        (
            "AIServiceBackend.spec.schema.version",
            "Envoy AI Gateway passes over it, too",
            "",
        ),
        ("AIServiceBackend.spec.schema.prefix", "its paths are fixed", ""),
        (
            "BackendSecurityPolicy.spec.targetRefs",
            "what it names was not carried over",
            "",
        ),
        (
            "BackendSecurityPolicy.spec.credentialOverride",
            "a credential is the provider's own, or the caller's",
            "set auth.passthrough of the provider for the caller's",
        ),
        (
            "BackendSecurityPolicy",
            "no backend that was carried over has it",
            "",
        ),
        (
            "Backend.spec.type",
            "servers are those of the file",
            "name them as endpoints of a provider",
        ),
        (
            "Backend.spec.fallback",
            "priorities are those of targets",
            "set priority of the targets",
        ),
        (
            "Backend.spec.appProtocols",
            "the version of HTTP is agreed with the server",
            "set http of an endpoint",
        ),
        (
            "Backend.spec.tls.insecureSkipVerify",
            "certificates are always verified",
            "set upstream.tls.ca_file to trust more",
        ),
        (
            "Backend.spec.tls.caCertificateRefs",
            "certificates are files",
            "write them to a file and name it in upstream.tls.ca_file",
        ),
        ("Backend", "no AIServiceBackend that was carried over has it", ""),
        (
            "BackendTLSPolicy.spec.validation.caCertificateRefs",
            "certificates are files",
            "write them to a file and name it in upstream.tls.ca_file",
        ),
        ("BackendTLSPolicy", "no Backend that was carried over has it", ""),
        (
            "BackendTrafficPolicy.spec.circuitBreaker",
            "breakers go by failures, not by numbers of requests",
            "see health of the provider",
        ),
        (
            "BackendTrafficPolicy.spec.healthCheck",
            "servers are judged by the traffic itself",
            "see health of the provider",
        ),
        (
            "BackendTrafficPolicy.spec.loadBalancer",
            "policies have no settings of their own",
            "",
        ),
        (
            "BackendTrafficPolicy.spec.rateLimit",
            "limits are those of keys",
            "pointsman key create --rpm, --tpm",
        ),
        (
            "BackendTrafficPolicy.spec.faultInjection",
            "faults are not made",
            "run `pointsman sim --fault`",
        ),
        (
            "BackendTrafficPolicy.spec.compression",
            "answers are compressed as the client asks",
            "",
        ),
        (
            "BackendTrafficPolicy.spec.targetSelectors",
            "labels are a matter of the cluster",
            "set retry, timeouts and balance of the models by hand",
        ),
        (
            "BackendTrafficPolicy",
            "there is no such setting",
            "see retry, timeouts and balance of models",
        ),
        ("ClientTrafficPolicy", "there is no such setting", "see server"),
        (
            "GatewayConfig.spec.extProc",
            "there is no filter beside a proxy",
            "",
        ),
        ("GatewayConfig", "there is no such setting", ""),
        ("Gateway.spec.infrastructure", CLUSTER, ""),
        ("Gateway.spec.listeners[].allowedRoutes", CLUSTER, ""),
        ("Gateway", "there is no such setting", "see listeners"),
    ],
    unknown: ("it is not known", "see docs/import.md"),
};
