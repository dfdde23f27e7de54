//! Which topics the members of a group read, as far as it is told, and whose offsets may be forgotten therefore.

use bytestring::ByteString;
use tailrace_shared::kafka::messages::ConsumerProtocolSubscription;

use super::effect::GroupError;
use super::state::{Group, Phase};

/// The type of groups whose members say what they read.
const CONSUMERS: &str = "consumer";

impl Group {
    /// Whether each of these offsets may be forgotten: not those of topics that a member reads.
    ///
    /// # Errors
    /// When there are members that do not say what they read.
    pub fn check_forgettable(&self, offsets: &[(ByteString, i32)]) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if self.phase() == Phase::Empty {
            return Ok(vec![Ok(()); offsets.len()]);
        }
        if self.protocol_type().is_none_or(|kind| kind != CONSUMERS) {
            return Err(GroupError::NotEmpty);
        }
        let subscribed = self.subscribed_topics();
        let check = |(topic, _): &(ByteString, i32)| {
            if subscribed.contains(topic) {
                Err(GroupError::Subscribed)
            } else {
                Ok(())
            }
        };
        Ok(offsets.iter().map(check).collect())
    }

    /// What any member names under any protocol; what cannot be read names nothing.
    fn subscribed_topics(&self) -> Vec<ByteString> {
        let metadata = self.members().flat_map(|member| &member.protocols);
        let subscriptions = metadata.filter_map(|(_, bytes)| ConsumerProtocolSubscription::decode(bytes.clone()).ok());
        subscriptions.flat_map(|subscription| subscription.topics).collect()
    }
}
