//! What every handler is given: the broker and its groups, and who is calling.

use std::net::SocketAddr;
use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::Mutex;
use tailrace_shared::kafka::{ApiKey, ErrorCode};
use tokio::sync::Semaphore;

use super::endpoint::Endpoint;
use super::memory::MemoryBudget;
use super::throttle::{Muted, Throttle};
use crate::broker::Broker;
use crate::catalog::acl::{Access, Operation, Resource, ResourceType};
use crate::catalog::topic_config::{ConfigSource, ConfigType};
use crate::group::Coordinator;
use crate::metrics::CollectorMetrics;
use crate::security::login::Login;
use crate::security::tokens::Tokens;
use crate::security::users::Users;
use crate::security::{Authorizer, Principal};

/// What handlers work on.
pub struct Context {
    /// Topics and partitions.
    pub broker: Arc<Broker>,
    /// Consumer groups.
    pub groups: Arc<Coordinator>,
    /// Who may do what.
    pub authorizer: Authorizer,
    /// Who there is.
    pub users: Users,
    /// Whose tokens are taken, where any are.
    pub tokens: Option<Tokens>,
    /// How many passwords may be hashed at once.
    pub password_checks: Semaphore,
    /// Who has used how much of a quota.
    pub throttle: Arc<Throttle>,
    /// What is counted.
    pub metrics: Arc<CollectorMetrics>,
    /// What bounds requests.
    pub limits: Limits,
    /// What is said of this broker's configuration, by name.
    pub broker_configs: Vec<BrokerConfig>,
    /// What fetched batches may hold until they are sent.
    pub fetch_memory: MemoryBudget,
}

/// What bounds requests and what they may set off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that one Fetch answers, whatever the client asks for.
    pub fetch_bytes_max: usize,
    /// A topic that a client names is created.
    pub auto_create_topics: bool,
    /// How many partitions a topic gets unless somebody says otherwise.
    pub default_partitions: i32,
}

/// A key of this broker's configuration, under Kafka's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Kafka's name for it.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// The value in force.
    pub value: String,
    /// Where it comes from.
    pub source: ConfigSource,
    /// The value where nothing is said.
    pub default: String,
    /// What it is called in the configuration file, and what it does.
    pub documentation: &'static str,
}

/// Who is calling, and how.
#[derive(Debug, Clone)]
pub struct Call {
    /// The API.
    pub api: ApiKey,
    /// The version that the client speaks.
    pub version: i16,
    /// What the client calls itself.
    pub client_id: ByteString,
    /// Where it calls from.
    pub peer: SocketAddr,
    /// Where it came in.
    pub endpoint: Arc<Endpoint>,
    /// How far it has proved who it is.
    pub login: Arc<Mutex<Login>>,
    /// Who it is.
    pub principal: Principal,
    /// For how long nothing more is taken on its connection.
    pub muted: Arc<Muted>,
}

impl Call {
    fn access(&self, operation: Operation) -> Access<'_> {
        Access {
            principal: self.principal.as_str(),
            host: self.peer.ip(),
            operation,
        }
    }
}

impl Context {
    /// Whether the caller may do that to the resource.
    #[must_use]
    pub fn allows(&self, call: &Call, operation: Operation, resource: Resource<'_>) -> bool {
        !self.authorizer.enabled
            || self
                .authorizer
                .allows(&self.broker.acls(), call.access(operation), resource)
    }

    /// What the caller may do to the resource: a bit for each operation (KIP-430).
    #[must_use]
    pub fn allowed_operations(&self, call: &Call, resource: Resource<'_>) -> i32 {
        let operations = resource.kind.operations().iter();
        let allowed = operations.filter(|operation| self.allows(call, **operation, resource));
        allowed.fold(0, |bits, operation| bits | (1 << operation.code()))
    }

    /// Whether there may be a topic to which the caller may do that.
    #[must_use]
    pub fn allows_some_topic(&self, call: &Call, operation: Operation) -> bool {
        let access = call.access(operation);
        self.authorizer
            .allows_any(&self.broker.acls(), access, ResourceType::Topic)
    }

    /// Whether the caller may do that to the resource.
    ///
    /// # Errors
    /// Otherwise; the code says to what kind of resource it may not.
    pub fn authorize(&self, call: &Call, operation: Operation, resource: Resource<'_>) -> Result<(), ErrorCode> {
        if self.allows(call, operation, resource) {
            return Ok(());
        }
        tracing::debug!(principal = %call.principal, peer = %call.peer, ?operation, ?resource, "denied");
        self.metrics.denied.with([call.api.name()]).inc();
        Err(match resource.kind {
            ResourceType::Topic => ErrorCode::TopicAuthorizationFailed,
            ResourceType::Group => ErrorCode::GroupAuthorizationFailed,
            ResourceType::TransactionalId => ErrorCode::TransactionalIdAuthorizationFailed,
            ResourceType::Cluster | ResourceType::DelegationToken | ResourceType::User => {
                ErrorCode::ClusterAuthorizationFailed
            }
        })
    }
}
