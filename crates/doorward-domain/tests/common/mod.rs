//! What several of these tests begin with.

use doorward_domain::application::{Application, Audience};
use doorward_domain::{Id, Timestamp};

/// When everything was made.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// An application that admits nobody and has neither sites nor a door.
pub(crate) fn application(number: u8) -> Application {
    Application {
        id: Id::mint(START, [number; 10]),
        slug: format!("a{number}"),
        name: format!("A{number}"),
        description: String::new(),
        icon_url: None,
        launch_url: None,
        heading: None,
        hidden: false,
        audience: Audience::default(),
        client: None,
        secrets: Vec::new(),
        sites: Vec::new(),
        app_auth: None,
        created_at: START,
        updated_at: START,
        deleted_at: None,
    }
}
