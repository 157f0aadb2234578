//! Rules of the sampler: which requests they are about, and what they do with them.

use crate::condition::Condition;
use crate::host::Host;
use crate::pairs::Pairs;
use crate::path_template::PathTemplate;
use crate::record::host_of;
use crate::request::Request;
use crate::stats::Stats;

use super::Policy;

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) matching: Matching,
    pub(crate) policy: Policy,
}

/// What a request has to have; all that is there has to match.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    /// The method, case-sensitive.
    pub(crate) method: Option<String>,
    /// The host of the authority, without its port, in any case.
    pub(crate) host: Option<String>,
    /// The path without its query; a path without variables is a template, too.
    pub(crate) path: Option<PathTemplate>,
    /// The beginning of the path.
    pub(crate) path_prefix: Option<String>,
    /// A header, by its lower-case name, with one of its values, or with any.
    pub(crate) header: Option<(String, Option<String>)>,
    pub(crate) when: Option<Condition>,
}

impl Matching {
    /// Whether the rule is about this request.
    pub(crate) fn matches(
        &self,
        host: &impl Host,
        headers: &Pairs,
        request: &Request<'_>,
        stats: &Stats,
    ) -> bool {
        let is = |wanted: &Option<String>, holds: &dyn Fn(&[u8]) -> bool| {
            wanted
                .as_ref()
                .is_none_or(|wanted| holds(wanted.as_bytes()))
        };
        is(&self.method, &|method| request.method == method)
            && is(&self.host, &|host| host_of(request.authority).eq_ignore_ascii_case(host))
            && is(&self.path_prefix, &|prefix| request.path().starts_with(prefix))
            && self.path.as_ref().is_none_or(|path| path.matches(request.path()))
            && self.header.as_ref().is_none_or(|(name, wanted)| {
                let mut values = headers.iter().filter(|(found, _)| *found == name.as_bytes());
                values.any(|(_, value)| is(wanted, &|wanted| value == wanted))
            })
            // Last, since it costs a call of the host.
            && self.when.as_ref().is_none_or(|when| when.holds(host, stats))
    }
}
