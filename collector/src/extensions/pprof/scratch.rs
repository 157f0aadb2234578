//! Where the profilers put their temporary files.

use std::path::Path;
use std::sync::Once;

/// What Kubernetes gives every container, also where the file system cannot be written to.
const SHARED_MEMORY: &str = "/dev/shm";

/// Sees that there is a place for temporary files: `TMPDIR` or `/tmp`, and if nothing can be written
/// there, shared memory.
pub(super) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        let fits = |folder: &Path| tempfile::tempfile_in(folder).is_ok();
        let shared = Path::new(SHARED_MEMORY);
        if !fits(&std::env::temp_dir()) && fits(shared) {
            // Somebody else may have chosen a place before, who then knows better.
            let _ = tempfile::env::override_temp_dir(shared);
        }
    });
}
