//! InitProducerId 0-6: a fresh producer id for each idempotent producer, never one that was given before. Transactional
//! ids are refused: there are no transactions yet.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn init_producer_id(
    context: &Context,
    call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        let error_code = ErrorCode::TransactionalIdAuthorizationFailed.code();
        return InitProducerIdResponse {
            error_code,
            producer_epoch: -1,
            ..Default::default()
        };
    }
    // Whoever may write somewhere may do so as an idempotent producer (KIP-679).
    if !context.allows_some_topic(call, Operation::Write)
        && let Err(code) = context.authorize(call, Operation::IdempotentWrite, Resource::CLUSTER)
    {
        return InitProducerIdResponse {
            error_code: code.code(),
            producer_epoch: -1,
            ..Default::default()
        };
    }
    match context.broker.allocate_producer_id().await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => {
            tracing::warn!(%error, "cannot give out a producer id");
            // Every client asks again after this one, as it does while a coordinator moves.
            InitProducerIdResponse {
                error_code: ErrorCode::CoordinatorNotAvailable.code(),
                producer_epoch: -1,
                ..Default::default()
            }
        }
    }
}
