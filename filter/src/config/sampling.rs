//! `sampler`: what decides about the requests that no parent has decided about.

use super::ConfigError;
use super::environment::Environment;
use super::section::Section;
use crate::host::Host;
use crate::path_template::PathTemplate;
use crate::sampler::{Matching, Policy, RateLimit, Rule, Sampler};

/// Of a rule, exactly one of these says what it does.
const ACTIONS: &str = "expected exactly one of ratio, max_per_second and decision";

/// Reads the section. `plugin` is the plugin's name, under which its workers share their limits.
#[inline(never)]
pub(super) fn read(
    mut section: Section,
    environment: &Environment,
    host: &impl Host,
    plugin: &str,
) -> Result<Sampler, ConfigError> {
    let (parent_based, otherwise) = environment
        .sampler()
        .unwrap_or_else(|| (true, Policy::always()));
    let otherwise = section.ratio("ratio")?.unwrap_or(otherwise);
    let mut rules = Vec::new();
    for (at, rule) in section.sections("rules")?.into_iter().enumerate() {
        rules.push(read_rule(
            rule,
            host,
            &format!("spanmesh.limit.{plugin}.{at}"),
        )?);
    }
    let limit = read_limit(&mut section, &format!("spanmesh.limit.{plugin}"))?;
    let parent_based = section.bool("parent_based")?.unwrap_or(parent_based);
    section.end()?;
    Ok(Sampler {
        parent_based,
        rules,
        otherwise,
        limit,
    })
}

#[inline(never)]
fn read_rule(mut rule: Section, host: &impl Host, key: &str) -> Result<Rule, ConfigError> {
    let matching = read_matching(rule.section("match")?, host)?;
    let actions = ["ratio", "max_per_second", "decision"];
    if actions.iter().filter(|action| rule.has(action)).count() != 1 {
        return Err(rule.error_here(ACTIONS.to_owned()));
    }
    let ratio = rule.ratio("ratio")?;
    let limit = read_limit(&mut rule, key)?.map(Policy::Limit);
    let decision = rule.choice("decision", &[("always", true), ("never", false)])?;
    let policy = ratio.or(limit).unwrap_or_else(|| match decision {
        Some(true) => Policy::always(),
        Some(false) | None => Policy::Never,
    });
    rule.end()?;
    Ok(Rule { matching, policy })
}

#[inline(never)]
fn read_matching(mut section: Section, host: &impl Host) -> Result<Matching, ConfigError> {
    let path = section
        .text("path")?
        .map(|text| PathTemplate::parse(&text))
        .transpose();
    let mut header = section.section("header")?;
    let (name, value) = (header.text("name")?, header.text("value")?);
    let header = match (name, value) {
        (Some(name), value) => {
            header.end()?;
            Some((name.to_ascii_lowercase(), value))
        }
        (None, Some(_)) => {
            return Err(header.error("name", "expected the name of a header".to_owned()));
        }
        (None, None) => {
            header.end()?;
            None
        }
    };
    let matching = Matching {
        method: section.text("method")?,
        host: section.text("host")?,
        path: path.map_err(|message| section.error("path", message))?,
        path_prefix: section.text("path_prefix")?,
        header,
        when: section.condition("when", host)?,
    };
    section.end()?;
    Ok(matching)
}

fn read_limit(section: &mut Section, key: &str) -> Result<Option<RateLimit>, ConfigError> {
    let per_second = section.rate("max_per_second")?;
    Ok(per_second.map(|per_second| RateLimit::new(key.to_owned(), per_second)))
}
