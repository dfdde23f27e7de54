//! The macro that turns a schema into a structure and both directions of its codec.
//!
//! A schema reads like Kafka's own: each field has a name, a type and, in brackets, first the versions that have it
//! (`0+`, `3-7`, `13`), then what else is true of it:
//!
//! ```text
//! schema! {
//!     /// What the message is for.
//!     message ExampleRequest [Example, versions 0-4, flexible 2+] {
//!         /// What the field means.
//!         group: ByteString [0+],
//!         timeout_ms: i32 [1+, default -1, ignorable],
//!         name: Option<ByteString> [0+, nullable 3+, default Some(ByteString::new())],
//!         leader: Leader [2+, tag 0],
//!     }
//!
//!     /// A structure inside it.
//!     struct Leader { .. }
//! }
//! ```
//!
//! * `default E`: the value a reader assumes where the version lacks the field; without it, the type's own default. So
//!   a nullable field defaults to null, unless it may be null in some of its versions only.
//! * `nullable V`: the versions in which an `Option` may be null, where these are not all versions of the field.
//! * `ignorable`: may be left out in silence in versions that lack it. Any other field that is set then is an error.
//! * `tag N`: an optional field of the tagged section, left out when it has its default.
//!
//! Tags stand in ascending order. Fields are on the wire in the order in which they are declared.

/// Declares messages (with an API), embedded messages (without), and the structures inside them.
macro_rules! schema {
    () => {};
    (
        $(#[$meta:meta])*
        message $name:ident [
            $api:ident, versions $low:literal - $high:literal, flexible $($flexible:tt)+
        ] { $($fields:tt)* }
        $($rest:tt)*
    ) => {
        schema_struct! { $(#[$meta])* $name { $($fields)* } }

        impl $crate::kafka::api::Message for $name {
            const API: $crate::kafka::api::ApiKey = $crate::kafka::api::ApiKey::$api;
            const VERSIONS: std::ops::RangeInclusive<i16> = $low..=$high;
            const FLEXIBLE_FROM: i16 = flexible_from!($($flexible)+);
        }

        schema! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        struct $name:ident { $($fields:tt)* }
        $($rest:tt)*
    ) => {
        schema_struct! { $(#[$meta])* $name { $($fields)* } }
        schema! { $($rest)* }
    };
}

macro_rules! flexible_from {
    (none) => {
        i16::MAX
    };
    ($low:literal +) => {
        $low
    };
}

/// One structure and its codec.
macro_rules! schema_struct {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $field:ident : $type:ty [ $($attribute:tt)* ] ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: default_of!($($attribute)*), )* }
            }
        }

        impl $crate::kafka::codec::Structure for $name {}

        impl $crate::kafka::codec::Wire for $name {
            fn size_min(format: $crate::kafka::codec::Format) -> usize {
                let mut size = usize::from(format.flexible);
                $(
                    if_tagged! { [$($attribute)*] {} {
                        if in_versions!(format.version; $($attribute)*) {
                            size += <$type as $crate::kafka::codec::Wire>::size_min(format);
                        }
                    } }
                )*
                size
            }

            fn put(
                &self,
                out: &mut $crate::kafka::encoder::Encoder,
                format: $crate::kafka::codec::Format,
            ) -> Result<(), $crate::kafka::codec::EncodeError> {
                use $crate::kafka::codec::{EncodeError, EncodeReason, TaggedFields};

                $(
                    if in_versions!(format.version; $($attribute)*) {
                        if_nullable! { [$($attribute)*] {
                            if !nullable_in!(format.version; $($attribute)*)
                                && $crate::kafka::codec::Wire::is_null(&self.$field)
                            {
                                let error = EncodeError::from(EncodeReason::Null(format.version));
                                return Err(error.at(stringify!($name), stringify!($field)));
                            }
                        } }
                        if_tagged! { [$($attribute)*] {} {
                            $crate::kafka::codec::Wire::put(&self.$field, out, format)
                                .map_err(|error| error.at(stringify!($name), stringify!($field)))?;
                        } }
                    } else if !is_ignorable!($($attribute)*) {
                        let default: $type = default_of!($($attribute)*);
                        if self.$field != default {
                            let error = EncodeError::from(EncodeReason::NotInVersion(format.version));
                            return Err(error.at(stringify!($name), stringify!($field)));
                        }
                    }
                )*
                if format.flexible {
                    #[allow(unused_mut, reason = "most structures have no tagged field")]
                    let mut tagged = TaggedFields::default();
                    $(
                        if_tagged! { [$($attribute)*] {
                            let default: $type = default_of!($($attribute)*);
                            if in_versions!(format.version; $($attribute)*) && self.$field != default {
                                tagged
                                    .add(tag_of!($($attribute)*), &self.$field, format)
                                    .map_err(|error| error.at(stringify!($name), stringify!($field)))?;
                            }
                        } {} }
                    )*
                    tagged.put(out)?;
                }
                Ok(())
            }

            #[allow(unused_mut, unused_variables, reason = "most structures have no tagged field")]
            fn take(
                input: &mut bytes::Bytes,
                format: $crate::kafka::codec::Format,
            ) -> Result<Self, $crate::kafka::codec::DecodeError> {
                use $crate::kafka::codec::{Wire, take_tagged_fields};

                let mut message = Self {
                    $(
                        $field: if_tagged! { [$($attribute)*] { default_of!($($attribute)*) } {
                            if in_versions!(format.version; $($attribute)*) {
                                <$type as Wire>::take(input, format)
                                    .map_err(|error| error.at(stringify!($name), stringify!($field)))?
                            } else {
                                default_of!($($attribute)*)
                            }
                        } },
                    )*
                };
                $(
                    if_nullable! { [$($attribute)*] {
                        if in_versions!(format.version; $($attribute)*)
                            && !nullable_in!(format.version; $($attribute)*)
                            && Wire::is_null(&message.$field)
                        {
                            let null = $crate::kafka::codec::DecodeReason::Null;
                            let error = $crate::kafka::codec::DecodeError::from(null);
                            return Err(error.at(stringify!($name), stringify!($field)));
                        }
                    } }
                )*
                if format.flexible {
                    take_tagged_fields(input, |tag, value| {
                        $(
                            if_tagged! { [$($attribute)*] {
                                if tag == tag_of!($($attribute)*)
                                    && in_versions!(format.version; $($attribute)*)
                                {
                                    message.$field = <$type as Wire>::take(value, format)
                                        .map_err(|error| error.at(stringify!($name), stringify!($field)))?;
                                    return Ok(true);
                                }
                            } {} }
                        )*
                        Ok(false)
                    })
                    .map_err(|error| error.at(stringify!($name), "tagged fields"))?;
                }
                Ok(message)
            }
        }

        #[cfg(any(test, feature = "sample"))]
        impl $crate::kafka::sample::Sample for $name {
            fn sample(
                random: &mut $crate::kafka::sample::Random,
                format: $crate::kafka::codec::Format,
                _nullable: bool,
            ) -> Self {
                Self {
                    $(
                        $field: if in_versions!(format.version; $($attribute)*) {
                            let nullable = nullable_in!(format.version; $($attribute)*);
                            <$type as $crate::kafka::sample::Sample>::sample(random, format, nullable)
                        } else {
                            default_of!($($attribute)*)
                        },
                    )*
                }
            }
        }
    };
}

