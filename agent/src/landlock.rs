//! Confines the process to what its configuration needs, where the kernel can do that (Landlock, Linux 5.13 or later): with
//! `read.roots` the agent, and journalctl as its child, can open nothing else, whatever their rights and whatever goes wrong in
//! them.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, path_beneath_rules,
};

use tailrace_shared::disk::{Disk, RealDisk};
use tailrace_shared::tls::{ClientTls, TlsFiles};

use crate::config::AgentConfig;

/// What every process needs of the system: programs and libraries, names and certificates, what the kernel says of it.
const SYSTEM: [&str; 13] = [
    "/bin",
    "/dev/urandom",
    "/etc",
    "/lib",
    "/lib64",
    "/nix/store",
    "/proc",
    "/run/NetworkManager",
    "/run/netconfig",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/sys/fs/cgroup",
    "/usr",
];
/// Where journals are, unless the configuration says it.
const JOURNALS: [&str; 2] = ["/run/log/journal", "/var/log/journal"];

/// How far the process is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confined {
    /// It can open nothing but what it needs.
    ByTheKernel,
    /// The kernel has no Landlock: links are looked at all the same.
    ByItself,
    /// There are no roots, or there are commands, of which nobody knows what they need.
    No,
}

/// Why it is not confined although it should be.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The directory of the spool.
    #[error("cannot create data_dir: {0}")]
    DataDir(io::Error),
    /// The kernel.
    #[error("Landlock: {0}")]
    Landlock(#[from] RulesetError),
}

/// Confines this thread, and all that it starts from now on.
///
/// # Errors
/// When the kernel has Landlock, and does not do it, or there is no directory for what is kept.
pub fn confine(config: &AgentConfig, file: &Path) -> Result<Confined, ConfineError> {
    /// Later ones say more about files than matters here, and are asked for as far as the kernel has them.
    const LATEST: ABI = ABI::V5;
    if config.read.roots.is_empty() || !config.command.is_empty() {
        return Ok(Confined::No);
    }
    let (read, all) = (AccessFs::from_read(LATEST), AccessFs::from_all(LATEST));
    // There is no rule for what does not exist.
    RealDisk
        .create_dir_all(&config.data_dir)
        .map_err(ConfineError::DataDir)?;
    for root in config.read.roots.iter().filter(|root| !root.exists()) {
        tracing::warn!(root = %root.display(), "a directory of read.roots is not there; once it is, restart the agent");
    }
    let rules = |paths: Vec<PathBuf>, access: BitFlags<AccessFs>| path_beneath_rules(paths, access);
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .create()?
        .add_rules(rules(readable(config, file), read))?
        .add_rules(rules(vec![config.data_dir.clone(), "/dev/null".into()], all))?
        .restrict_self()?;
    Ok(match restricted.ruleset {
        RulesetStatus::NotEnforced => Confined::ByItself,
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Confined::ByTheKernel,
    })
}

fn readable(config: &AgentConfig, file: &Path) -> Vec<PathBuf> {
    let system = SYSTEM.iter().map(PathBuf::from);
    let roots = config.read.roots.iter().cloned();
    let journals = config.journald.iter().flat_map(|journald| match &journald.directory {
        Some(directory) => vec![directory.clone()],
        None => JOURNALS.iter().map(PathBuf::from).collect(),
    });
    let collector = config.collector.tls.iter().flat_map(ClientTls::files);
    let senders = config.syslog.iter().flat_map(|syslog| &syslog.tls);
    let certificates = collector.chain(senders.flat_map(TlsFiles::paths));
    // A file is replaced by another one: what counts is where it lies.
    let beside = certificates.chain([file]).filter_map(|file| {
        let dir = file.parent()?;
        Some(if dir.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            dir.to_owned()
        })
    });
    let beside: Vec<_> = beside.collect();
    system.chain(roots).chain(journals).chain(beside).collect()
}
