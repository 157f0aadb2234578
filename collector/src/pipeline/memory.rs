//! How much memory telemetry may take up.

use std::path::{Path, PathBuf};

/// The most that is used if no limit is configured.
const DEFAULT: u64 = 512 << 20;

/// The default budget for payloads: 512 MiB, or half of the cgroup's limit if that is less. The
/// host's memory is not looked at: others live there too.
pub fn default_limit() -> u64 {
    match cgroup_limit(Path::new("/sys/fs/cgroup"), Path::new("/proc/self/cgroup")) {
        Some(limit) => DEFAULT.min(limit / 2),
        None => DEFAULT,
    }
}

/// All the memory that the process could use: the limit of its cgroup, or the host's memory if that
/// is less or there is no limit. `None` if neither can be found out.
pub fn total() -> Option<u64> {
    let limit = cgroup_limit(Path::new("/sys/fs/cgroup"), Path::new("/proc/self/cgroup"));
    let host = std::fs::read_to_string("/proc/meminfo");
    let host = host.ok().and_then(|text| host_total(&text));
    limit.into_iter().chain(host).min()
}

/// `MemTotal` of `/proc/meminfo`, which is in KiB.
fn host_total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the process's cgroup and those above it, version 2 or 1.
fn cgroup_limit(root: &Path, membership: &Path) -> Option<u64> {
    let membership = std::fs::read_to_string(membership).unwrap_or_default();
    let mut files = vec![
        root.join("memory.max"),
        root.join("memory/memory.limit_in_bytes"),
    ];
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (base, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let relative = path.trim_start_matches('/');
        let mut folder: PathBuf = base.join(relative);
        while folder.starts_with(&base) && folder != base {
            files.push(folder.join(file));
            folder.pop();
        }
    }
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_host_is_read() {
        let text = "MemTotal:       24543210 kB\nMemFree:         1 kB\n";
        assert_eq!(host_total(text), Some(24_543_210 * 1024));
        assert_eq!(host_total("MemFree: 1 kB\n"), None);
        assert!(total().is_some_and(|total| total > 0));
    }

    #[test]
    fn a_limit_of_the_first_version_that_is_none_is_larger_than_any_host() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("memory/pod/container")).unwrap();
        let unlimited = "9223372036854771712\n";
        std::fs::write(root.join("memory/memory.limit_in_bytes"), unlimited).unwrap();
        let pod = root.join("memory/pod/memory.limit_in_bytes");
        std::fs::write(&pod, unlimited).unwrap();
        std::fs::write(root.join("membership"), "5:cpu,memory:/pod/container\n").unwrap();
        let limit = || cgroup_limit(root, &root.join("membership"));
        assert_eq!(limit(), Some(9_223_372_036_854_771_712));
        std::fs::write(&pod, "268435456\n").unwrap();
        assert_eq!(limit(), Some(256 << 20));
    }

    #[test]
    fn the_least_limit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/memory.max"), "1000\n").unwrap();
        std::fs::write(root.join("a/b/memory.max"), "max\n").unwrap();
        std::fs::write(root.join("membership"), "0::/a/b\n").unwrap();
        assert_eq!(cgroup_limit(root, &root.join("membership")), Some(1000));
        std::fs::create_dir_all(root.join("memory")).unwrap();
        std::fs::write(root.join("memory/memory.limit_in_bytes"), "500\n").unwrap();
        assert_eq!(cgroup_limit(root, &root.join("membership")), Some(500));
        assert_eq!(cgroup_limit(&root.join("none"), &root.join("none")), None);
    }
}
