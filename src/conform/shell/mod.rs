//! The shell of `exec` steps: as much of it as it takes to ask a namespace something and to count the answers –
//! lists, pipes, `for`, `$(…)`, `$((…))`, quotes – over a few tools that read text and `ip`, `cat` and `sysctl`.

mod awk;
mod bridge;
mod ip;
mod parse;
mod pattern;
mod text;

pub use pattern::Pattern;

use crate::{base::NsId, kernel::Kernel};
use parse::{Command, Join, Part, Pipeline, Word};

/// What a command printed, and its exit status.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit status.
    pub status: i32,
}

impl Output {
    fn said(out: impl Into<String>) -> Output {
        Output { out: out.into(), ..Output::default() }
    }

    fn failed(err: impl Into<String>, status: i32) -> Output {
        Output { out: String::new(), err: err.into(), status }
    }
}

/// Most commands one script may run: loops are bounded, but their product may be large.
const MOST_COMMANDS: u32 = 10_000;

/// Runs a script in a namespace.
///
/// # Errors
/// What of it is not understood.
pub fn run(kernel: &mut Kernel, ns: NsId, script: &str) -> Result<Output, String> {
    let list = parse::script(script)?;
    Shell { kernel, ns, vars: Vec::new(), left: MOST_COMMANDS }.list(&list, "")
}

struct Shell<'k> {
    kernel: &'k mut Kernel,
    ns: NsId,
    vars: Vec<(String, String)>,
    left: u32,
}

impl Shell<'_> {
    fn list(&mut self, list: &[(Join, Pipeline)], input: &str) -> Result<Output, String> {
        let mut all = Output::default();
        for (join, pipeline) in list {
            let skipped = match join {
                Join::Always => false,
                Join::IfGood => all.status != 0,
                Join::IfBad => all.status == 0,
            };
            if !skipped {
                let one = self.pipeline(pipeline, input)?;
                all.out += &one.out;
                all.err += &one.err;
                all.status = one.status;
            }
        }
        Ok(all)
    }

    fn pipeline(&mut self, pipeline: &[Command], input: &str) -> Result<Output, String> {
        let mut result = Output::said(input);
        for command in pipeline {
            let fed = std::mem::take(&mut result.out);
            let one = self.command(command, &fed)?;
            result = Output { err: result.err + &one.err, ..one };
        }
        Ok(result)
    }

    fn command(&mut self, command: &Command, input: &str) -> Result<Output, String> {
        self.left = self.left.checked_sub(1).ok_or("not supported: a script that runs for so long")?;
        match command {
            Command::For { name, words, body } => {
                let mut all = Output::default();
                for word in self.expand(words)? {
                    self.vars.retain(|(n, _)| n != name);
                    self.vars.push((name.clone(), word));
                    let one = self.list(body, input)?;
                    all = Output { out: all.out + &one.out, err: all.err + &one.err, status: one.status };
                }
                Ok(all)
            }
            Command::Simple { words, redirections } => {
                let words = self.expand(words)?;
                let mut result = self.simple(&words, input)?;
                for r in redirections {
                    match &**r {
                        "2>&1" => result.out += &std::mem::take(&mut result.err),
                        "2>/dev/null" => result.err.clear(),
                        ">/dev/null" => result.out.clear(),
                        other => return Err(format!("not supported: {other}")),
                    }
                }
                Ok(result)
            }
        }
    }

    fn simple(&mut self, words: &[String], input: &str) -> Result<Output, String> {
        let words: Vec<&str> = words.iter().map(|w| &**w).collect();
        let Some((name, args)) = words.split_first() else { return Ok(Output::default()) };
        match *name {
            "ip" => ip::ip(self.kernel, self.ns, args),
            "bridge" => bridge::bridge(self.kernel, self.ns, args),
            "cat" => Ok(self.cat(args, input)),
            "sysctl" => Ok(ip::delegate(self.kernel, self.ns, &words)),
            "true" | ":" => Ok(Output::default()),
            "false" => Ok(Output { status: 1, ..Output::default() }),
            "awk" => awk::awk(args, input),
            tool => {
                text::tool(tool, args, input).unwrap_or_else(|| Err(format!("not supported: the command `{tool}`")))
            }
        }
    }

    fn cat(&self, files: &[&str], input: &str) -> Output {
        if files.is_empty() {
            return Output::said(input);
        }
        let mut all = Output::default();
        for file in files {
            match file.strip_prefix("/proc/").map(|_| crate::procfs::read(self.kernel, self.ns, file)) {
                Some(Ok(text)) => all.out += &text,
                _ => {
                    all.err += &format!("cat: {file}: No such file or directory\n");
                    all.status = 1;
                }
            }
        }
        all
    }

    /// The words of a command: substitutions made, and what stands outside quotes split at blanks.
    fn expand(&mut self, words: &[Word]) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for word in words {
            let mut current: Option<String> = None;
            for part in &word.0 {
                let (text, quoted) = match part {
                    Part::Text(t) => (t.clone(), true),
                    Part::Variable(name, quoted) => (self.variable(name), *quoted),
                    Part::Arithmetic(e) => (parse::arithmetic(e, &|n| self.variable(n))?.to_string(), true),
                    Part::Command(list, quoted) => {
                        let out = self.list(list, "")?.out;
                        (out.trim_end_matches('\n').to_string(), *quoted)
                    }
                };
                if quoted {
                    current.get_or_insert_default().push_str(&text);
                    continue;
                }
                if text.starts_with(char::is_whitespace) {
                    all.extend(current.take());
                }
                let mut pieces = text.split_whitespace().peekable();
                while let Some(piece) = pieces.next() {
                    current.get_or_insert_default().push_str(piece);
                    if pieces.peek().is_some() || text.ends_with(char::is_whitespace) {
                        all.extend(current.take());
                    }
                }
            }
            all.extend(current);
        }
        Ok(all)
    }

    fn variable(&self, name: &str) -> String {
        self.vars.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(script: &str) -> String {
        let mut k = Kernel::new(1);
        let ns = k.add_namespace("a").unwrap();
        let done = run(&mut k, ns, script).unwrap();
        done.out + &done.err
    }

    #[test]
    fn scripts_that_ask_and_count() {
        assert_eq!(
            out("for i in $(seq 1 3); do echo via $((i % 2)); done | sort | uniq -c | awk '{print $2,$3,$1}'"),
            "via 0 1\nvia 1 2\n"
        );
        assert_eq!(out("echo 'a  b' \"c $((2*(3+4)))\"; echo x && false || echo y"), "a  b c 14\nx\ny\n");
        assert_eq!(out("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_default_ttl"), "0\n64\n");
        assert_eq!(out("cat /etc/passwd 2>/dev/null; cat /proc/nothing 2>&1 | wc -l"), "1\n");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let mut k = Kernel::new(1);
        let ns = k.add_namespace("a").unwrap();
        for (script, what) in [("frobnicate", "frobnicate"), ("echo x > file", "> file"), ("echo 'open", "quote")] {
            let e = run(&mut k, ns, script).unwrap_err();
            assert!(e.contains(what), "{script}: {e}");
        }
    }
}
