//! `doorward db …`

use clap::Subcommand;
use doorward_store::{Store, create_database};
use serde_json::json;

use crate::failure::Result;
use crate::open;
use crate::out::Out;
use crate::settings::{self, Given};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Makes the database when it is missing, and brings its schema up to date
    #[command(
        after_help = "Examples:\n  doorward db init\n  DOORWARD_DATABASE_URL=postgres://doorward@db.example.org/doorward doorward db \
                      init\n\nOn PostgreSQL the user needs the right CREATEDB. Nothing happens when all is there."
    )]
    Init,
}

/// Does it.
pub(crate) async fn run(what: &Db, given: &Given, out: Out) -> Result<()> {
    let Db::Init = what;
    let settings = settings::read(given)?;
    let options = open::database(&settings)?;
    if options.sqlite_path().is_some() {
        crate::key_file::prepare_folder(&settings.data_dir)?;
    }
    let made = create_database(&options).await?;
    let store = Store::open(options.clone()).await?;
    let schema = store.schema_version();
    store.close().await;
    let place = options.place();
    out.either(
        &json!({ "database": place, "created": made, "schema": schema }),
        || {
            let what = if made { "was made" } else { "was there" };
            vec![format!("{place} {what}; its schema is version {schema}.")]
        },
    )
}
