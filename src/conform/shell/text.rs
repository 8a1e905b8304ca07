//! Tools that turn text into text.

use super::{Output, Pattern};

/// Runs a tool; `None` if there is none of that name.
pub fn tool(name: &str, args: &[&str], input: &str) -> Option<Result<Output, String>> {
    Some(match name {
        "echo" => Ok(Output::said(args.join(" ") + "\n")),
        "seq" => seq(args),
        "grep" => grep(args, input),
        "sort" => sort(args, input),
        "uniq" => uniq(args, input),
        "wc" => wc(args, input),
        "head" => ends(args, input, true),
        "tail" => ends(args, input, false),
        _ => return None,
    })
}

fn unknown(tool: &str, what: &str) -> String {
    format!("not supported: {tool} {what}")
}

fn joined<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + line.as_ref() + "\n")
}

/// The letters of the options, and what follows them.
fn options<'a>(args: &'a [&'a str]) -> (String, &'a [&'a str]) {
    let count = args.iter().take_while(|a| a.len() > 1 && a.starts_with('-')).count();
    (args[..count].iter().flat_map(|a| a[1..].chars()).collect(), &args[count..])
}

fn seq(args: &[&str]) -> Result<Output, String> {
    let numbers: Option<Vec<i64>> = args.iter().map(|a| a.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return Err(unknown("seq", &args.join(" "))),
    };
    let numbers = std::iter::successors(Some(first), |n| n.checked_add(step));
    let inside = numbers.take_while(|n| if step > 0 { *n <= last } else { *n >= last });
    Ok(Output::said(joined(inside.take(100_000).map(|n| n.to_string()))))
}

fn grep(args: &[&str], input: &str) -> Result<Output, String> {
    let (flags, rest) = options(args);
    if let Some(flag) = flags.chars().find(|f| !"ocvqiE".contains(*f)) {
        return Err(unknown("grep", &format!("-{flag}")));
    }
    let [pattern] = rest else { return Err(unknown("grep", "with files")) };
    let has = |f| flags.contains(f);
    let fold = |s: &str| if has('i') { s.to_lowercase() } else { s.to_string() };
    let pattern = Pattern::new(&fold(pattern), has('E'))?;
    let lines: Vec<String> = input.lines().map(&fold).collect();
    let chosen: Vec<&str> =
        input.lines().zip(&lines).filter(|(_, l)| pattern.find(l).is_some() != has('v')).map(|(l, _)| l).collect();
    let text = match (has('q'), has('c'), has('o')) {
        (true, ..) => String::new(),
        (_, true, _) => format!("{}\n", chosen.len()),
        (.., true) => joined(chosen.iter().flat_map(|l| pattern.matches(l))),
        _ => joined(&chosen),
    };
    Ok(Output { out: text, err: String::new(), status: i32::from(chosen.is_empty()) })
}

fn sort(args: &[&str], input: &str) -> Result<Output, String> {
    let (flags, rest) = options(args);
    if !rest.is_empty() || flags.chars().any(|f| !"unr".contains(f)) {
        return Err(unknown("sort", &args.join(" ")));
    }
    let mut lines: Vec<&str> = input.lines().collect();
    lines.sort();
    if flags.contains('n') {
        let value = |l: &&str| {
            let l = l.trim_start();
            let len = l.find(|c: char| !c.is_ascii_digit()).unwrap_or(l.len());
            l[..len].parse::<u64>().unwrap_or(0)
        };
        lines.sort_by_key(value);
    }
    if flags.contains('u') {
        lines.dedup();
    }
    if flags.contains('r') {
        lines.reverse();
    }
    Ok(Output::said(joined(lines)))
}

fn uniq(args: &[&str], input: &str) -> Result<Output, String> {
    let (flags, rest) = options(args);
    if !rest.is_empty() || flags.chars().any(|f| f != 'c') {
        return Err(unknown("uniq", &args.join(" ")));
    }
    let mut runs: Vec<(usize, &str)> = Vec::new();
    for line in input.lines() {
        match runs.last_mut() {
            Some((n, last)) if *last == line => *n += 1,
            _ => runs.push((1, line)),
        }
    }
    Ok(Output::said(match flags.is_empty() {
        true => joined(runs.iter().map(|(_, l)| l)),
        false => joined(runs.iter().map(|(n, l)| format!("{n:7} {l}"))),
    }))
}

fn wc(args: &[&str], input: &str) -> Result<Output, String> {
    let count = match args {
        ["-l"] => input.matches('\n').count(),
        ["-w"] => input.split_whitespace().count(),
        ["-c"] => input.len(),
        _ => return Err(unknown("wc", &args.join(" "))),
    };
    Ok(Output::said(format!("{count}\n")))
}

fn ends(args: &[&str], input: &str, head: bool) -> Result<Output, String> {
    let number = match args {
        [] => Some(10),
        ["-n", n] => n.parse().ok(),
        [n] => n.trim_start_matches("-n").trim_start_matches('-').parse().ok(),
        _ => None,
    };
    let n: usize = number.ok_or_else(|| unknown("head or tail", &args.join(" ")))?;
    let lines: Vec<&str> = input.lines().collect();
    let n = n.min(lines.len());
    Ok(Output::said(joined(if head { &lines[..n] } else { &lines[lines.len() - n..] })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(line: &str, input: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        tool(words[0], &words[1..], input).unwrap().unwrap().out
    }

    #[test]
    fn tools() {
        assert_eq!(out("seq 2 4", ""), "2\n3\n4\n");
        assert_eq!(out("seq 5 -2 1", ""), "5\n3\n1\n");
        assert_eq!(out("grep -c b", "a\nb\nab\n"), "2\n");
        assert_eq!(out("grep -o [0-9]*", "a1b23\nc\n"), "1\n23\n");
        assert_eq!(out("grep -vi A", "a\nb\n"), "b\n");
        assert_eq!(out("sort -n", "10\n9\n"), "9\n10\n");
        assert_eq!(out("sort -ur", "a\nb\na\n"), "b\na\n");
        assert_eq!(out("uniq -c", "a\na\nb\n"), "      2 a\n      1 b\n");
        assert_eq!(out("wc -l", "a\nb\n"), "2\n");
        assert_eq!((out("head -1", "a\nb\n"), out("tail -n 1", "a\nb\n")), ("a\n".into(), "b\n".into()));
        assert!(tool("sort", &["file"], "").unwrap().is_err() && tool("sed", &[], "").is_none());
        assert_eq!(tool("grep", &["x"], "a\n").unwrap().unwrap().status, 1);
    }
}
