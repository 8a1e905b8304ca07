//! What can be wrong with a scenario whose parts are each well formed: names that lead nowhere, addresses that clash,
//! gateways out of reach. All mistakes are reported in one go.

mod addresses;
mod devices;
mod expect;
mod links;
mod names;
mod netfilter;
mod routes;
mod settings;
mod steps;

use super::{
    Diagnostic, Directory, End, NoAddress, Scenario, Span, Spanned, Target, diagnose::did_you_mean, node::shorten,
    read::Reader, topology::Topology,
};

/// Runs every check. What has been found while reading is in `reader`; namespaces with such mistakes are not looked
/// into again, for what is missing there would only cause more messages.
pub(crate) fn check(scenario: &Scenario, reader: &mut Reader) {
    let sound = sound_namespaces(scenario, reader);
    let mut checker = Checker {
        scenario,
        names: Directory::new(scenario),
        shape: Topology::new(scenario),
        sound,
        links_read: !reader.found.iter().any(|d| d.is_error() && d.code.ends_with("link")),
        reader,
    };
    names::check(&mut checker);
    links::check(&mut checker);
    devices::check(&mut checker);
    addresses::check(&mut checker);
    routes::check(&mut checker);
    settings::check(&mut checker);
    netfilter::check(&mut checker);
    steps::check(&mut checker);
    expect::check(&mut checker);
    // With an error somewhere, a device may have no cable because of that.
    if reader.found.iter().any(Diagnostic::is_error) {
        reader.found.retain(|d| d.code != devices::NO_CABLE);
    }
}

/// Which namespaces were read without a mistake.
fn sound_namespaces(scenario: &Scenario, reader: &Reader) -> Vec<bool> {
    let errors: Vec<Span> = reader.found.iter().filter(|d| d.is_error()).map(|d| d.span).collect();
    let inside = |span: &Span, outer: Span| outer.start <= span.start && span.start < outer.end;
    let sound = |settings: &super::Expanded| !errors.iter().any(|span| inside(span, settings.span));
    scenario.namespaces.iter().map(|(_, settings)| sound(settings)).collect()
}

/// What the checks share.
struct Checker<'s, 'r> {
    scenario: &'s Scenario,
    names: Directory<'s>,
    shape: Topology<'s>,
    sound: Vec<bool>,
    /// Whether every link could be read; if not, devices may seem to have no cable.
    links_read: bool,
    reader: &'r mut Reader,
}

impl<'s> Checker<'s, '_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.reader.report::<()>(diagnostic);
    }

    /// Whether the settings of a namespace can be relied on.
    fn is_sound(&self, ns: &str) -> bool {
        self.names.namespace(ns).is_some_and(|(i, _)| self.sound[i]) && self.links_read
    }

    /// The namespaces that can be relied on.
    fn sound(&self) -> impl Iterator<Item = (usize, &'s Spanned<String>, &'s super::Expanded)> + use<'s> {
        let sound = self.sound.clone();
        let all = self.scenario.namespaces.iter().enumerate();
        all.filter(move |(i, _)| sound[*i]).map(|(i, (name, settings))| (i, name, settings))
    }

    /// Complains unless the namespace exists.
    fn namespace(&mut self, name: &Spanned<String>) -> bool {
        if self.names.namespace(name).is_some() {
            return true;
        }
        if self.reader.is_full() {
            return false;
        }
        let help = self.names.nearest_namespace(name);
        let message = format!("there is no namespace `{}`", shorten(name));
        let d = Diagnostic::error("unknown-namespace", name.span, message).label("not a key of `namespaces`");
        self.report(d.maybe_help(help));
        false
    }

    /// Complains unless the device exists in the namespace. Says nothing if the namespace cannot be relied on.
    fn device(&mut self, ns: &str, dev: &Spanned<String>) -> bool {
        if !self.is_sound(ns) || self.names.has_device(ns, dev) {
            return true;
        }
        if self.reader.is_full() {
            return false;
        }
        let known = self.names.devices(ns);
        let help = did_you_mean(dev, known.iter().copied().take(1000)).or_else(|| {
            let known: Vec<&str> = known.iter().copied().take(10).collect();
            (!known.is_empty()).then(|| format!("it has {}", super::read::list(&known)))
        });
        let message = format!("namespace `{}` has no device `{}`", shorten(ns), shorten(dev));
        let d = Diagnostic::error("unknown-device", dev.span, message).label("neither declared nor the end of a link");
        self.report(d.maybe_help(help));
        false
    }

    /// Complains unless both the namespace and the device of an end exist.
    fn end(&mut self, end: &Spanned<End>) -> bool {
        let (ns, dev) = self.parts(end);
        self.namespace(&ns) && self.device(&ns, &dev)
    }

    /// The namespace and the device of an end, each with its place where that can be told.
    fn parts(&self, end: &Spanned<End>) -> (Spanned<String>, Spanned<String>) {
        let Span { start, end: stop } = end.span;
        let text_len = end.ns.len() + 1 + end.dev.len();
        let quotes =
            (end.span.len().checked_sub(text_len)).filter(|extra| matches!(extra, 0 | 2)).map(|n| n as u32 / 2);
        let (ns, dev) = match quotes {
            Some(quote) => {
                let middle = start + quote + end.ns.len() as u32;
                (Span { start: start + quote, end: middle }, Span { start: middle + 1, end: stop - quote })
            }
            None => (end.span, end.span),
        };
        (Spanned::new(end.ns.clone(), ns), Spanned::new(end.dev.clone(), dev))
    }

    /// Complains unless the target stands for an address.
    fn target(&mut self, target: &Target, span: Span) -> bool {
        let ok = match target {
            Target::Addr(_) => return true,
            Target::Ns(ns) => self.namespace(&Spanned::new(ns.clone(), span)) && self.is_sound(ns),
            Target::Dev(end) => self.end(&Spanned::new(end.clone(), span)) && self.is_sound(&end.ns),
        };
        if ok && self.names.address(target) == Err(NoAddress::Address) {
            let d = Diagnostic::error("no-address", span, format!("`{}` has no address", shorten(&target.to_string())));
            let d = d.label("an address is needed here");
            self.report(d.help("give one of its devices an `addr`, or write the address itself"));
            return false;
        }
        ok
    }
}