/// Whether a version is in the range that a list of attributes starts with.
macro_rules! in_versions {
    ($version:expr; $low:literal + $(, $($rest:tt)*)?) => {
        $version >= $low
    };
    ($version:expr; $low:literal - $high:literal $(, $($rest:tt)*)?) => {
        ($low..=$high).contains(&$version)
    };
    ($version:expr; $only:literal $(, $($rest:tt)*)?) => {
        $version == $only
    };
}

/// The first block where the field is tagged, else the second.
macro_rules! if_tagged {
    ([tag $($rest:tt)*] $then:tt $else:tt) => { $then };
    ([$skip:tt $($rest:tt)*] $then:tt $else:tt) => { if_tagged! { [$($rest)*] $then $else } };
    ([] $then:tt $else:tt) => { $else };
}

/// The block where the field says in which versions it may be null, else nothing.
macro_rules! if_nullable {
    ([nullable $($rest:tt)*] $then:tt) => { $then };
    ([$skip:tt $($rest:tt)*] $then:tt) => { if_nullable! { [$($rest)*] $then } };
    ([] $then:tt) => {};
}

macro_rules! nullable_in {
    ($version:expr; nullable $($range:tt)*) => { in_versions!($version; $($range)*) };
    ($version:expr; $skip:tt $($rest:tt)*) => { nullable_in!($version; $($rest)*) };
    ($version:expr;) => { true };
}

macro_rules! tag_of {
    (tag $tag:literal $($rest:tt)*) => { $tag };
    ($skip:tt $($rest:tt)*) => { tag_of!($($rest)*) };
}

macro_rules! default_of {
    (default $default:expr $(, $($rest:tt)*)?) => { $default };
    ($skip:tt $($rest:tt)*) => { default_of!($($rest)*) };
    () => { Default::default() };
}

macro_rules! is_ignorable {
    (ignorable $($rest:tt)*) => { true };
    ($skip:tt $($rest:tt)*) => { is_ignorable!($($rest)*) };
    () => { false };
}
