//! `doorward version`

use serde_json::json;

use crate::build;
use crate::failure::Result;
use crate::out::{Out, facts};

/// Does it. The schema is the newest one that this program knows, not that of a database.
pub(super) fn run(out: Out) -> Result<()> {
    let schema = doorward_store::newest_version();
    let value = json!({
        "version": build::VERSION,
        "commit": build::COMMIT,
        "built_at": build::BUILT_AT,
        "schema": schema,
        "dirty": build::dirty(),
    });
    out.either(&value, || {
        facts(
            &format!("doorward {}", build::VERSION),
            &[
                (
                    "commit",
                    format!(
                        "{}{}",
                        build::COMMIT,
                        if build::dirty() == Some(true) {
                            " with changes"
                        } else {
                            ""
                        }
                    ),
                ),
                ("built", build::BUILT_AT.to_owned()),
                ("schema", schema.to_string()),
            ],
        )
    })
}
