//! Quantities as people write them: `10ms`, `100Mbit`, `1.5%`, `64KiB`. A bare number is an error, by design.

use super::time::{MS, NS, SEC, Time, US};

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong, in words.
    pub message: String,
    /// What to write instead.
    pub hint: &'static str,
}

impl std::fmt::Display for UnitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.hint)
    }
}

impl std::error::Error for UnitError {}

/// Parses a span of virtual time with a unit of `ns us µs ms s min h`; exact, no floating point.
///
/// ```
/// use netsim::base::units::duration;
/// assert_eq!(duration("10ms"), Ok(10_000_000));
/// assert_eq!(duration("1.5s"), Ok(1_500_000_000));
/// assert!(duration("10").is_err());
/// ```
pub fn duration(s: &str) -> Result<Time, UnitError> {
    const HINT: &str = "write a number and one of ns, us, ms, s, min, h, as in \"10ms\"";
    scaled(s, HINT, |unit| {
        Some(match unit {
            "ns" => NS,
            "us" | "µs" => US,
            "ms" => MS,
            "s" => SEC,
            "min" => 60 * SEC,
            "h" => 3600 * SEC,
            _ => return None,
        })
    })
}

/// Parses a bit rate with a unit of `bit kbit Mbit Gbit` (powers of 1000); the result is in bits per second.
///
/// ```
/// use netsim::base::units::rate;
/// assert_eq!(rate("100Mbit"), Ok(100_000_000));
/// assert!(rate("100").is_err());
/// ```
pub fn rate(s: &str) -> Result<u64, UnitError> {
    const HINT: &str = "write a number and one of bit, kbit, Mbit, Gbit, as in \"100Mbit\"";
    scaled(s, HINT, |unit| {
        Some(match unit {
            "bit" => 1,
            "kbit" | "Kbit" => 1_000,
            "Mbit" | "mbit" => 1_000_000,
            "Gbit" | "gbit" => 1_000_000_000,
            _ => return None,
        })
    })
}

/// Parses a size with a unit of `B kB KB MB GB` (powers of 1000) or `KiB MiB GiB` (powers of 1024); the result is in bytes.
///
/// ```
/// use netsim::base::units::size;
/// assert_eq!(size("64KiB"), Ok(65_536));
/// ```
pub fn size(s: &str) -> Result<u64, UnitError> {
    const HINT: &str = "write a number and one of B, kB, MB, GB, KiB, MiB, GiB, as in \"64KiB\"";
    scaled(s, HINT, |unit| {
        Some(match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        })
    })
}

/// Parses a share such as `0.5%`; the result is in parts per million, 0 to 1 000 000.
///
/// ```
/// use netsim::base::units::share;
/// assert_eq!(share("2.5%"), Ok(25_000));
/// assert!(share("101%").is_err());
/// ```
pub fn share(s: &str) -> Result<u32, UnitError> {
    const HINT: &str = "write a percentage from 0% to 100%, as in \"2.5%\"";
    let ppm = scaled(s, HINT, |unit| (unit == "%").then_some(10_000))?;
    if ppm > 1_000_000 {
        return Err(UnitError { message: format!("`{s}` is more than the whole"), hint: HINT });
    }
    Ok(ppm as u32)
}

/// `number × unit` in integer arithmetic, with at most nine decimals.
fn scaled(s: &str, hint: &'static str, unit: impl Fn(&str) -> Option<u64>) -> Result<u64, UnitError> {
    let fail = |message: String| Err(UnitError { message, hint });
    let split = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, name) = (&s[..split], s[split..].trim());
    if number.is_empty() {
        return fail(format!("`{s}` does not start with a number"));
    }
    if name.is_empty() {
        return fail(format!("`{s}` has no unit"));
    }
    let Some(scale) = unit(name) else {
        return fail(format!("`{name}` is not a unit that fits here"));
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(decimals) || decimals.len() > 9 {
        return fail(format!("`{number}` is not a number"));
    }
    let too_large = || UnitError { message: format!("`{s}` is too large"), hint };
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let ten = 10u128.pow(decimals.len() as u32);
    let fraction: u128 = if decimals.is_empty() { 0 } else { decimals.parse().map_err(|_| too_large())? };
    let value = whole.checked_mul(scale as u128).ok_or_else(too_large)? + fraction * scale as u128 / ten;
    u64::try_from(value).map_err(|_| too_large())
}
