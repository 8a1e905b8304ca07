//! Compares two observations (`diff` of the oracle).

use serde_json::Value;

/// What tells nothing about the network: durations, what tools print, the words of errors, and who recorded it.
pub const IGNORED: [&str; 6] = ["elapsed_s", "text", "message", "kernel", "note", "purpose"];

/// Tables larger than this are compared line by line, without looking for what moved.
const ALIGNED: usize = 1 << 20;

/// The differences between a golden observation and another, in the order of the golden one. Keys in `ignore` are
/// passed over wherever they are.
///
/// ```
/// use netsim::conform::{IGNORED, compare};
/// use serde_json::json;
/// let golden = json!({"result": {"rx": 1, "text": ["…"]}, "packets": {"h1:eth0": ["out a", "in b"]}});
/// let other = json!({"result": {"rx": 1}, "packets": {"h1:eth0": ["out a"]}});
/// assert_eq!(compare(&golden, &other, &IGNORED), [".packets.h1:eth0: -in b"]);
/// ```
pub fn compare(golden: &Value, other: &Value, ignore: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    walk(golden, other, ignore, "", &mut found);
    found
}

fn walk(a: &Value, b: &Value, ignore: &[&str], path: &str, out: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys = x.keys().chain(y.keys().filter(|k| !x.contains_key(*k)));
            for k in keys.filter(|k| !ignore.contains(&k.as_str())) {
                match (x.get(k), y.get(k)) {
                    (Some(v), Some(w)) => walk(v, w, ignore, &format!("{path}.{k}"), out),
                    (Some(v), None) => out.push(format!("{path}.{k}: missing (golden {})", short(v))),
                    (None, w) => out.push(format!("{path}.{k}: unexpected {}", short(w.unwrap_or(&Value::Null)))),
                }
            }
        }
        (Value::Array(x), Value::Array(y)) => match (texts(x), texts(y)) {
            (Some(x), Some(y)) => lines(&x, &y, path, out),
            _ => {
                if x.len() != y.len() {
                    out.push(format!("{path}: {} entries in golden, {} in other", x.len(), y.len()));
                }
                for (i, (v, w)) in x.iter().zip(y).enumerate() {
                    walk(v, w, ignore, &format!("{path}[{i}]"), out);
                }
            }
        },
        _ if same(a, b) => {}
        _ => out.push(format!("{path}: golden {}, other {}", short(a), short(b))),
    }
}

/// Numbers are equal by value, however they are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x == y,
        _ => a == b,
    }
}

fn texts(all: &[Value]) -> Option<Vec<&str>> {
    all.iter().map(Value::as_str).collect()
}

fn short(v: &Value) -> String {
    let text = v.to_string();
    match text.char_indices().nth(300) {
        Some((at, _)) => text[..at].into(),
        None => text,
    }
}

/// Lines that are only in one of two lists: `-` in the golden one, `+` in the other.
fn lines(a: &[&str], b: &[&str], path: &str, out: &mut Vec<String>) {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same..], &b[same..]);
    if a.len().saturating_mul(b.len()) > ALIGNED {
        out.extend(a.iter().map(|l| format!("{path}: -{l}")));
        out.extend(b.iter().map(|l| format!("{path}: +{l}")));
        return;
    }
    // The longest common subsequence of what follows each pair of positions.
    let width = b.len() + 1;
    let mut common = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = match a[i] == b[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            out.push(format!("{path}: -{}", a[i]));
            i += 1;
        } else {
            out.push(format!("{path}: +{}", b[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_difference_has_its_words() {
        let golden = json!({"a": 1, "b": [1, {"x": 2}], "c": "s", "text": "t", "l": ["1", "2", "3"]});
        let other = json!({"a": 1.0, "b": [1, {"x": 3}, 4], "d": null, "text": "u", "l": ["1", "3", "4"]});
        assert_eq!(
            compare(&golden, &other, &IGNORED),
            [
                ".b: 2 entries in golden, 3 in other",
                ".b[1].x: golden 2, other 3",
                ".c: missing (golden \"s\")",
                ".l: -2",
                ".l: +4",
                ".d: unexpected null",
            ]
        );
    }

    #[test]
    fn equal_observations_have_none() {
        let v = json!({"steps": [{"packets": {"a": ["x", "x"]}}], "kernel": "6.18"});
        assert!(compare(&v, &v, &[]).is_empty());
        let other = json!({"steps": [{"packets": {"a": ["x"]}}], "kernel": "0"});
        assert_eq!(compare(&v, &other, &IGNORED), [".steps[0].packets.a: -x"]);
    }
}
