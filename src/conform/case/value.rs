//! Shapes of JSON that a case uses and serde has no type for: maps that keep their order, scalars of any kind, seconds.

use crate::base::{SEC, Time};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::{fmt, marker::PhantomData};

/// A map in the order it was written. The order matters: addresses are allocated by it.
#[derive(Clone, PartialEq, Debug)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<T> Ordered<T> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Keys and values in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut all: Vec<(String, T)> = Vec::new();
                // `null` stands for an entry with nothing in it.
                while let Some((key, value)) = map.next_entry::<String, Option<T>>()? {
                    if all.iter().any(|(k, _)| *k == key) {
                        return Err(de::Error::custom(format_args!("duplicate field `{key}`")));
                    }
                    all.push((key, value.unwrap_or_default()));
                }
                Ok(Ordered(all))
            }
        }
        d.deserialize_map(Entries(PhantomData))
    }
}

/// A number, a string or a truth value, as the command line it ends up on would have it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scalar(pub String);

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a string or a truth value")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Scalar, E> {
                Ok(Scalar(if v { "1".into() } else { "0".into() }))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Scalar, E> {
                Ok(Scalar(v.to_string()))
            }

            fn visit_str<E>(self, v: &str) -> Result<Scalar, E> {
                Ok(Scalar(v.into()))
            }
        }
        d.deserialize_any(Any)
    }
}

/// A span of time, written in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Secs(pub Time);

impl Secs {
    /// So many milliseconds.
    pub const fn ms(ms: u64) -> Secs {
        Secs(ms * 1_000_000)
    }
}

impl<'de> Deserialize<'de> for Secs {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = f64::deserialize(d)?;
        // A thousand years are longer than any lab, and fit.
        match (0.0..=3.2e10).contains(&s) {
            true => Ok(Secs((s * SEC as f64).round() as Time)),
            false => Err(de::Error::custom(format_args!("{s} is not a number of seconds"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_keep_their_order_and_reject_doubles() {
        let m: Ordered<u32> = serde_json::from_str(r#"{"z": 1, "a": null, "m": 3}"#).unwrap();
        assert_eq!(m.iter().collect::<Vec<_>>(), [("z", &1), ("a", &0), ("m", &3)]);
        assert_eq!((m.get("m"), m.get("x")), (Some(&3), None));
        let twice = serde_json::from_str::<Ordered<u32>>(r#"{"a": 1, "a": 2}"#).unwrap_err();
        assert!(twice.to_string().contains("duplicate field `a`"));
    }

    #[test]
    fn scalars_read_as_on_a_command_line() {
        let words: Vec<Scalar> = serde_json::from_str(r#"[1, -2, "x", true, 0.5]"#).unwrap();
        assert_eq!(words.iter().map(|w| &*w.0).collect::<Vec<_>>(), ["1", "-2", "x", "1", "0.5"]);
        assert!(serde_json::from_str::<Scalar>("[]").is_err());
    }

    #[test]
    fn seconds_are_exact_to_the_nanosecond() {
        assert_eq!(serde_json::from_str::<Secs>("0.05").unwrap(), Secs::ms(50));
        assert_eq!(serde_json::from_str::<Secs>("12").unwrap(), Secs::ms(12_000));
        assert!(serde_json::from_str::<Secs>("-1").is_err());
    }
}
