//! Closed sets of names: what a data file may say, and sets of such names in one machine word.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A closed set of names.
pub trait Named: Copy + 'static {
    /// What one of them is, for errors.
    const WHAT: &'static str;
    /// All of them.
    fn all() -> &'static [Self];
    /// The name.
    fn text(self) -> &'static str;
    /// Its place among all.
    fn place(self) -> u32;
}

/// Finds a name.
pub fn find<T: Named>(text: &str) -> Option<T> {
    T::all().iter().copied().find(|one| one.text() == text)
}

/// The error for a name that is not known.
pub fn unknown<T: Named, E: de::Error>(text: &str) -> E {
    let known: Vec<&str> = T::all().iter().map(|one| one.text()).collect();
    E::custom(format!(
        "{text:?} is no {}; there are {}",
        T::WHAT,
        known.join(", ")
    ))
}

/// Defines an enumeration whose members have names in data files.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident: $what:literal { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in data files, configuration and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The one of a name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                $crate::named::find(name)
            }
        }

        impl $crate::named::Named for $name {
            const WHAT: &'static str = $what;
            fn all() -> &'static [Self] { Self::ALL }
            fn text(self) -> &'static str { self.name() }
            fn place(self) -> u32 { self as u32 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::named::One(std::marker::PhantomData))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> { concat!("Catalog", stringify!($name)).into() }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($text),+] })
            }
        }
    };
}
pub(crate) use named;

/// Reads one name.
pub struct One<T>(pub PhantomData<T>);

impl<T: Named> Visitor<'_> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of a {}", T::WHAT)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        find(text).ok_or_else(|| unknown::<T, E>(text))
    }
}

/// A set of names.
pub struct Set<T>(u64, PhantomData<T>);

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Set<T> {}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

impl<T> PartialEq for Set<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Set<T> {}

impl<T: Named> Set<T> {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it holds `one`.
    #[must_use]
    pub fn has(self, one: T) -> bool {
        self.0 & (1 << one.place()) != 0
    }

    /// The set with `one` in it.
    #[must_use]
    pub fn with(self, one: T) -> Self {
        Self(self.0 | (1 << one.place()), PhantomData)
    }

    /// All it holds, in the order of their definition.
    pub fn iter(self) -> impl Iterator<Item = T> {
        T::all().iter().copied().filter(move |one| self.has(*one))
    }
}

impl<T: Named> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(T::text)).finish()
    }
}

impl<T: Named> Serialize for Set<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(T::text))
    }
}

impl<'de, T: Named + Deserialize<'de>> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Several(PhantomData))
    }
}

struct Several<T>(PhantomData<T>);

impl<'de, T: Named + Deserialize<'de>> Visitor<'de> for Several<T> {
    type Value = Set<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of names, each of a {}", T::WHAT)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Set<T>, A::Error> {
        let mut set = Set::default();
        while let Some(one) = names.next_element()? {
            set = set.with(one);
        }
        Ok(set)
    }
}

impl<T: JsonSchema> JsonSchema for Set<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Set", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<T>(), "uniqueItems": true })
    }
}
