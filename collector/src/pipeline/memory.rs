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
