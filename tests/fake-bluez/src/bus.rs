//! A message bus for one process.
//!
//! In: nothing. Out: a running dbus-daemon and its address. Guarantees that it ends with the value.

use std::io::{BufRead, BufReader, Error, ErrorKind, Result};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running dbus-daemon.
pub struct Bus {
    daemon: Child,
    address: String,
    _folder: TempDir,
}

impl Bus {
    /// Starts one; `None` if this machine has no dbus-daemon.
    ///
    /// # Errors
    /// If it doesn't start.
    pub fn start() -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, CONFIG.replace("FOLDER", &folder.path().display().to_string()))?;
        let mut command = Command::new("dbus-daemon");
        command.arg("--config-file").arg(&config).args(["--nofork", "--nopidfile", "--print-address=1"]);
        let mut daemon =
            match command.stdout(Stdio::piped()).stdin(Stdio::null()).stderr(Stdio::null()).spawn() {
                Ok(daemon) => daemon,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
        let mut address = String::new();
        if let Some(stdout) = daemon.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        let bus = Bus { daemon, address: address.trim().to_string(), _folder: folder };
        match bus.address.is_empty() {
            true => Err(Error::other("dbus-daemon doesn't start")),
            false => Ok(Some(bus)),
        }
    }

    /// What `DBUS_SYSTEM_BUS_ADDRESS` is to be.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.daemon.kill();
        let _status = self.daemon.wait();
    }
}

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:dir=FOLDER</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;
