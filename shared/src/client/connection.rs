//! One connection to one broker: agrees on versions first, then sends any request and gives back its typed response.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::security::start_tls;
use super::transport::{Limits, NoResponse, Transport};
use super::{ClientError, Security, Stream};
use crate::kafka::messages::ApiVersionsRequest;
use crate::kafka::{ApiKey, DecodeError, ErrorCode, Message, Request, frame};

/// How to connect, and the limits that hold for a connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// The name that the broker logs and accounts us under.
    pub client_id: ByteString,
    /// How it is kept from others, and whose it is.
    pub security: Security,
    /// For the connection to come about and the versions to be agreed on.
    pub connect_timeout: Duration,
    /// From submitting a request to its response, where no longer one is asked for.
    pub request_timeout: Duration,
    /// A longer response ends the connection.
    pub response_bytes_max: usize,
    /// Requests that may be without their response at a time; further ones wait.
    pub in_flight_max: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: ByteString::from_static("tailrace"),
            security: Security::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            response_bytes_max: 100 << 20,
            in_flight_max: 32,
        }
    }
}

/// A connection whose broker has told which versions it speaks.
#[derive(Debug)]
pub struct Connection {
    address: String,
    client_id: ByteString,
    request_timeout: Duration,
    versions: HashMap<i16, RangeInclusive<i16>>,
    transport: Transport,
    last_correlation_id: AtomicI32,
}

impl Connection {
    /// Connects to `host:port` and agrees on versions.
    pub async fn connect(address: &str, options: &ConnectionOptions) -> Result<Self, ClientError> {
        let deadline = Instant::now() + options.connect_timeout;
        let stream = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match &options.security.tls {
                Some(files) => Box::new(start_tls(files.current(), address, stream).await?),
                None => Box::new(stream),
            };
            Ok(stream)
        };
        let stream = timeout_at(deadline, stream)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let failed = |reason| ClientError::Connect {
            address: address.to_owned(),
            reason: Arc::new(reason),
        };
        Self::over(stream.map_err(failed)?, address, options).await
    }

    /// Agrees on versions, and logs in, over a stream that stands already: TCP, or what is wrapped around it.
    pub async fn over(
        stream: Box<dyn Stream>,
        address: &str,
        options: &ConnectionOptions,
    ) -> Result<Self, ClientError> {
        let limits = Limits {
            in_flight_max: options.in_flight_max,
            response_bytes_max: options.response_bytes_max,
        };
        let mut connection = Self {
            address: address.to_owned(),
            client_id: options.client_id.clone(),
            request_timeout: options.request_timeout,
            versions: HashMap::new(),
            transport: Transport::start(stream, limits),
            last_correlation_id: AtomicI32::new(0),
        };
        connection.versions = connection.ask_versions(options.connect_timeout).await?;
        if let Some(who) = &options.security.login {
            connection.log_in(who, options.connect_timeout).await?;
        }
        Ok(connection)
    }

    /// Host and port, as connected to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether nothing can be asked any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.transport.is_closed()
    }

    /// The highest version of a request that both sides know.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let theirs = self.versions.get(&R::API.code());
        let common = theirs.and_then(|theirs| {
            let highest = *theirs.end().min(R::VERSIONS.end());
            (highest >= *theirs.start().max(R::VERSIONS.start())).then_some(highest)
        });
        common.ok_or_else(|| ClientError::Version {
            address: self.address.clone(),
            api: R::API,
            ours: R::VERSIONS,
            theirs: theirs.cloned(),
        })
    }

    /// Sends a request and waits for its response.
    pub async fn send<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.send_within(request, self.request_timeout).await
    }

    /// Sends a request that may take another time than most and waits for its response.
    pub async fn send_within<R: Request>(&self, request: &R, timeout: Duration) -> Result<R::Response, ClientError> {
        self.submit(request, timeout).await?.await
    }

    /// Queues a request and gives a future of its response. Requests reach the broker in the order in which calls of
    /// this return; dropping the future takes nothing back. `timeout` counts from now.
    pub async fn submit<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<impl Future<Output = Result<R::Response, ClientError>> + Send + use<R>, ClientError> {
        self.submit_version(request, self.version_of::<R>()?, timeout).await
    }

    async fn submit_version<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<impl Future<Output = Result<R::Response, ClientError>> + Send + use<R>, ClientError> {
        let address = self.address.clone();
        let correlation_id = self.last_correlation_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let frame =
            frame::encode_request(request, version, correlation_id, Some(&self.client_id)).map_err(|reason| {
                ClientError::Encode {
                    address: address.clone(),
                    api: R::API,
                    version,
                    reason,
                }
            })?;
        let failed = move |address: &str, error| match error {
            NoResponse::Timeout => ClientError::Timeout {
                address: address.to_owned(),
                api: R::API,
                after: timeout,
            },
            NoResponse::Lost(lost) => ClientError::Lost {
                address: address.to_owned(),
                api: R::API,
                lost,
            },
        };
        let deadline = Instant::now() + timeout;
        let response = self.transport.submit(correlation_id, frame, deadline).await;
        let response = response.map_err(|error| failed(&address, error))?;
        Ok(async move {
            let bytes = response.await.map_err(|error| failed(&address, error))?;
            read_response::<R>(bytes, version).map_err(|reason| ClientError::Decode {
                address,
                api: R::API,
                version,
                reason,
            })
        })
    }

    /// A broker that does not know our version of the question answers it in version 0, which everybody reads.
    async fn ask_versions(&self, timeout: Duration) -> Result<HashMap<i16, RangeInclusive<i16>>, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: ByteString::from_static("tailrace"),
            client_software_version: ByteString::from_static(env!("CARGO_PKG_VERSION")),
            ..Default::default()
        };
        let highest = *ApiVersionsRequest::VERSIONS.end();
        let mut answer = self.submit_version(&request, highest, timeout).await?.await?;
        if ErrorCode::from_code(answer.error_code) == ErrorCode::UnsupportedVersion {
            let request = ApiVersionsRequest::default();
            answer = self.submit_version(&request, 0, timeout).await?.await?;
        }
        match ErrorCode::from_code(answer.error_code) {
            ErrorCode::None => {
                let ranges = answer
                    .api_keys
                    .iter()
                    .map(|api| (api.api_key, api.min_version..=api.max_version));
                Ok(ranges.collect())
            }
            code => Err(ClientError::Refused {
                address: self.address.clone(),
                api: ApiKey::ApiVersions,
                subject: "this connection".to_owned(),
                code,
                message: None,
            }),
        }
    }
}

/// Reads a response in the version of its request, but for the one that is answered in version 0 when that is unknown.
fn read_response<R: Request>(frame: Bytes, version: i16) -> Result<R::Response, DecodeError> {
    let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
    let refused = R::API == ApiKey::ApiVersions && frame.get(4..6) == Some(&unsupported);
    let version = if refused { 0 } else { version };
    frame::decode_response(frame, version).map(|(_, response)| response)
}
